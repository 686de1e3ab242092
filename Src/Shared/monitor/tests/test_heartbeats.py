"""Silence: who is, who is not, and that it ends with the service's own next heartbeat."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.heartbeat_service import HeartbeatService
from Src.Shared.liveness import Lives
from Src.Shared.models import SystemStatus, SystemStatusHistory
from Src.Shared.monitor import heartbeats as module
from Src.Shared.monitor.finding import Finding
from Src.Shared.monitor.heartbeats import Heartbeats
from Src.Testing.patience import wait_until


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOCK_JUMP", 3600.0)  # the steady clock of a test stands still between its steps


class World:
    """Services with an interval of 60 s, and a steady clock that a test turns."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = 1000.0
        self.heartbeats = Heartbeats(database, {"service-monitor", "factory-db"}, steady_time=lambda: self.now)

    def say(
        self,
        service: str,
        seconds_ago: float,
        task: str = "watching",
        status: str = "OK",
        why: str = "",
        instance: str = "1",
        host: str | None = None,
    ) -> None:
        with self.database.session() as session:
            session.execute(
                text(
                    "INSERT INTO system_status VALUES (:service, now() - make_interval(secs => :ago), :status, :task, "
                    "nullif(:message, ''), 60, NULL, :instance, :host) "
                    "ON CONFLICT (service_name, instance) DO UPDATE SET message = EXCLUDED.message, "
                    "last_heartbeat = EXCLUDED.last_heartbeat, status = EXCLUDED.status, "
                    "current_task = EXCLUDED.current_task"
                ),
                {
                    "service": service,
                    "ago": seconds_ago,
                    "status": status,
                    "task": task,
                    "message": why,
                    "instance": instance,
                    "host": host,
                },
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

    def instances(self, service: str) -> list[str]:
        query = select(SystemStatus.instance).where(SystemStatus.service_name == service)
        with self.database.session() as session:
            return list(session.scalars(query.order_by(SystemStatus.instance)))

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


# -- several instances of one service ------------------------------------------------------------------------


def test_each_instance_is_judged_by_itself(world: World) -> None:
    world.say("workers", 10, instance="nas/1")
    world.say("workers", 1000, instance="nas/2")
    found = world.look()
    assert (found["workers nas/1"].state, found["workers nas/2"].state) == ("OK", "ERROR")
    assert [name for name, status, _ in world.history() if status == "ERROR"] == ["workers"], "the one, not the other"
    with world.database.session() as session:
        marked = session.scalars(select(SystemStatus.instance).where(SystemStatus.status == "ERROR")).all()
        told = session.scalars(select(SystemStatusHistory.instance)).all()
    assert (marked, told) == (["nas/2"], ["nas/2"])


def test_a_stopped_instance_is_forgotten_while_another_one_works(world: World) -> None:
    world.say("workers", 10, instance="nas/1")
    world.say("workers", 30, "stopped", instance="old-container/1")
    assert "workers old-container/1" in world.look(), "a restart is no news"
    world.pass_time(1000)
    world.say("workers", 0, instance="nas/1")
    assert "workers old-container/1" not in world.look()
    assert world.instances("workers") == ["nas/1"]


def test_a_silent_instance_is_missed_for_a_day_and_then_forgotten(world: World) -> None:
    world.say("workers", 10, instance="nas/1")
    world.say("workers", module.FORGOTTEN_AFTER - 100, instance="old-container/1")
    assert world.look()["workers old-container/1"].state == "ERROR"
    world.pass_time(200)
    world.say("workers", 0, instance="nas/1")
    assert set(world.look()) >= {"workers nas/1"}
    assert world.instances("workers") == ["nas/1"]
    assert [name for name, _, _ in world.history() if name == "workers"] == ["workers"], "its history stays"


@pytest.mark.parametrize("task", ["stopped", "thumbnails"])
def test_the_last_instances_of_a_service_are_never_forgotten(world: World, task: str) -> None:
    world.say("workers", 1e7, task, instance="nas/1")
    world.say("workers", 2e7, task, instance="nas/2")
    for _ in range(2):
        states = {subject: one.state for subject, one in world.look().items() if subject != "dashboard"}
        expected = "STOPPED" if task == "stopped" else "ERROR"
        assert states == {"workers nas/1": expected, "workers nas/2": expected}


def test_a_service_of_which_there_is_one_is_never_forgotten(world: World) -> None:
    world.say("librarian", 1e7)
    world.say("librarian", 0, instance="2")  # which there is not
    assert world.look()["librarian"].state == "ERROR"


def test_one_that_speaks_while_it_is_forgotten_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.say("workers", 10, instance="nas/1")
    world.say("workers", 1e7, instance="nas/2")
    inner = Heartbeats._keep_fair

    def keep_fair(self: Heartbeats, *arguments: Any) -> None:  # between reading and forgetting
        world.say("workers", 0, instance="nas/2")
        inner(self, *arguments)

    monkeypatch.setattr(Heartbeats, "_keep_fair", keep_fair)
    world.look()
    assert world.instances("workers") == ["nas/1", "nas/2"]


# -- processes that were stopped, or wait for a disk ---------------------------------------------------------


@pytest.fixture
def lives(tmp_path: Path) -> Lives:
    return Lives(tmp_path, loop_limit=20.0)


def moved(folder: Path, service: str, seconds_ago: float) -> None:
    (folder / f"{service}.alive").touch()
    at = time.time() - seconds_ago
    os.utime(folder / f"{service}.alive", (at, at))


def test_a_loop_that_stands_still_is_told_before_it_is_silent(database: Database, lives: Lives, tmp_path: Path) -> None:
    world = World(database)
    world.heartbeats = Heartbeats(database, {"service-monitor"}, lives=lives, steady_time=lambda: world.now)
    world.say("librarian", 30.0, task="filing")
    moved(tmp_path, "librarian", 40.0)
    world.look()
    world.pass_time(1.0)
    found = world.look()["librarian"]
    assert found.state == "ERROR" and "the loop has stood still since" in str(found.message)
    with database.session() as session:
        row = session.scalars(select(SystemStatus)).one()
        assert (row.status, row.message) == ("ERROR", found.message), "where everybody looks"
    moved(tmp_path, "librarian", -600.0)
    world.say("librarian", 0.0, task="filing")
    assert world.look()["librarian"].state == "OK"


def test_one_that_moves_one_that_stopped_and_one_of_another_machine_do_not_stand_still(
    database: Database, lives: Lives, tmp_path: Path
) -> None:
    world = World(database)
    world.heartbeats = Heartbeats(database, {"service-monitor"}, lives=lives, steady_time=lambda: world.now)
    world.say("librarian", 50.0)
    moved(tmp_path, "librarian", -600.0)  # however long this test takes
    world.say("dashboard", 50.0, task="stopped")
    moved(tmp_path, "dashboard", 50.0)
    world.say("workers", -600.0)
    moved(tmp_path, "workers", 5000.0)
    world.say("api", 50.0)
    world.look()
    world.pass_time(1.0)
    assert {name: found.state for name, found in world.look().items()} == dict.fromkeys(
        ("librarian", "dashboard", "workers", "api"), "OK"
    )


def test_a_loop_is_looked_at_on_its_own_machine_and_by_its_number(database: Database, tmp_path: Path) -> None:
    world = World(database)
    lives = Lives(tmp_path, loop_limit=20.0, host="nas")
    world.heartbeats = Heartbeats(database, {"service-monitor"}, lives=lives, steady_time=lambda: world.now)
    for number, host in (("1", "nas"), ("2", "nas"), ("1", "attic")):
        world.say("workers", 50.0, instance=f"{host}/{number}", host=host)
    moved(tmp_path, "workers", 50.0)
    moved(tmp_path, "workers-2", -600.0)
    world.look()
    world.pass_time(1.0)
    assert {name: found.state for name, found in world.look().items()} == {
        "workers nas/1": "ERROR",
        "workers nas/2": "OK",
        "workers attic/1": "OK",
    }
