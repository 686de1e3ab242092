"""Heartbeats: written as they should be, and never a burden to their service."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from Src.Shared import heartbeat_service as module
from Src.Shared import liveness
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.heartbeat_service import HeartbeatService
from Src.Shared.instance import Instance
from Src.Shared.liveness import LivenessFile, Lives, problem_with
from Src.Shared.models import SystemStatus, SystemStatusHistory
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.patience import wait_until

HOUR = 3600.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHANGE_INTERVAL", 0.05)
    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.05)
    monkeypatch.setattr(module, "STOP_LIMIT", 60.0)  # but the last heartbeat may be late


@contextmanager
def _beating(database: Database, interval: float = HOUR, **values: Any) -> Iterator[HeartbeatService]:
    service = HeartbeatService(database, "librarian", interval, **values)
    service.start()
    try:
        yield service
    finally:
        service.stop()


def _latest(database: Database) -> SystemStatus:
    with database.session() as session:
        return session.scalars(select(SystemStatus)).one()


def _history(database: Database) -> list[tuple[str, str | None]]:
    with database.session() as session:
        rows = session.scalars(select(SystemStatusHistory).order_by(SystemStatusHistory.id)).all()
    return [(row.status, row.current_task) for row in rows]


def _tables(database: Database) -> int:
    with database.session() as session:
        return session.scalar(text("SELECT count(*) FROM pg_tables WHERE tablename = 'system_status'")) or 0


class Outage:
    """A Database whose ledger can be away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.error: Exception | None = None
        self.refused = 0

    def ensure_ready(self, wait: float) -> None:
        self._refuse()
        self._database.ensure_ready(wait)

    @contextmanager
    def session(self) -> Iterator[Any]:
        self._refuse()
        with self._database.session() as session:
            yield session

    def _refuse(self) -> None:
        if self.error is not None:
            self.refused += 1
            raise self.error


# What is written


def test_the_first_heartbeat_comes_at_once_and_the_last_at_the_end(database: Database) -> None:
    with _beating(database):
        wait_until(lambda: _history(database) == [("OK", "starting")])
    assert _history(database) == [("OK", "starting"), ("OK", "stopped")]
    latest = _latest(database)
    assert (latest.service_name, latest.status, latest.current_task) == ("librarian", "OK", "stopped")
    assert latest.interval_seconds == HOUR


def test_the_first_heartbeat_makes_the_tables(database: Database) -> None:
    with database.session() as session:
        session.execute(text("DROP SCHEMA public CASCADE"))
        session.execute(text("CREATE SCHEMA public"))
    with _beating(database):
        wait_until(lambda: _tables(database) > 0 and len(_history(database)) == 1)


def test_heartbeats_go_on(database: Database) -> None:
    with _beating(database, interval=0.02):
        wait_until(lambda: len(_history(database)) >= 4)
        first = _latest(database).last_heartbeat
        wait_until(lambda: _latest(database).last_heartbeat > first)


def test_a_change_of_status_is_written_at_once(database: Database) -> None:
    with _beating(database) as service:
        wait_until(lambda: len(_history(database)) == 1)
        service.report("ERROR", "placing", "the disk is full", {"free": 0})
        wait_until(lambda: len(_history(database)) == 2)
        latest = _latest(database)
        assert (latest.status, latest.message, latest.details) == ("ERROR", "the disk is full", {"free": 0})
        service.report("OK", "placing")
        wait_until(lambda: len(_history(database)) == 3)
        latest = _latest(database)
        assert (latest.status, latest.message, latest.details) == ("OK", None, None)


def test_a_change_of_task_waits_for_the_next_heartbeat(database: Database) -> None:
    with _beating(database) as service:
        wait_until(lambda: len(_history(database)) == 1)
        for number in range(1000):
            service.report("OK", f"file {number}")
        service.report("WARNING", "file 1000")
        wait_until(lambda: len(_history(database)) > 1)
    assert _history(database) == [("OK", "starting"), ("WARNING", "file 1000"), ("OK", "stopped")]


def test_the_end_of_waiting_is_written_at_once(database: Database) -> None:
    """Else a service that began before its database would seem to wait for it until the next heartbeat."""
    with _beating(database) as service:
        wait_until(lambda: len(_history(database)) == 1)
        service.report("OK", "waiting for the database", waits=True)
        service.report("OK", "watching")
        wait_until(lambda: len(_history(database)) == 2)
    assert _history(database) == [("OK", "starting"), ("OK", "watching"), ("OK", "stopped")]


def test_a_status_that_flaps_is_not_written_each_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHANGE_INTERVAL", HOUR)
    with _beating(database) as service:
        wait_until(lambda: len(_history(database)) == 1)
        for _ in range(20):
            service.report("WARNING", "flapping")
            time.sleep(0.005)  # so that it could be written
            service.report("OK", "flapping")
    assert _history(database) == [("OK", "starting"), ("OK", "stopped")]


def test_a_service_may_say_how_it_ended(database: Database) -> None:
    service = HeartbeatService(database, "librarian", HOUR)
    service.start()
    service.stop("ERROR", "gave up", "no vault")
    assert _history(database)[-1] == ("ERROR", "gave up")
    assert _latest(database).message == "no vault"


def test_both_tables_agree(database: Database) -> None:
    with _beating(database):
        wait_until(lambda: len(_history(database)) == 1)
        with database.session() as session:
            same = session.scalar(
                text(
                    "SELECT last_heartbeat = heartbeat_timestamp "
                    "FROM system_status JOIN system_status_history USING (service_name)"
                )
            )
    assert same


def _statuses(database: Database) -> list[tuple[str, str | None, str | None]]:
    with database.session() as session:
        rows = session.scalars(select(SystemStatus).order_by(SystemStatus.instance)).all()
    return [(row.instance, row.host, row.message) for row in rows]


def test_two_instances_never_write_over_each_other(database: Database) -> None:
    here, there = Instance("nas/1", "nas"), Instance("attic/1", "attic")
    with _beating(database, instance=here) as one, _beating(database, instance=there) as other:
        one.report("WARNING", "watching", "from the nas")
        other.report("ERROR", "watching", "from the attic")
        told = [("attic/1", "attic", "from the attic"), ("nas/1", "nas", "from the nas")]
        wait_until(lambda: _statuses(database) == told)
    with database.session() as session:
        rows = session.execute(select(SystemStatusHistory.instance, SystemStatusHistory.host).distinct()).all()
    assert sorted(map(tuple, rows)) == [("attic/1", "attic"), ("nas/1", "nas")]


def test_one_that_runs_on_another_machine_now_takes_over_its_row(database: Database) -> None:
    for host in ("nas", "attic"):
        with _beating(database, instance=Instance("1", host)):
            wait_until(lambda host=host: [(one, at) for one, at, _ in _statuses(database)] == [("1", host)])  # type: ignore[misc]


def test_hostile_text_is_written(database: Database) -> None:
    with _beating(database) as service:
        service.report("WARNING", "a\0b\udcff", "\ud800" + "x" * 10_000, {"\udc80": [float("nan"), Path("/\udcff")]})
        wait_until(lambda: len(_history(database)) >= 1 and _latest(database).status == "WARNING")
        latest = _latest(database)
        assert latest.current_task == r"ab\xff"
        assert latest.message is not None and len(latest.message) == module.TEXT_LIMIT
        assert latest.details == {r"\x80": [None, r"/\xff"]}


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_like)
def test_any_details_become_json(value: Any) -> None:
    import json

    text = json.dumps(module._json(value), allow_nan=False)
    assert "\\u0000" not in text
    text.encode()


# What goes wrong stays here


def test_the_ledgers_absence_is_logged_once_and_survived(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(database)
    outage.error = LedgerUnavailable("gone fishing")
    caplog.set_level(logging.INFO)
    with _beating(outage, interval=0.01) as service:  # type: ignore[arg-type]
        wait_until(lambda: "gone fishing" in caplog.text)
        for number in range(5):
            service.report("ERROR" if number % 2 else "OK", "waiting")
            time.sleep(0.02)
        wait_until(lambda: outage.refused > 5)
        assert caplog.text.count("gone fishing") == 1
        outage.error = None
        wait_until(lambda: "again" in caplog.text)
        outage.error = LedgerUnavailable("gone once more")
        wait_until(lambda: "gone once more" in caplog.text)


def test_any_other_error_is_survived_too(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(database)
    outage.error = RuntimeError("a bug")
    with _beating(outage, interval=0.01):  # type: ignore[arg-type]
        wait_until(lambda: "a bug" in caplog.text)
        outage.error = None
        wait_until(lambda: len(_history(database)) > 0)


def test_a_database_that_is_exchanged_for_an_empty_one_gets_its_tables_and_no_traceback_is_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with _beating(database, interval=0.05) as service:
        wait_until(lambda: len(_history(database)) > 0)
        with database.session() as session:
            session.execute(text("DROP SCHEMA public CASCADE"))
            session.execute(text("CREATE SCHEMA public"))
        wait_until(lambda: "another or a new database" in caplog.text)
        service.report("OK", "watching")
        wait_until(lambda: _has_beaten(database))
    assert "Traceback" not in caplog.text


def _has_beaten(database: Database) -> bool:
    try:
        return bool(_history(database))
    except ProgrammingError:
        return False


def test_after_an_outage_the_next_heartbeat_comes_soon(database: Database) -> None:
    outage = Outage(database)
    outage.error = LedgerUnavailable("away")
    with _beating(outage):  # type: ignore[arg-type]
        outage.error = None
        wait_until(lambda: len(_history(database)) == 1)  # and not in an hour


def test_stopping_does_not_wait_for_a_silent_ledger(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_LIMIT", 0.1)
    silent = Outage(database)
    silence = threading.Event()
    monkeypatch.setattr(silent, "ensure_ready", lambda wait: silence.wait(600))
    service = HeartbeatService(silent, "librarian", HOUR)  # type: ignore[arg-type]
    service.start()
    service.stop()
    assert service._thread.is_alive(), "it waited for the ledger"
    silence.set()
    service._thread.join()


def test_stop_without_start_is_nothing(database: Database) -> None:
    HeartbeatService(database, "librarian", HOUR).stop()
    assert _history(database) == []


# Liveness


def test_a_touched_file_is_alive(tmp_path: Path, database: Database) -> None:
    path = tmp_path / "run" / "librarian.alive"
    assert "no liveness file" in (problem_with(path, 60) or "")
    service = HeartbeatService(database, "librarian", HOUR, liveness_file=path)
    service.touch()
    assert problem_with(path, 60) is None


@pytest.mark.parametrize("seconds", [-120, 120])
def test_an_old_file_is_not_alive(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "alive"
    path.touch()
    moment = time.time() - seconds
    os.utime(path, (moment, moment))
    assert problem_with(path, 60) is not None
    assert problem_with(path, 180) is None
    LivenessFile(path).touch()
    assert problem_with(path, 60) is None


def test_touches_are_rationed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "TOUCH_INTERVAL", HOUR)
    file = LivenessFile(tmp_path / "alive")
    file.touch()
    os.unlink(tmp_path / "alive")
    file.touch()
    assert not (tmp_path / "alive").exists()
    monkeypatch.setattr(liveness, "TOUCH_INTERVAL", 0.0)
    file.touch()
    assert (tmp_path / "alive").exists()


def test_a_file_that_cannot_be_touched_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(liveness, "TOUCH_INTERVAL", 0.0)
    (tmp_path / "file").touch()
    file = LivenessFile(tmp_path / "file" / "alive")
    for _ in range(3):
        file.touch()
    assert caplog.text.count("cannot be touched") == 1


def test_the_health_check_is_light_and_says_one_line(tmp_path: Path) -> None:
    path = tmp_path / "alive"
    command = [sys.executable, "-X", "importtime", "-m", "Src.Shared.liveness", str(path), "--max-age", "60"]
    dead = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    path.touch()
    alive = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert (dead.returncode, dead.stdout.count("\n")) == (1, 1)
    assert (alive.returncode, alive.stdout) == (0, "alive\n")
    assert "sqlalchemy" not in alive.stderr and "psycopg2" not in alive.stderr


# -- a loop that stands still ------------------------------------------------------------------------------


def test_a_loop_that_stands_still_says_so_and_that_it_moves_again(database: Database) -> None:
    with _beating(database, loop_limit=0.3) as service:
        service.report("OK", "filing")
        service.touch()
        wait_until(lambda: ("ERROR", "filing") in _history(database))
        latest = _latest(database)
        assert re.fullmatch(r"the loop has stood still for \d+ s", latest.message or "")
        assert latest.current_task == "filing", "what it was at"
        moving = threading.Event()

        def move() -> None:
            while not moving.wait(0.05):
                service.touch()

        thread = threading.Thread(target=move)
        thread.start()
        try:
            # In one look: on a machine that stands still it may be said again a moment later.
            wait_until(lambda: ((one := _latest(database)).status, one.message) == ("OK", None))
        finally:
            moving.set()
            thread.join()
        wait_until(lambda: _latest(database).status == "ERROR")
    assert _latest(database).current_task == "stopped" and _latest(database).status == "OK"


def test_a_service_whose_loop_was_never_seen_is_not_blamed(database: Database) -> None:
    with _beating(database, interval=0.05, loop_limit=0.05):
        wait_until(lambda: len(_history(database)) > 5)
    assert {status for status, _ in _history(database)} == {"OK"}


def test_a_standing_loop_does_not_hide_a_stop(database: Database) -> None:
    with _beating(database, loop_limit=0.05) as service:
        service.touch()
        wait_until(lambda: ("ERROR", "starting") in _history(database))
        service.stop()
        assert (_latest(database).status, _latest(database).current_task) == ("OK", "stopped")


def test_who_stands_still_on_this_machine(tmp_path: Path) -> None:
    lives = Lives(tmp_path, loop_limit=10.0)
    assert lives.age("librarian") is None and lives.stands_still("librarian", HOUR) is None
    file = tmp_path / "librarian.alive"
    file.touch()
    assert lives.stands_still("librarian", HOUR) is None, "it moves"
    long_ago = time.time() - 100
    os.utime(file, (long_ago, long_ago))
    assert lives.stands_still("librarian", 5.0) is None, "it may be of another machine: the heartbeats go on"
    still = lives.stands_still("librarian", HOUR)
    assert still is not None and 100 <= still < 200
