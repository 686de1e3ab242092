"""`problems`: each with its reason and what to do, and an exit code for cron."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select

from Src.Dashboard.health import Service, Situation, verdict
from Src.Factory import show_problems as module
from Src.Factory.batch import run_retry
from Src.Factory.problems import Problem
from Src.Factory.show_problems import show_problems
from Src.Factory.show_status import show_status
from Src.Librarian.watch.inbox_lock import InboxLock
from Src.Library.held_files import path_id
from Src.Library.held_words import FAILED
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.models import InboxFile, OriginalFinding
from Src.Shared.settings import Settings


@pytest.fixture
def database(factory_settings: Settings) -> Iterator[Database]:
    factory_settings.inbox.mkdir(parents=True)
    database = Database(factory_settings, service="test")
    database.ensure_ready()
    yield database
    database.close()


def held(database: Database, path: str, state: str, reason: str | None = None) -> None:
    row = {"path_id": uuid.uuid4(), "original_path": path, "state": state, "last_error": reason}
    with database.session() as session:
        session.execute(insert(InboxFile).values(**row, file_size=1, mtime_ns=0, inode=0))


def harmed(database: Database, finding: str) -> None:
    row = {"asset_id": uuid.uuid4(), "finding": finding, "final_path": "Originals/2024/2024-05-01/a.jpg"}
    with database.session() as session:
        session.execute(insert(OriginalFinding).values(**row, message="no file stands there"))


def listed(settings: Settings, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    show_problems(settings, as_json=True, quiet=False)
    problems: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["problems"]
    return problems


def test_without_problems_quiet_prints_nothing(
    factory_settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    held(database, "note.txt", "not_media")
    assert show_problems(factory_settings, as_json=False, quiet=True) is ExitCode.WELL
    assert capsys.readouterr().out == ""
    assert show_problems(factory_settings, as_json=False, quiet=False) is ExitCode.WELL
    assert "No problems" in capsys.readouterr().out


def test_each_has_its_reason_and_what_to_do(
    factory_settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    held(database, "link", "link", "a symbolic link")
    held(database, "b.jpg", "failing", "truncated")
    held(database, "a.jpg", "dead_letter", "no access")
    found = listed(factory_settings, capsys)
    assert [(one["path"], one["reason"]) for one in found] == [
        ("a.jpg", "no access"), ("b.jpg", "truncated"), ("link", "a symbolic link"),
    ]  # fmt: skip
    assert all(one["fix"] for one in found)
    assert "./factory retry" in found[0]["fix"]
    assert show_problems(factory_settings, as_json=False, quiet=True) is ExitCode.FOUND
    assert "truncated" in capsys.readouterr().out


@pytest.mark.parametrize(("finding", "code"), [("gone", ExitCode.ERROR), ("writable", ExitCode.FOUND)])
def test_a_photo_that_is_harmed_is_an_error(
    factory_settings: Settings, database: Database, finding: str, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    harmed(database, finding)
    assert show_problems(factory_settings, as_json=False, quiet=False) is code
    assert "Originals/2024/2024-05-01/a.jpg" in capsys.readouterr().out


def test_a_damaged_photo_that_was_moved_aside_is_listed(
    factory_settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    aside = factory_settings.state / "damaged" / "2024-05-01" / "a.jpg.12345678"
    aside.parent.mkdir(parents=True)
    aside.touch()
    [one] = listed(factory_settings, capsys)
    assert one["kind"] == "damaged" and one["path"].endswith("a.jpg.12345678")


def test_a_missing_permission_names_the_owner_and_who_we_are(
    factory_settings: Settings, database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (factory_settings.inbox / "a.jpg").touch()
    held(database, "a.jpg", "dead_letter", "Permission denied")
    [one] = listed(factory_settings, capsys)
    assert "PUID" not in one["fix"], "it can be read now"

    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "open_beneath", refused)
    monkeypatch.setattr("os.geteuid", lambda: 4_000_000)
    [one] = listed(factory_settings, capsys)
    owner = (factory_settings.inbox / "a.jpg").stat().st_uid
    assert f"user {owner}" in one["fix"] and "user 4000000" in one["fix"] and "PUID" in one["fix"]


def test_a_sidecar_without_a_photo_is_filed_when_a_person_says_so(
    factory_settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("a/x.AAE", "b/x.AAE", "b/ax.AAE"):
        with database.session() as session:
            row = {"path_id": path_id(path), "original_path": path, "state": "sidecar", "last_error": "no photo"}
            session.execute(insert(InboxFile).values(**row, file_size=1, mtime_ns=0, inode=0))
    held(database, "music.mp3", "not_media")
    [first, *_] = listed(factory_settings, capsys)
    assert "--file" in first["fix"]
    for name in ("none.AAE", "music.mp3", "x"):
        with pytest.raises(Problem, match="no file of that name"):
            show_problems(factory_settings, as_json=False, quiet=False, file=name)
    with pytest.raises(Problem, match="several"):
        show_problems(factory_settings, as_json=False, quiet=False, file="x.AAE")

    lock = InboxLock(factory_settings.inbox, factory_settings.state / "librarian.lock")
    assert lock.acquire()
    try:
        assert show_problems(factory_settings, as_json=True, quiet=False, file="a/x.AAE") is ExitCode.WELL
    finally:
        lock.release()
    assert json.loads(capsys.readouterr().out) == {"asked": ["a/x.AAE"], "running": True}
    with database.session() as session:
        asked = session.execute(select(InboxFile.original_path).where(InboxFile.file_anyway)).scalars().all()
    assert asked == ["a/x.AAE"]


def test_a_file_that_is_gone_is_no_question_of_permission(
    factory_settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    held(database, "gone.jpg", "failing", "Input/output error")
    [one] = listed(factory_settings, capsys)
    assert "tried again" in one["fix"]


def test_all_who_count_what_failed_have_the_same_number_and_words(
    factory_settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, state in {"a.jpg": "failing", "b.jpg": "failing", "c.jpg": "dead_letter"}.items():
        (factory_settings.inbox / name).write_bytes(b"x")
        held(database, name, state, "Input/output error")
    show_status(factory_settings, as_json=False, quiet=False, readers=False)
    assert "3 files failed, 1 of them for good" in capsys.readouterr().out
    kinds = [one["kind"] for one in listed(factory_settings, capsys)]
    assert sorted(kinds) == ["dead_letter", "failing", "failing"]
    show_problems(factory_settings, as_json=False, quiet=False)
    shown = capsys.readouterr().out
    assert (shown.count(FAILED["failing"]), shown.count(FAILED["dead_letter"])) == (2, 1)
    well = Service("librarian", "OK", 1.0)
    sentence = verdict(Situation([well], failing=2, dead_letters=1)).sentence
    assert sentence == "3 files failed, 1 of them for good; see Problems"
    running = InboxLock(factory_settings.inbox, factory_settings.state / "librarian.lock")
    assert running.acquire()
    try:
        run_retry(factory_settings, as_json=False)
        assert "3 files failed: tried again" in capsys.readouterr().out
    finally:
        running.release()


def test_where_nothing_failed_retry_says_so_and_what_of_an_import(
    factory_settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_retry(factory_settings, as_json=False) == ExitCode.WELL
    assert "0 files failed in the inbox. What failed in an import: import it again." in capsys.readouterr().out
