"""Commands leave the signed lists up to date, `verify` compares them, `status` says how far behind they are."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from Src.Factory import batch
from Src.Factory.albums import album
from Src.Factory.batch import run_import, run_ingest, run_retry
from Src.Factory.decide import rate
from Src.Factory.lists import lists_after
from Src.Factory.redate import run_redate
from Src.Factory.removing import run_remove, run_trash
from Src.Factory.verify import run_verify
from Src.Librarian.watch.inbox_lock import InboxLock
from Src.Library.custody.manifests import lines
from Src.Library.custody.manifests.behind import manifests_behind
from Src.Library.custody.manifests.writing import Manifests, Written
from Src.Library.file_acts import FileActs, Progress
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.ledger_look import look_into_ledger
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.roles import as_service

CANON = (PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples" / "Canon_40D.jpg").read_bytes()
DAY, NEW_DAY = "2008/2008-05-30", "2008/2008-05-31"


def verified(settings: Settings, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run_verify(settings, quick=True, sample=None, budget=None, as_json=True)
    said: dict[str, Any] = json.loads(capsys.readouterr().out)["manifests"]
    return code, said


def listed(settings: Settings, day: str) -> set[str]:
    path = settings.storage / "Manifests" / f"{day}.sha256"
    return set(lines.read(path.read_bytes())) if path.exists() else set()


def test_commands_leave_them_up_to_date(
    factory_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = as_service(replace(factory_settings, readers=1), "factory")
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        (source / f"{number}.jpg").write_bytes(CANON + b"%d" % number)
    assert run_import(settings, sources=[str(source)], move=False, as_json=True) == ExitCode.WELL
    assert listed(settings, DAY) == {f"{DAY}/{number}.jpg" for number in range(3)}
    said = {"as_json": True, "dry_run": False}
    assert run_redate(settings, selection="name:0*", shift="+24:00", set_to=None, every=None, **said) == ExitCode.WELL
    assert (len(listed(settings, DAY)), listed(settings, NEW_DAY)) == (2, {f"{NEW_DAY}/0.jpg"})
    assert run_remove(settings, selection="name:0*", **said) == ExitCode.WELL
    assert listed(settings, NEW_DAY) == set()
    code, found = verified(settings, capsys)
    assert (code, found["days"], found["days_behind"], found["wrong"]) == (ExitCode.WELL, 1, 0, [])

    path = settings.storage / "Manifests" / f"{DAY}.sha256"
    path.write_bytes(path.read_bytes().replace(b"1.jpg", b"7.jpg"))
    code, found = verified(settings, capsys)
    assert (code, found["wrong"]) == (ExitCode.FOUND, [f"{DAY}.sha256"])
    assert run_verify(settings, quick=True, sample=None, budget=None, as_json=False) == ExitCode.FOUND
    assert "another one than the chain names" in " ".join(capsys.readouterr().out.split())


def rated(settings: Settings, *, dry_run: bool = False) -> int:
    return rate(settings, selection="*", rating="3", as_json=True, dry_run=dry_run)


def imported(settings: Settings, tmp_path: Path, *names: str) -> int:
    source = tmp_path / "source"
    source.mkdir(exist_ok=True)
    for name in names:
        (source / name).write_bytes(CANON + name.encode())
    return run_import(settings, sources=[str(source)], move=False, as_json=True)


@pytest.fixture
def settings(factory_settings: Settings) -> Settings:
    return as_service(replace(factory_settings, readers=1), "factory")


def test_who_only_looks_writes_none_and_makes_no_key(settings: Settings, tmp_path: Path) -> None:
    with closing(lock_inbox(settings)):  # a Librarian runs, and writes them
        assert imported(settings, tmp_path, "a.jpg") == ExitCode.WELL
    run_trash(settings, words=["list"], yes=False, really=False, as_json=True, dry_run=False)
    run_remove(settings, selection="*", as_json=True, dry_run=True)
    rated(settings, dry_run=True)
    album(settings, name=None, action=None, selection=None, as_json=True, dry_run=False)
    assert not (settings.storage / "Manifests").exists()
    assert not (settings.storage / ".factory" / "manifests").exists()
    assert run_ingest(settings, as_json=True) == ExitCode.WELL
    assert listed(settings, DAY) == {f"{DAY}/a.jpg"}


def test_the_report_comes_first_and_ctrl_c_ends_the_rest_quietly(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, said = Manifests.write, []

    def interrupted(self: Manifests) -> Written:
        said.append(capsys.readouterr().out)
        os.kill(os.getpid(), signal.SIGINT)
        return write(self, 1)

    monkeypatch.setattr(Manifests, "write", interrupted)
    assert imported(settings, tmp_path, "a.jpg", "b.jpg") == ExitCode.WELL
    assert ["readings" in json.loads(one) for one in said] == [True]
    (settings.storage / "Manifests" / "chain.log").unlink(missing_ok=True)
    acts: list[Callable[[], int]] = [
        lambda: rated(settings),
        lambda: run_remove(settings, selection="*", as_json=True, dry_run=False),
    ]
    for act in acts:
        said.clear()
        with closing(Database(settings)) as database, database.session() as session:
            session.execute(text("INSERT INTO manifest_marks (day) VALUES ('2008-05-30'), ('2008-05-31')"))
        assert act() == ExitCode.WELL
        assert len(said) == 1 and "act" in json.loads(said[0])


def test_an_act_that_fails_halfway_leaves_them_up_to_date(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert imported(settings, tmp_path, "a.jpg", "b.jpg") == ExitCode.WELL
    steps = FileActs.steps

    def failing(self: FileActs, act: Any) -> Iterator[Progress]:
        yield from steps(self, act)
        raise VaultTrouble("unplugged")

    monkeypatch.setattr(FileActs, "steps", failing)
    with pytest.raises(VaultTrouble, match="unplugged"):
        run_remove(settings, selection="name:a*", as_json=True, dry_run=False)
    assert listed(settings, DAY) == {f"{DAY}/b.jpg"}


def test_an_act_that_fails_before_it_changes_anything_signs_nothing(settings: Settings, tmp_path: Path) -> None:
    assert imported(settings, tmp_path, "a.jpg") == ExitCode.WELL
    with closing(Database(settings)) as database:
        with database.session() as session:
            session.execute(
                text("INSERT INTO manifest_marks (day, marked_at) VALUES ('2008-05-30', now() - interval '1 day')")
            )
        with pytest.raises(VaultTrouble), lists_after(settings, database, lambda: True):
            raise VaultTrouble("a wrong name")
        assert marks(database) == 1
        with pytest.raises(VaultTrouble), lists_after(settings, database, lambda: True):
            mark_and_fail(database)
        assert marks(database) == 0


def mark_and_fail(database: Database) -> None:
    with database.session() as session:
        session.execute(text("INSERT INTO manifest_marks (day) VALUES ('2008-05-31')"))
    raise VaultTrouble("unplugged")


def marks(database: Database) -> int:
    with database.session() as session:
        return int(session.execute(text("SELECT count(*) FROM manifest_marks")).scalar_one())


@pytest.mark.parametrize("failed", [0, 1])
def test_retry_reports_before_it_signs(
    failed: int,
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert imported(settings, tmp_path, "a.jpg") == ExitCode.WELL
    with closing(Database(settings)) as database, database.session() as session:
        session.execute(text("INSERT INTO manifest_marks (day) VALUES ('2008-05-30')"))
    write, said = Manifests.write, []
    settings.inbox.mkdir(exist_ok=True)
    capsys.readouterr()

    def seen(self: Manifests) -> Written:
        said.append(capsys.readouterr().out)
        return write(self)

    monkeypatch.setattr(Manifests, "write", seen)
    monkeypatch.setattr(batch, "ask_for_retry", lambda _: failed)
    assert run_retry(settings, as_json=True) == ExitCode.WELL
    assert [("readings" if failed else "asked") in json.loads(one) for one in said] == [True]


def lock_inbox(settings: Settings) -> ExitStack:
    settings.inbox.mkdir(parents=True, exist_ok=True)
    stack, lock = ExitStack(), InboxLock(settings.inbox, settings.state / "librarian.lock")
    stack.callback(lock.release)
    assert lock.acquire()
    return stack


def test_how_far_they_are_behind_is_said(factory_settings: Settings) -> None:
    with closing(Database(factory_settings)) as database:
        database.ensure_ready()
        with database.session() as session:
            session.execute(
                text(
                    "INSERT INTO manifest_marks (day, marked_at) VALUES ('2024-07-01', now() - interval '1 hour'), "
                    "('2024-07-01', now()), ('2024-07-02', now())"
                )
            )
    with look_into_ledger(factory_settings, "factory") as ask:
        behind = manifests_behind(ask)
    assert behind.as_json()["days_behind"] == 2
    assert "the signed lists of 2 days have been out of date since" in str(behind.words())
    assert behind._replace(is_late=False).words() is None
    assert "are being written" in str(behind._replace(is_librarian_up=True).words())
    assert "was ever written" in str(behind._replace(is_late=False, are_originals=True).words())
