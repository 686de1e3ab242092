"""`copies` as people and programs call it, and what `safe` says of copies."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from Src.Factory import copies, receipts
from Src.Factory.batch import run_import
from Src.Factory.certificate import run_certificate
from Src.Factory.problems import Problem
from Src.Factory.verify import run_verify
from Src.Library.custody.copies.trouble import CopyTrouble
from Src.Library.tests.spoiling import flip_a_bit
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.settings import PROJECT_ROOT, Settings

CANON = (PROJECT_ROOT / "Src/Librarian/tests/samples/Canon_40D.jpg").read_bytes()
COUNT = 3

Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    card = tmp_path / "card"
    card.mkdir()
    for number in range(COUNT):
        (card / f"IMG_{number}.jpg").write_bytes(CANON + b"%d" % number)
    return card


@pytest.fixture
def factory(
    factory_settings: Settings,
    database: Database,
    card: Path,
    ledger_server: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Settings:
    monkeypatch.setenv("PATH", f"{ledger_server.bin}:{os.environ['PATH']}")
    assert run_import(factory_settings, sources=[str(card)], move=False, as_json=True) == ExitCode.WELL
    capsys.readouterr()
    return factory_settings


@pytest.fixture
def ask(factory: Settings, capsys: pytest.CaptureFixture[str]) -> Ask:
    def call(*words: str, **more: Any) -> tuple[int, dict[str, Any]]:
        code = copies.run_copies(factory, words=words, as_json=True, **more)
        return code, json.loads(capsys.readouterr().out)

    return call


def test_from_add_to_remove(
    ask: Ask, factory: Settings, database: Database, card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    assert ask("add", "disk", str(disk))[0] == ExitCode.WELL
    code, said = ask("run", "disk", limit="500M")
    assert (code, said["copied"], said["there"], said["originals"], said["failed"], said["wrong"]) == (
        *(ExitCode.WELL, COUNT, COUNT, COUNT),
        *({}, {}),
    )
    assert (disk / said["database"]).is_file() and len(list((factory.state / "database").iterdir())) == 1
    hash_line = (disk / f"{said['database']}.sha256").read_text()
    assert hash_line.endswith(f"  {said['database'].partition('/')[2]}\n")

    code, said = ask("drill", "disk")
    assert (code, said["well"], said["ok"], said["wrong"], said["database"]["ok"]) == (
        *(ExitCode.WELL, True, COUNT),
        *({}, True),
    )
    code, said = ask("list")
    [one] = said["copies"]
    assert (one["originals"], one["missing"], one["drill"]["well"]) == (COUNT, 0, True)
    assert said["three_two_one"]["reached"] is False
    assert copies.run_copies(factory, words=(), as_json=False) == ExitCode.WELL
    shown = capsys.readouterr().out
    assert "3-2-1 is not reached" in shown and "well, " in shown

    def own_disk(answer: bool) -> None:
        with database.session() as session:
            session.execute(text("UPDATE copies SET has_own_disk = :answer"), {"answer": answer})

    def safe(wanted: str) -> set[tuple[str, int]]:
        receipts.run_safe(factory, source=str(card), read=True, within=None, copies=wanted, receipt=None, as_json=True)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return {(line["verdict"], line["copies"]) for line in lines}

    assert (safe("0"), safe("1")) == ({("safe", 0)}, {("not_reread", 0)}), "it is on the vault's disk"
    own_disk(True)
    assert (safe("0"), safe("1"), safe("2")) == ({("safe", 1)}, {("safe", 1)}, {("not_reread", 1)})
    assert ask("remove", "disk")[0] == ExitCode.WELL
    assert (safe("0"), safe("1")) == ({("safe", 0)}, {("not_reread", 0)})
    assert (disk / "Originals").is_dir(), "nothing is removed there"


def test_what_is_wrong_is_restored_from_a_copy(
    ask: Ask, factory: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    ask("add", "disk", str(disk))
    ask("run", "disk")
    paths = sorted(factory.originals.rglob("*.jpg"))
    was = [path.read_bytes() for path in paths]
    names = [str(path.relative_to(factory.storage)) for path in paths]
    flip_a_bit(paths[0])
    paths[1].unlink()

    def verify() -> tuple[int, dict[str, Any]]:
        given: dict[str, Any] = {"quick": False, "sample": None, "budget": None, "restore_from": "disk"}
        code = run_verify(factory, **given, as_json=True)
        return code, json.loads(capsys.readouterr().out)

    disk.rename(tmp_path / "away")
    code, said = verify()
    assert (code, said["changed"], said["missing"], said["restored"]) == (ExitCode.FOUND, names[:1], names[1:2], [])
    assert said["trouble"].startswith("--restore-from disk: ") and "plug the disk in" in said["trouble"]
    assert all("plug the disk in" in said["why"][name] for name in names[:2]), said["why"]
    (tmp_path / "away").rename(disk)
    code, said = verify()
    assert (code, said["restored"], said["trouble"]) == (ExitCode.WELL, names[:2], ""), said["why"]
    assert [path.read_bytes() for path in paths] == was
    name = hashlib.sha256(was[0]).hexdigest()
    assert (
        run_certificate(factory, name=name, page=None, as_json=True) == ExitCode.WELL
    )  # that it was restored is sealed
    assert "restored" in json.loads(capsys.readouterr().out)["events"][-1]["line"]
    paths[1].unlink()
    for path in disk.rglob(paths[1].name):
        path.unlink()
    code, said = verify()
    assert (code, said["missing"], said["complete"]) == (ExitCode.FOUND, names[1:2], True)
    assert "is not there any more" in said["why"][names[1]]


def test_a_database_that_rots_at_the_copy_is_found_by_a_drill(ask: Ask, tmp_path: Path) -> None:
    ask("add", "disk", str(tmp_path / "disk"))
    _, said = ask("run", "disk")
    dump = tmp_path / "disk" / said["database"]
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    code, said = ask("drill", "disk")
    assert (code, said["well"], said["database"]["ok"]) == (ExitCode.FOUND, False, False)


def test_an_unplugged_disk_is_one_line(ask: Ask, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    ask("add", "disk", str(disk))
    disk.rename(tmp_path / "away")
    for verb in ("run", "drill"):
        with pytest.raises(CopyTrouble, match="no such folder; plug the disk in") as caught:
            ask(verb, "disk")
        assert caught.value.exit_code == ExitCode.WRONG
    assert ask("list")[1]["copies"][0]["originals"] == 0


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (("add", "disk"), {}, "say add NAME TARGET"),
        (("fill", "disk"), {}, "say add NAME TARGET"),
        (("run", "disk"), {"limit": "fast"}, "no number of bytes"),
        (("run", "disk"), {"limit": "0"}, "no number of bytes"),
        (("run", "disk"), {"day": "2019-07-04"}, "--day goes with drill"),
        (("list",), {"limit": "5M"}, "--limit goes with"),
        (("add", "../x", "/tmp"), {}, "is no name"),
    ],
)
def test_wrong_words_are_refused(
    factory_settings: Settings, words: tuple[str, ...], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(Problem, match=said):
        copies.run_copies(factory_settings, words=words, as_json=True, **given)
