"""Each command without Docker, with a ledger of its own: what it does and with which code it ends.

The same against the stack: `Stack/tests/test_stack_commands.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from Src.Factory import development
from Src.Factory.commands import COMMANDS
from Src.Library.vault import Vault
from Src.Shared.errors import ExitCode
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.forks import Forks

SAMPLE = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples" / "Canon_40D.jpg"
WELL, FOUND, WRONG = ExitCode.WELL, ExitCode.FOUND, ExitCode.WRONG

# What is given, one after the other, and how each call ends. PHOTO, NEW and OLD are files of the test.
CALLS: dict[str, list[tuple[str, ExitCode]]] = {
    "up": [("more", WRONG)],
    "ingest": [("", WELL), ("--json", WELL), ("more", WRONG)],
    "import": [
        ("--dry-run PHOTO", WELL),
        ("--dry-run --json --report NEW PHOTO", WELL),
        ("--report NEW PHOTO", WRONG),
        ("PHOTO --json", WELL),
        ("--move PHOTO", WELL),
        ("PHOTO", WRONG),
        ("", WRONG),
    ],
    "retry": [("", WELL), ("--json", WELL), ("--jso", WRONG)],
    "phone": [("", WRONG), ("--accept", WRONG)],
    "status": [("", WELL), ("--json", WELL), ("--readers", WELL), ("--readers --json", WELL), ("more", WRONG)],
    "list": [("*", FOUND), ("--dry-run year:2019", FOUND), ("--json is:raw", FOUND), ("rating:", WRONG), ("", WRONG)],
    "history": [("*", FOUND), ("--at 2020-01-01 --json *", FOUND), ("--at never *", WRONG), ("", WRONG)],
    "duplicates": [("", FOUND), ("--json", FOUND), ("more", WRONG)],
    "rate": [("* 5", FOUND), ("--json * 0", FOUND), ("--dry-run * 5", FOUND), ("* 6", WRONG), ("rating: 5", WRONG)],
    "favourite": [("*", FOUND), ("--off --json *", FOUND), ("", WRONG)],
    "place": [("* -33.8568,151.2153", FOUND), ("--json * -22.9,-43.2", FOUND), ("* 91,0", WRONG), ("* x", WRONG)],
    "tag": [("* one two", FOUND), ("--remove --json * one", FOUND), ("*", WRONG)],
    "title": [("* x", FOUND), ("--json * x", FOUND), ("*", WRONG)],
    "describe": [("* x", FOUND), ("--dry-run * x", FOUND), ("*", WRONG)],
    "rotate": [("* 90", FOUND), ("--json * 270", FOUND), ("* 45", WRONG)],
    "album": [
        ("", FOUND),
        ("--json", FOUND),
        ("x", FOUND),
        ("--json x add *", FOUND),
        ("x remove *", FOUND),
        ("x ad *", WRONG),
        ("x add", WRONG),
        ("x cover", WRONG),
    ],
    "xmp": [("--dry-run", WELL), ("--json --dry-run", WELL), ("", WRONG), ("more", WRONG)],  # there is no vault yet
    "hide": [("*", FOUND), ("--off --json *", FOUND), ("", WRONG)],
    "undo": [
        ("", FOUND),
        ("--json --since 2020-01-01", FOUND),
        ("--operation 0190b5a4", FOUND),
        ("--since 18:00 --operation 0190b5a4", WRONG),
        ("--operation x", WRONG),
    ],
    "redate": [
        ("* --shift -7:12", WRONG),  # there is no vault yet
        ("*", WRONG),
        ("--shift -7:12 --set 2019 *", WRONG),
        ("--shift soon *", WRONG),
    ],
    "remove": [("*", WRONG), ("rating:", WRONG), ("", WRONG)],
    "trash": [("list", WRONG), ("restore", WRONG), ("look", WRONG), ("", WRONG)],
    "export": [
        ("* FOLDER", FOUND),
        ("--json --with-metadata year:2019 FOLDER", FOUND),
        ("--dry-run --link * FOLDER", FOUND),
        ("--link --with-metadata * FOLDER", WRONG),
        ("--link --copy * FOLDER", WRONG),
        ("* NEW", WRONG),
        ("rating: FOLDER", WRONG),
        ("*", WRONG),
    ],
    "find": [("Canon_40D.jpg", FOUND), ("--json *", FOUND), ("", WRONG)],
    "problems": [("", WELL), ("--json", WELL), ("--quiet", WELL), ("--file NAME", WRONG), ("more", WRONG)],
    "doctor": [("--jso", WRONG)],  # what it finds is this machine's
    "backup": [
        ("NEW", WELL),
        ("NEW", WRONG),
        ("--force --json NEW", WRONG),
        ("-", WELL),
        ("", WRONG),
    ],  # an empty ledger replaces none
    "restore": [("OLD", WRONG), ("", WRONG)],
    "verify": [
        ("", WRONG),  # there is no vault yet
        ("--quick", WRONG),
        ("--quick --sample 5", WRONG),
        ("--sample 0", WRONG),
        ("--budget soon", WRONG),
        ("--budget 0", WRONG),
        ("--restore-from FOLDER", WRONG),
        ("--restore-from NEW", WRONG),
        ("--restore-from PHOTO", WRONG),
        ("--accept-moves --sample 5", WRONG),
        ("--events --json", WRONG),
        ("--events --quick", WRONG),
        ("--accept words", WRONG),
    ],
    "certificate": [("a.jpg", WRONG), ("--json --page NEW a.jpg", WRONG), ("", WRONG)],  # there is no vault yet
    "safe": [
        ("PHOTO", FOUND),  # there is no vault yet
        ("--json --read --within 30 --copies 0 --receipt NEW PHOTO", FOUND),
        ("--receipt NEW PHOTO", WRONG),
        ("--copies 1 PHOTO", FOUND),
        ("--copies many PHOTO", WRONG),
        ("--within soon PHOTO", WRONG),
        ("OLD", WRONG),
        ("PHOTO PHOTO", WRONG),
        ("", WRONG),
    ],
    "account": [("FOLDER", FOUND), ("--json --read --within 30 FOLDER", FOUND), ("PHOTO", WRONG), ("", WRONG)],
    "rebuild": [
        ("--missing --dry-run", WRONG),  # there is no vault yet
        ("--undo --json", WRONG),
        ("--undo --missing", WRONG),
        ("--missing --trust-cache", WRONG),
    ],
    "copies": [  # there is no vault yet
        ("", WRONG),
        ("list", WRONG),
        ("add disk FOLDER", WRONG),
        ("run disk --limit 5M --read --json", WRONG),
        ("drill disk --day 2019-07-04", WRONG),
        ("remove disk", WRONG),
        ("more", WRONG),
    ],
    "operations": [("", WELL), ("--json", WELL), ("discard 00000000", WRONG), ("resume", WRONG), ("more", WRONG)],
    "psql": [("-c SELECT", WELL), ("-c nonsense", FOUND)],
    "password": [("", WRONG), ("--log-out-all --json", WELL)],
    "images": [("", WRONG), ("--pin", WRONG)],
    "migrate": [("", WELL)],
    "restored": [("", WELL)],
    "test": [("--version", WELL), ("--quick --stack", WRONG)],
    "check": [("more", WRONG)],
}


class Here:
    """Runs commands as `./factory` does once its environment is there."""

    def __init__(self, settings: Settings, programs: Path) -> None:
        self.settings = settings
        kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ}
        self.environment = {
            **kept,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT_ROOT),
            "FACTORY_DATA": str(settings.data),
            "DATABASE_URL": str(settings.database_url),
            "STABILITY_DELAY": "0.2",
            "MIN_FILE_AGE": "0.1",
            "DASHBOARD_PORT": "0",
            "SYNCTHING_URL": "http://127.0.0.1:1",  # nobody listens there
            "METADATA_TIME_LIMIT": "120",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "Src.Factory", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*words), env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """With what commands load."""
    named = {command.here.partition(":")[0] for command in COMMANDS if isinstance(command.here, str)}
    later = (
        "Src.Librarian.service",
        "Src.Shared.migrations",
        "Src.Shared.postgres.embedded",
        "psycopg2",
        "rich.console",
    )
    load = ("Src.Factory.cli", *sorted(named), *later)
    with Forks([sys.executable], load, PYTHONPATH=str(PROJECT_ROOT), PATH=os.environ["PATH"]) as forks:
        yield forks


@pytest.fixture
def here(factory_settings: Settings, ledger_server: EmbeddedPostgres) -> Here:
    return Here(factory_settings, ledger_server.bin)


def test_every_command_is_called() -> None:
    assert CALLS.keys() == {command.name for command in COMMANDS}


@pytest.mark.parametrize("name", CALLS)
def test_each_call_ends_with_its_code(here: Here, forks: Forks, tmp_path: Path, name: str) -> None:
    """The first in a fresh process, which loads all that the command needs; the others are cheaper."""
    files = {"PHOTO": tmp_path / "photo.jpg", "NEW": tmp_path / "new.dump", "OLD": tmp_path / "none.dump"}
    files["FOLDER"] = tmp_path / "folder"
    files["FOLDER"].mkdir()
    if name == "export":
        Vault(here.settings.storage).create()
    files["PHOTO"].write_bytes(SAMPLE.read_bytes())
    for number, (words, code) in enumerate(CALLS[name]):
        given = [name, *(str(files.get(word, word)) for word in words.split())]
        done = forks.run("Src.Factory", given, here.environment) if number else here.run(*given)
        said = done.stderr.decode(errors="replace")
        assert done.returncode == code, f"{name} {words}: {said}"
        assert "Traceback" not in said
        if code is WRONG:
            assert done.stdout == b"", "reports only"
            assert said


def test_a_photo_is_found_backed_up_and_restored(here: Here, factory_settings: Settings, tmp_path: Path) -> None:
    factory_settings.inbox.mkdir(parents=True)
    (factory_settings.inbox / "a.jpg").write_bytes(SAMPLE.read_bytes())
    target = str(tmp_path / "ledger.dump")

    assert here.run("ingest").returncode == WELL
    assert here.run("find", "a.jpg").returncode == WELL
    assert here.run("rebuild", "--missing", "--json").returncode == WELL
    said = json.loads(here.run("rebuild", "--json").stdout)
    assert (said["placed"], said["differences"]["count"], said["failed"]["count"]) == (True, 0, 0)
    assert here.run("rebuild", "--trust-cache", "--dry-run").returncode == WELL
    assert here.run("rebuild", "--undo").returncode == WRONG, "nothing was changed"
    assert here.run("backup", target).returncode == WELL
    assert here.run("restore", target).returncode == WRONG, "the ledger holds an original"
    assert here.run("restore", "--force", target).returncode == WELL
    assert here.run("find", "a.jpg").returncode == WELL


def test_photos_are_exported(here: Here, factory_settings: Settings, tmp_path: Path) -> None:
    factory_settings.inbox.mkdir(parents=True)
    (factory_settings.inbox / "a.jpg").write_bytes(SAMPLE.read_bytes())
    out = tmp_path / "out"
    out.mkdir()
    assert here.run("ingest").returncode == WELL
    done = here.run("export", "*", str(out), "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["originals"], said["copied"], said["failed"]) == (WELL, 1, 1, [])
    assert (out / "2008" / "2008-05-30" / "a.jpg").read_bytes() == SAMPLE.read_bytes()
    done = here.run("export", "*", str(out), "--link")
    assert (done.returncode, b"were there" in done.stdout) == (WELL, True)
    done = here.run("export", "--dry-run", "*", str(out))
    assert (done.returncode, b"1 original" in done.stdout) == (WELL, True)
    done = here.run("export", "--with-metadata", "*", str(factory_settings.storage))
    assert (done.returncode, b"is part of the vault's storage" in done.stderr) == (WRONG, True)


def test_up_runs_until_it_is_told_to_end(here: Here) -> None:
    with subprocess.Popen(
        here.command("up"), env=here.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if b"watching " in line:
                break
        running.send_signal(signal.SIGTERM)
        running.stdout.read()
        assert running.wait() == WELL


@pytest.mark.parametrize(("codes", "ends_with"), [((0, 0), WELL), ((0, 1), FOUND), ((1, 0), FOUND)])
def test_check_ends_with_what_it_found(
    codes: tuple[int, int], ends_with: ExitCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [(f"check {code}", (sys.executable, "-c", f"raise SystemExit({code})")) for code in codes]
    monkeypatch.setattr(development, "_CHECKS", checks)
    assert development.run_checks() == ends_with
