"""Sessions: the ledger has hashes only, a log-out ends one on the server, and an absent ledger locks nobody out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from Src.Accounts.sessions import BELIEVED_FOR, LASTS, Sessions, end_all
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.models import Account, AccountSession

PASSWORD = "correct horse"


class Ledger:
    """The way to a real ledger, which a test can take away."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.away = False

    @contextmanager
    def connect(self) -> Iterator[Session]:
        if self.away:
            raise LedgerUnavailable("it is away")
        with self.database.session() as session:
            yield session


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(ledger: Ledger, clock: Clock) -> Sessions:
    return Sessions(ledger.connect, PASSWORD, clock=clock)


def test_a_session_is_known_to_every_process_until_it_is_ended(
    sessions: Sessions, ledger: Ledger, clock: Clock
) -> None:
    other = Sessions(ledger.connect, PASSWORD, clock=clock)
    token = sessions.begin("Firefox/130", "192.0.2.7")
    assert sessions.knows(token) and other.knows(token)
    assert not sessions.knows("") and not sessions.knows(token[:-1] + ("A" if token[-1] != "A" else "B"))
    sessions.end(token)
    assert not sessions.knows(token) and not sessions.is_fresh(token)
    clock.now += BELIEVED_FOR
    assert not other.is_fresh(token)
    assert not other.knows(token)


def test_the_ledger_has_neither_token_nor_password(sessions: Sessions, ledger: Ledger) -> None:
    token = sessions.begin("a \0 browser " + "x" * 1000, "192.0.2.7")
    with ledger.connect() as session:
        row = session.scalars(select(AccountSession)).one()
        account = session.scalars(select(Account)).one()
    assert token not in repr(vars(row)) and row.token_hash != token
    assert account.password_hash.startswith("$argon2id$")
    assert len(row.device) <= 200 and "\0" not in row.device


def test_another_password_logs_everybody_out_and_the_same_one_nobody(sessions: Sessions, ledger: Ledger) -> None:
    token = sessions.begin("", "192.0.2.7")
    assert Sessions(ledger.connect, PASSWORD).knows(token)  # as after a restart
    assert not Sessions(ledger.connect, "another").knows(token)
    assert not Sessions(ledger.connect, PASSWORD).knows(token)


def test_a_session_ends_after_its_time(sessions: Sessions, ledger: Ledger, clock: Clock) -> None:
    token = sessions.begin("", "192.0.2.7")
    with ledger.connect() as session:
        session.execute(update(AccountSession).values(begun_at=datetime.now(UTC) - LASTS - timedelta(seconds=1)))
    assert not Sessions(ledger.connect, PASSWORD).knows(token)
    clock.now += LASTS.total_seconds()
    ledger.away = True
    assert not sessions.knows(token)


def test_devices_are_listed_and_ended_one_by_one_and_all_at_once(
    sessions: Sessions, ledger: Ledger, clock: Clock
) -> None:
    phone, desk = sessions.begin("phone", "192.0.2.7"), sessions.begin("desk", "192.0.2.8")
    listed = {device.device: device for device in sessions.devices()}
    assert set(listed) == {"phone", "desk"}
    assert listed["phone"].id == sessions.id_of(phone)
    sessions.end_one(listed["phone"].id)
    assert not sessions.knows(phone) and sessions.knows(desk)
    assert end_all(ledger.connect) == 1
    clock.now += BELIEVED_FOR
    assert not sessions.knows(desk)
    assert sessions.devices() == []


def test_while_the_ledger_is_away_people_log_in_and_stay_logged_in(
    sessions: Sessions, ledger: Ledger, clock: Clock
) -> None:
    before = sessions.begin("", "192.0.2.7")
    ledger.away = True
    meanwhile = sessions.begin("", "192.0.2.8")
    clock.now += 10 * BELIEVED_FOR
    assert sessions.knows(before) and sessions.knows(meanwhile)
    assert not sessions.knows("x" * 43)
    with pytest.raises(LedgerUnavailable):
        sessions.end(before)
    assert not sessions.is_fresh(before)

    ledger.away = False
    clock.now += 10 * BELIEVED_FOR
    assert sessions.knows(meanwhile)
    assert Sessions(ledger.connect, PASSWORD).knows(meanwhile), "it was not written when the ledger came back"


def test_a_visit_is_noted_now_and_then(sessions: Sessions, ledger: Ledger) -> None:
    token = sessions.begin("", "192.0.2.7")
    with ledger.connect() as session:
        session.execute(update(AccountSession).values(seen_at=datetime.now(UTC) - timedelta(hours=2)))
    assert Sessions(ledger.connect, PASSWORD).knows(token)
    [device] = sessions.devices()
    assert datetime.now(UTC) - device.seen_at < timedelta(hours=1)
