"""Silence: who is, who is not, and that it ends with the service's own next heartbeat."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.heartbeat_service import HeartbeatService
from Src.Shared.models import SystemStatus, SystemStatusHistory
from Src.Shared.monitor import heartbeats as module
from Src.Shared.monitor.finding import Finding
from Src.Shared.monitor.heartbeats import Heartbeats
from Src.Shared.tests.postgres_helpers import wait_until


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOCK_JUMP", 3600.0)  # the steady clock of a test stands still between its steps


class World:
    """Services with an interval of 60 s, and a steady clock that a test turns."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = 1000.0
        self.heartbeats = Heartbeats(database, {"service-monitor", "factory-db"}, steady_time=lambda: self.now)

    def say(self, service: str, seconds_ago: float, task: str = "watching", status: str = "OK", why: str = "") -> None:
        with self.database.session() as session:
            session.execute(
                text(
                    "INSERT INTO system_status VALUES (:service, now() - make_interval(secs => :ago), :status, :task, "
                    "nullif(:message, ''), 60) ON CONFLICT (service_name) DO UPDATE SET message = EXCLUDED.message, "
                    "last_heartbeat = EXCLUDED.last_heartbeat, status = EXCLUDED.status, "
                    "current_task = EXCLUDED.current_task"
                ),
                {"service": service, "ago": seconds_ago, "status": status, "task": task, "message": why},
            )

    def pass_time(self, seconds: float) -> None:
        """For the steady clock, and for the ledger: all heartbeats become older, also the last look."""
        self.now += seconds
        with self.database.session() as session:
            session.execute(
                text("UPDATE system_status SET last_heartbeat = last_heartbeat - make_interval(secs => :s)"),
                {"s": seconds},
            )
        if self.heartbeats._asked is not None:
            asked_at, steady = self.heartbeats._asked
            self.heartbeats._asked = (asked_at, steady + seconds)  # both clocks went on alike

    def look(self) -> dict[str, Finding]:
        return dict(self.heartbeats.look())

    def row(self, service: str) -> SystemStatus:
        with self.database.session() as session:
            return session.scalars(select(SystemStatus).where(SystemStatus.service_name == service)).one()

    def history(self) -> list[tuple[str, str, str | None]]:
        with self.database.session() as session:
            rows = session.scalars(select(SystemStatusHistory).order_by(SystemStatusHistory.id)).all()
        return [(row.service_name, row.status, row.message) for row in rows]


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.say("dashboard", 0)
    world.look()  # the first round is no judge
    return world


def test_what_services_say_of_themselves(world: World) -> None:
    world.say("librarian", 10, "filing", "WARNING", "ExifTool is missing")
    found = world.look()
    assert found["dashboard"].state == "OK"
    assert (found["librarian"].state, found["librarian"].message) == ("WARNING", "ExifTool is missing")
    assert world.history() == []


@pytest.mark.parametrize(("seconds", "silent"), [(130, False), (190, True), (1e7, True)])
def test_three_intervals_without_a_heartbeat_are_silence(world: World, seconds: float, silent: bool) -> None:
    world.say("librarian", seconds)
    last = world.row("librarian").last_heartbeat
    found = world.look()["librarian"]
    row = world.row("librarian")
    assert row.last_heartbeat == last, "when it last spoke is not to be falsified"
    if not silent:
        assert (found.state, row.status, world.history()) == ("OK", "OK", [])
        return
    assert found.state == row.status == "ERROR"
    assert found.message == row.message
    assert row.message is not None and row.message.startswith("silent since 20") and row.message.endswith(" UTC")
    assert found.advice is not None and "docker logs librarian" in found.advice
    assert world.history() == [("librarian", "ERROR", row.message)]


def test_silence_is_written_once_for_each_time(world: World) -> None:
    world.say("librarian", 1000)
    for _ in range(5):
        assert world.look()["librarian"].state == "ERROR"
    assert len(world.history()) == 1
    world.say("librarian", 500)  # it spoke, and fell silent again
    world.look()
    assert len(world.history()) == 2


def test_the_services_own_next_heartbeat_ends_it(world: World) -> None:
    world.say("librarian", 1000)
    world.look()
    service = HeartbeatService(world.database, "librarian", 60.0)
    service.start()
    wait_until(lambda: world.row("librarian").status == "OK")
    row = world.row("librarian")
    assert (row.message, row.current_task) == (None, "starting")
    assert world.look()["librarian"].state == "OK"
    service.stop()


def test_one_that_speaks_in_the_same_moment_is_not_marked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.say("librarian", 1000)
    inner = Heartbeats._keep_fair

    def keep_fair(self: Heartbeats, *arguments: Any) -> None:  # between reading and marking
        world.say("librarian", 0)
        inner(self, *arguments)

    monkeypatch.setattr(Heartbeats, "_keep_fair", keep_fair)
    world.look()
    assert world.row("librarian").status == "OK"
    assert world.history() == []


def test_one_that_said_it_stopped_is_not_silent(world: World) -> None:
    world.say("librarian", 30, "stopped")
    assert world.look()["librarian"].state == "OK", "a restart is no news"
    world.pass_time(3600)
    world.say("dashboard", 0)
    found = world.look()["librarian"]
    assert found.state == "STOPPED" and found.message is not None and "stopped since" in found.message
    assert world.row("librarian").status == "OK"
    assert world.history() == []


def test_the_monitor_does_not_judge_itself_nor_those_it_speaks_for(world: World) -> None:
    world.say("service-monitor", 1e6)
    world.say("factory-db", 1e6)
    assert set(world.look()) == {"dashboard"}
    assert world.row("factory-db").status == "OK"


def test_the_first_round_lets_them_all_speak(database: Database) -> None:
    world = World(database)
    world.say("librarian", 1e6)
    assert world.look()["librarian"].state == "OK"
    assert world.look()["librarian"].state == "ERROR"


def test_after_an_outage_of_the_database_they_have_three_intervals(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.say("librarian", 0)

    @contextmanager
    def away() -> Any:
        raise LedgerUnavailable("away")
        yield

    with monkeypatch.context() as outage:
        outage.setattr(world.database, "session", away)
        assert world.look() == {}
    world.pass_time(3600)
    for _ in range(3):
        assert world.look()["librarian"].state == "OK"
        world.pass_time(59)
    world.pass_time(10)
    assert world.look()["librarian"].state == "ERROR"


def test_after_the_machine_slept_they_have_three_intervals(world: World) -> None:
    world.say("librarian", 0)
    world.look()
    with world.database.session() as session:  # the ledger's clock went on, the steady one did not
        session.execute(text("UPDATE system_status SET last_heartbeat = last_heartbeat - interval '8 hours'"))
    assert world.heartbeats._asked is not None
    asked_at, steady = world.heartbeats._asked
    world.heartbeats._asked = (asked_at - timedelta(hours=8), steady)
    assert world.look()["librarian"].state == "OK"
    world.pass_time(200)
    assert world.look()["librarian"].state == "ERROR"


def test_a_service_that_nobody_watches_any_more_disappears(database: Database) -> None:
    world = World(database)
    world.heartbeats = Heartbeats(database, {"syncthing"}, {"syncthing"})
    world.say("syncthing", 1e6)
    world.say("librarian", 0)
    assert set(world.look()) == {"librarian"}
    with database.session() as session:
        assert session.scalars(select(SystemStatus.service_name)).all() == ["librarian"]


def test_a_new_ledger_has_no_services(database: Database) -> None:
    with database.session() as session:
        session.execute(text("DROP SCHEMA public CASCADE"))
        session.execute(text("CREATE SCHEMA public"))
    assert Heartbeats(database, ()).look() == {}
