"""The register of files that stay in the inbox: what it is told comes back, and an absent ledger harms nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.engine.interfaces import ExecuteStyle

from Src.Librarian.inbox_register import InboxRegister, Stays, ask_for_retry, path_id
from Src.Librarian.tests.promise import ledger_rows
from Src.Shared.database import Database
from Src.Shared.settings import Settings

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
FAILING = Stays("a/b.jpg", "failing", 10, 20, 30, 2, "cannot be read: Input/output error", AT)
NOTES = Stays("notes.txt", "not_media", 1, 2, 3)


@pytest.fixture
def register(database: Database) -> InboxRegister:
    return InboxRegister(database)


def rows(register: InboxRegister) -> list[Stays]:
    loaded = register.load()
    assert loaded is not None
    return sorted(loaded, key=lambda stays: stays.original_path)


def test_what_is_saved_is_loaded(register: InboxRegister) -> None:
    assert rows(register) == []
    assert register.save([FAILING, NOTES])
    assert rows(register) == [FAILING, NOTES]


def test_a_file_has_one_row_that_is_replaced_and_remembers_when_it_was_first_seen(
    register: InboxRegister, factory_settings: Settings
) -> None:
    register.save([FAILING])
    first = ledger_rows(factory_settings, "SELECT * FROM inbox_files")[0]
    dead = replace(FAILING, state="dead_letter", attempts=8, next_try_at=None)
    register.save([replace(FAILING, attempts=3), dead])  # the last word counts
    assert rows(register) == [dead]
    after = ledger_rows(factory_settings, "SELECT * FROM inbox_files")[0]
    assert after["first_seen_at"] == first["first_seen_at"] and after["updated_at"] > first["updated_at"]


def test_what_has_left_is_forgotten_and_nothing_else(register: InboxRegister) -> None:
    register.save([FAILING, NOTES])
    assert register.forget([FAILING.original_path, "never seen.jpg"])
    assert rows(register) == [NOTES]


def test_thousands_at_once(register: InboxRegister) -> None:
    many = [replace(NOTES, original_path=f"{number}.txt") for number in range(2500)]
    assert register.save(many)
    assert len(rows(register)) == 2500
    assert register.forget([stays.original_path for stays in many[:2400]])
    assert len(rows(register)) == 100


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    path=st.binary(min_size=1, max_size=400).map(lambda name: os.fsdecode(name.replace(b"\0", b"0"))),
    error=st.none() | st.text(min_size=1),
    mtime_ns=st.integers(-(2**63) + 1, 2**63 - 1),
    inode=st.integers(0, 2**64 - 1),
)
def test_any_path_any_message_and_any_inode_come_back(
    register: InboxRegister, path: str, error: str | None, mtime_ns: int, inode: int
) -> None:
    stays = Stays(path, "failing", 2**62, mtime_ns, inode, 1, error, AT)
    assert register.save([stays])
    (loaded,) = rows(register)
    assert replace(loaded, last_error=None) == replace(stays, last_error=None)
    assert register.forget([path])
    assert rows(register) == []


def test_a_time_that_the_ledger_cannot_hold_is_no_error(register: InboxRegister) -> None:
    assert register.save([replace(NOTES, mtime_ns=2**70), replace(FAILING, mtime_ns=-(2**70))])
    assert len(rows(register)) == 2


def test_a_retry_makes_failing_files_and_dead_letters_due_with_all_their_attempts(
    register: InboxRegister, database: Database
) -> None:
    dead = Stays("dead.jpg", "dead_letter", 1, 1, 1, 8, "no use", None)
    register.save([FAILING, dead, NOTES])
    assert ask_for_retry(database) == 2
    failing, revived, notes = sorted(
        rows(register), key=lambda stays: ["a/b.jpg", "dead.jpg"].count(stays.original_path) == 0
    )
    for stays in (failing, revived):
        assert (stays.state, stays.attempts) == ("failing", 0)
        assert stays.next_try_at is not None
        assert abs(stays.next_try_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert notes == NOTES


def test_while_the_ledger_is_away_nothing_is_raised(factory_settings: Settings) -> None:
    nowhere = replace(factory_settings, database_url="postgresql+psycopg2://nobody@/none?host=/nonexistent")
    register = InboxRegister(Database(nowhere))
    assert register.load() is None
    assert not register.save([NOTES])
    assert not register.forget(["notes.txt"])


def test_the_ledger_is_not_asked_before_it_is_ready(database: Database) -> None:
    register = InboxRegister(database, lambda: False)
    assert register.load() is None and not register.save([NOTES]) and not register.forget(["notes.txt"])
    assert rows(InboxRegister(database)) == []


def test_the_number_of_statements_grows_with_batches_not_files(database: Database, register: InboxRegister) -> None:
    rows(register)
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
        register.save(many)
        register.forget([stays.original_path for stays in many])
        costs.append(count)
    assert costs[0] == costs[1]


def test_the_key_of_a_path_is_of_its_bytes(register: InboxRegister) -> None:
    paths = ["a", "a/b", "a\\x00", "caf\udce9", "caf\\xe9", "é", "e\u0301"]
    assert len({path_id(path) for path in paths}) == len(paths)
    assert path_id("a/b") == path_id("a/b")
