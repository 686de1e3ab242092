"""The table of files that stay in the inbox: what is saved comes back, and an absent ledger harms nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import ExecuteStyle

from Src.Library.held_files import HeldFile, HeldFilesTable, ask_for_retry, path_id
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.promise import ledger_rows

PARTS = (
    st.binary(min_size=1, max_size=100)
    .map(lambda name: os.fsdecode(name.replace(b"\0", b"0").replace(b"/", b"-")))
    .filter(lambda name: name not in (".", ".."))
)
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
FAILING = HeldFile("a/b.jpg", "failing", 10, 20, 30, 2, "cannot be read: Input/output error", AT)
NOTES = HeldFile("notes.txt", "not_media", 1, 2, 3)


@pytest.fixture
def table(database: Database) -> HeldFilesTable:
    return HeldFilesTable(database)


def rows(table: HeldFilesTable) -> list[HeldFile]:
    loaded = table.load()
    assert loaded is not None
    return sorted(loaded, key=lambda held: held.original_path)


def test_what_is_saved_is_loaded(table: HeldFilesTable) -> None:
    assert rows(table) == []
    assert table.save([FAILING, NOTES])
    assert rows(table) == [FAILING, NOTES]


def test_a_file_has_one_row_that_is_replaced_and_remembers_when_it_was_first_seen(
    table: HeldFilesTable, factory_settings: Settings
) -> None:
    table.save([FAILING])
    first = ledger_rows(factory_settings, "SELECT * FROM inbox_files")[0]
    dead = replace(FAILING, state="dead_letter", attempts=8, next_try_at=None)
    table.save([replace(FAILING, attempts=3), dead])  # the last word counts
    assert rows(table) == [dead]
    after = ledger_rows(factory_settings, "SELECT * FROM inbox_files")[0]
    assert after["first_seen_at"] == first["first_seen_at"] and after["updated_at"] > first["updated_at"]


def test_what_has_left_is_forgotten_and_nothing_else(table: HeldFilesTable) -> None:
    table.save([FAILING, NOTES])
    assert table.forget([FAILING.original_path, "never seen.jpg"])
    assert rows(table) == [NOTES]


def test_thousands_at_once(table: HeldFilesTable) -> None:
    many = [replace(NOTES, original_path=f"{number}.txt") for number in range(2500)]
    assert table.save(many)
    assert len(rows(table)) == 2500
    assert table.forget([held.original_path for held in many[:2400]])
    assert len(rows(table)) == 100


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    path=st.lists(PARTS, min_size=1, max_size=5).map("/".join),
    error=st.none() | st.text(min_size=1),
    mtime_ns=st.integers(-(2**63) + 1, 2**63 - 1),
    inode=st.integers(0, 2**64 - 1),
)
def test_any_path_any_message_and_any_inode_come_back(
    table: HeldFilesTable, path: str, error: str | None, mtime_ns: int, inode: int
) -> None:
    held = HeldFile(path, "failing", 2**62, mtime_ns, inode, 1, error, AT)
    assert table.save([held])
    (loaded,) = rows(table)
    assert replace(loaded, last_error=None) == replace(held, last_error=None)
    assert table.forget([path])
    assert rows(table) == []


@pytest.mark.parametrize("path", ["../secret.jpg", "a/../../secret.jpg", "/etc/passwd", "a//b.jpg", ".", "", r"a\x2fb"])
def test_a_row_that_leads_out_of_the_inbox_is_not_believed(
    table: HeldFilesTable, factory_settings: Settings, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    table.save([NOTES, replace(FAILING, original_path="to be changed.jpg")])
    with Database(factory_settings).session() as session:
        session.execute(text("UPDATE inbox_files SET original_path = :path WHERE state = 'failing'"), {"path": path})
    assert rows(table) == [NOTES]
    assert rows(table) == [NOTES]
    assert caplog.text.count("leads out of the inbox") == 1, "said once"


def test_a_time_that_the_ledger_cannot_hold_is_no_error(table: HeldFilesTable) -> None:
    assert table.save([replace(NOTES, mtime_ns=2**70), replace(FAILING, mtime_ns=-(2**70))])
    assert len(rows(table)) == 2


def test_a_retry_makes_failing_files_and_dead_letters_due_with_all_their_attempts(
    table: HeldFilesTable, database: Database
) -> None:
    dead = HeldFile("dead.jpg", "dead_letter", 1, 1, 1, 8, "no use", None)
    table.save([FAILING, dead, NOTES])
    assert ask_for_retry(database) == 2
    failing, revived, notes = sorted(
        rows(table), key=lambda held: ["a/b.jpg", "dead.jpg"].count(held.original_path) == 0
    )
    for held in (failing, revived):
        assert (held.state, held.attempts) == ("failing", 0)
        assert held.next_try_at is not None
        assert abs(held.next_try_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert notes == NOTES


def test_while_the_ledger_is_away_nothing_is_raised(factory_settings: Settings) -> None:
    nowhere = replace(factory_settings, database_url="postgresql+psycopg2://nobody@/none?host=/nonexistent")
    table = HeldFilesTable(Database(nowhere))
    assert table.load() is None
    assert not table.save([NOTES])
    assert not table.forget(["notes.txt"])


def test_the_ledger_is_not_asked_before_it_is_ready(database: Database) -> None:
    table = HeldFilesTable(database, lambda: False)
    assert table.load() is None and not table.save([NOTES]) and not table.forget(["notes.txt"])
    assert rows(HeldFilesTable(database)) == []


def test_the_number_of_statements_grows_with_batches_not_files(database: Database, table: HeldFilesTable) -> None:
    rows(table)
    count = 0

    def note(_connection: Any, _cursor: Any, _sql: str, parameters: Any, context: Any, _many: bool) -> None:
        nonlocal count
        count += len(parameters) if context.execute_style is ExecuteStyle.EXECUTEMANY else 1

    assert database._engine is not None
    event.listen(database._engine, "before_cursor_execute", note)
    costs = []
    for size in (10, 100):
        count = 0
        many = [replace(NOTES, original_path=f"{size}/{number}") for number in range(size)]
        table.save(many)
        table.forget([held.original_path for held in many])
        costs.append(count)
    assert costs[0] == costs[1]


def test_the_key_of_a_path_is_of_its_bytes(table: HeldFilesTable) -> None:
    paths = ["a", "a/b", "a\\x00", "caf\udce9", "caf\\xe9", "é", "e\u0301"]
    assert len({path_id(path) for path in paths}) == len(paths)
    assert path_id("a/b") == path_id("a/b")
