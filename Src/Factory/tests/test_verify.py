"""`verify` as people and programs call it: what it prints, how it ends, and that a stop or a kill costs little."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from Src.Factory.problems import Problem
from Src.Factory.show_operations import run_operations
from Src.Factory.verify import plan_of, run_verify
from Src.Library.belonging import Belonging
from Src.Library.custody.repair.good_bytes import FolderOfBytes, SourceTrouble
from Src.Library.custody.verify import Plan
from Src.Library.operation import short
from Src.Library.operations import Operations
from Src.Library.running_operation import RunningOperation
from Src.Library.tests.spoiling import flip_a_bit
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.filled_vault import fill
from Src.Testing.surroundings import WaitFor

COUNT = 12
SLOW = """
import sys, time
from Src.Library.custody import verify
from Src.Library.custody.examine import Examiner
read = Examiner.read
def slowly(self, item):
    if item.path == sys.argv[1]:
        print("here", flush=True)
        while not self_stopping():
            time.sleep(0.01)
        self._go_on()
    return read(self, item)
stopped = []
def self_stopping():
    return bool(stopped)
stop = verify.Verify.stop
def stopping(self):
    stopped.append(1)
    stop(self)
verify.Verify.stop = stopping
Examiner.read = slowly
verify._READERS, verify._AHEAD, verify._BATCH = 1, 0, 2
from Src.Factory.cli import main
sys.exit(main(["verify", "--json"]))
"""


@pytest.fixture
def vault(factory_settings: Settings, database: Database) -> Vault:
    vault = Vault(factory_settings.storage)
    fill(vault, database, COUNT)
    Belonging(factory_settings, vault).establish(database)
    return vault


@pytest.fixture
def originals(vault: Vault, database: Database) -> list[str]:
    with database.session() as session:
        return list(session.execute(text("SELECT final_path FROM media_assets ORDER BY final_path")).scalars())


Verify = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def verify(factory_settings: Settings, capsys: pytest.CaptureFixture[str]) -> Verify:
    def run(
        quick: bool = False, sample: str | None = None, budget: str | None = None, **more: Any
    ) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = run_verify(factory_settings, quick=quick, sample=sample, budget=budget, as_json=True, **more)
        return code, json.loads(capsys.readouterr().out)

    return run


def test_the_form_that_stays(
    factory_settings: Settings, originals: list[str], verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = verify()
    assert (code, said["checked"], said["ok"]) == (ExitCode.WELL, COUNT, COUNT)
    assert [said[name] for name in ("missing", "changed", "unknown", "mode")] == [[], [], [], []]
    paths = [factory_settings.storage / path for path in originals]
    paths[0].unlink()
    paths[1].chmod(0o600)
    paths[1].write_bytes(b"x" * paths[1].stat().st_size)
    paths[2].chmod(0o644)
    (paths[3].parent / os.fsdecode(b"\xff [red] \x1b[2J.jpg")).write_bytes(b"x")
    code, said = verify()
    stranger = str(paths[3].parent.relative_to(factory_settings.storage)) + "/\\xff [red] \x1b[2J.jpg"
    assert code == ExitCode.FOUND
    assert (said["checked"], said["ok"]) == (COUNT, COUNT - 3)
    assert [said[name] for name in ("missing", "changed", "unknown", "mode")] == [
        *([originals[0]], [originals[1]], [stranger], [originals[2]])
    ]
    assert verify(sample="3")[1]["searched"] is False
    for plan in ({"quick": True}, {"budget": "5m"}, {"sample": str(COUNT)}, {}):
        given: dict[str, Any] = {"quick": False, "sample": None, "budget": None, **plan}
        assert run_verify(factory_settings, **given, as_json=False) == ExitCode.FOUND
        shown = capsys.readouterr().out
        assert "Something is wrong" in shown
        assert "\x1b" not in shown
        assert originals[0] in shown
    assert "the database does not know it" in shown


def test_what_an_original_was_moved_to_is_said(
    factory_settings: Settings, originals: list[str], verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    path = factory_settings.storage / originals[0]
    path.rename(path.with_name("moved.jpg"))
    code, said = verify()
    found_at = f"{os.path.dirname(originals[0])}/moved.jpg"
    assert (code, said["moved"]) == (ExitCode.FOUND, [{"path": originals[0], "found_at": found_at}])
    run_verify(factory_settings, quick=False, sample=None, budget=None, as_json=False)
    assert f"the same bytes stand at {found_at}" in capsys.readouterr().out


def test_a_sample_and_a_quick_look_say_what_they_know(
    factory_settings: Settings, vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(**given: Any) -> str:
        words: dict[str, Any] = {"quick": False, "sample": None, "budget": None, **given}
        assert run_verify(factory_settings, **words, as_json=False) == ExitCode.WELL
        return capsys.readouterr().out

    assert "None of 10 is bad: with 95 % confidence fewer than 30 % of all are." in said(sample="10")
    assert f"{COUNT} of {COUNT} originals read back, and right" in said()
    assert "nobody looked for files that the database does not know" in said(budget="1m")


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_stopped_or_killed_goes_on(
    factory_settings: Settings, originals: list[str], verify: Verify, wait_for: WaitFor, with_signal: signal.Signals
) -> None:
    def read() -> int:
        with closing(Database(factory_settings)) as database, database.session() as session:
            return int(session.execute(text("SELECT count(verified_at) FROM media_assets")).scalar_one())

    kept = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR", "LANG") if name in os.environ}
    environment = {
        **kept,
        "PYTHONPATH": str(PROJECT_ROOT),
        "FACTORY_DATA": str(factory_settings.data),
        "DATABASE_URL": str(factory_settings.database_url),
        "TZ": "Europe/Berlin",
    }
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, originals[8]], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == b"here\n"
            running.send_signal(with_signal)
            out, _ = running.communicate()
        finally:
            running.kill()
    if with_signal != signal.SIGKILL:
        assert running.returncode == ExitCode.INTERRUPTED
        assert json.loads(out)["complete"] is False
    done = read()
    assert 6 <= done <= 8
    code, said = verify()
    assert (code, said["checked"], said["ok"], said["complete"]) == (ExitCode.WELL, COUNT, COUNT, True)
    assert said["read"] == COUNT - done, "what was read is not read again"
    with closing(Database(factory_settings)) as database, database.session() as session:
        rows = session.execute(text("SELECT kind, status, runs, done FROM operations")).all()
    assert [tuple(row) for row in rows] == [("verify", "completed", 2, COUNT)]


def test_what_is_found_is_wrong_in_the_list_of_operations(
    factory_settings: Settings, originals: list[str], verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    (factory_settings.storage / originals[0]).unlink()
    assert verify()[0] == ExitCode.FOUND
    assert run_operations(factory_settings, words=[], as_json=False) == ExitCode.WELL
    shown = capsys.readouterr().out
    assert "1 wrong" in shown
    assert "failed" not in shown


def test_what_is_wrong_is_not_counted_as_read_back(
    factory_settings: Settings, originals: list[str], verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify()[0] == ExitCode.WELL
    path = factory_settings.storage / originals[0]
    path.chmod(0o600)
    path.write_bytes(b"x" * path.stat().st_size)
    path.chmod(0o440)
    os.utime(factory_settings.storage / originals[1], (1e9, 1e9))
    assert run_verify(factory_settings, quick=False, sample=None, budget=None, as_json=False) == ExitCode.FOUND
    shown = capsys.readouterr().out
    assert f"{COUNT - 1} of {COUNT} originals read back, and right" in shown
    assert "1 file: not what was filed" in shown
    assert "2001-09-09" in shown
    code, said = verify()
    assert (code, said["originals"], said["never_read_back"], said["read_back"]) == (1, COUNT, 0, COUNT - 1)


def test_a_stopped_run_is_resumed_by_its_id(
    factory_settings: Settings, vault: Vault, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    operations = Operations(factory_settings, database)
    with RunningOperation(operations, "verify", {"sample": str(COUNT), "budget": None}) as running:
        running.stopped()
    words = ["resume", short(running.id)]
    assert run_operations(factory_settings, words=words, as_json=True) == ExitCode.WELL
    said = json.loads(capsys.readouterr().out)
    assert (said["how"], said["checked"]) == ("sample", COUNT)
    assert [(one.status, one.runs) for one in operations.listed()] == [("completed", 2)]


def test_what_the_words_mean() -> None:
    assert plan_of(quick=False, sample=None, budget=None) == Plan("full")
    assert plan_of(quick=True, sample=None, budget=None) == Plan("quick")
    assert plan_of(quick=False, sample="3000", budget=None) == Plan("sample", sample=3000)
    for words, seconds in (("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("2d", 172800)):
        assert plan_of(quick=False, sample=None, budget=words) == Plan("budget", budget=float(seconds))
    for quick, sample, budget in (
        *((True, "1", None), (True, None, "1"), (False, "1", "1")),
        *((False, "", None), (False, "-1", None), (False, "1e3", None), (False, "٣", None)),
        *((False, None, ""), (False, None, "0m"), (False, None, "-5m"), (False, None, "nan"), (False, None, "5 m")),
    ):
        with pytest.raises(Problem):
            plan_of(quick=quick, sample=sample, budget=budget)


def test_it_gives_way_to_another_operation(factory_settings: Settings, vault: Vault, database: Database) -> None:
    """A person's import need not wait for hours."""
    operations = Operations(factory_settings, database)
    waits: list[str] = []
    with RunningOperation(operations, "verify", {}, gives_way=True) as verifying:
        with pytest.raises(Waited), RunningOperation(operations, "import", {}, waiting=_wait_and_leave(waits)):
            pass
        verifying.give_way()
    assert waits


class Waited(Exception):
    pass


def _wait_and_leave(waits: list[str]) -> Callable[[str, float], None]:
    def waiting(holder: str, _seconds: float) -> None:
        waits.append(holder)
        raise Waited

    return waiting


@pytest.fixture
def backup(factory_settings: Settings, vault: Vault, tmp_path: Path) -> Path:
    return Path(shutil.copytree(factory_settings.originals, tmp_path / "backup"))


def test_one_command_puts_right_what_is_wrong(
    factory_settings: Settings, originals: list[str], verify: Verify, backup: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [factory_settings.storage / path for path in originals]
    flip_a_bit(paths[0])
    paths[1].unlink()
    paths[2].chmod(0o644)
    paths[3].rename(paths[3].with_name("Grandma.jpg"))
    code, said = verify(restore_from=str(backup), accept_moves=True)
    assert (code, said["ok"], said["restored"]) == (ExitCode.WELL, COUNT, originals[:3]), said["why"]
    assert [said[name] for name in ("missing", "changed", "unknown", "mode", "moved")] == [[]] * 5
    assert [one["path"] for one in said["moved_back"]] == [originals[3]]
    [kept] = said["kept_aside"]
    assert kept["path"] == originals[0]
    assert (factory_settings.storage / kept["kept_at"]).is_file()
    paths[1].unlink()
    paths[4].unlink()
    (backup / paths[4].relative_to(factory_settings.originals)).unlink()
    given: dict[str, Any] = {"quick": True, "sample": None, "budget": None, "restore_from": str(backup)}
    assert run_verify(factory_settings, **given, as_json=False) == ExitCode.FOUND
    shown = capsys.readouterr().out
    assert "1 file: put right" in shown
    assert originals[1] in shown
    assert "has no file with its bytes" in shown.replace("\n", " ")
    assert "Nothing was changed" not in shown


def test_what_nothing_can_be_restored_from_is_a_sentence(factory_settings: Settings, vault: Vault) -> None:
    given: dict[str, Any] = {"quick": False, "sample": None, "budget": None, "as_json": True}
    with pytest.raises(Problem, match=r"no folder of that name is here, and no copy has it$"):
        run_verify(factory_settings, restore_from="offsite", **given)
    with pytest.raises(Problem, match="No such file"):
        run_verify(factory_settings, restore_from="/nowhere/at all", **given)
    with pytest.raises(Problem, match="needs a look at all"):
        run_verify(factory_settings, accept_moves=True, **{**given, "sample": "5"})


def test_what_was_unplugged_is_resumed(
    factory_settings: Settings, originals: list[str], verify: Verify, backup: Path, database: Database,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (factory_settings.storage / originals[0]).unlink()
    away = backup.with_name("away")

    def unplugged(*_: Any) -> None:
        backup.rename(away)
        raise SourceTrouble("it is gone")

    with monkeypatch.context() as patch:
        patch.setattr(FolderOfBytes, "look", unplugged)
        code, said = verify(restore_from=str(backup))
    assert (code, said["missing"], said["complete"]) == (ExitCode.FOUND, originals[:1], False)
    assert said["trouble"] == "it is gone" and "it is gone" in said["why"][originals[0]]
    away.rename(backup)
    [one] = Operations(factory_settings, database).stopped()
    assert one.parameters == {"sample": None, "budget": None, "restore_from": str(backup)}
    capsys.readouterr()
    assert run_operations(factory_settings, words=["resume", short(one.id)], as_json=True) == ExitCode.WELL
    assert json.loads(capsys.readouterr().out)["restored"] == [originals[0]]
