"""The service-monitor as it runs: a process, a real database, real receivers of alerts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import make_url

from Src.Shared.database import Database
from Src.Shared.heartbeat_service import HeartbeatService
from Src.Shared.models import SystemStatus, SystemStatusHistory
from Src.Shared.monitor.tests.receivers import HttpReceiver, http_receiver, smtp_receiver
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Shared.tests.postgres_helpers import LIMIT
from Src.Testing.forwarder import Forwarder
from Src.Testing.patience import wait_until
from Src.Testing.roles import as_service

COMMAND = [sys.executable, "-m", "Src.Shared.service_monitor"]
# The same on a machine that may stand still for seconds: that is no outage here, and no news.
PATIENT = """
import os, sys
from Src.Shared import heartbeat_service, service_monitor
from Src.Shared.limits import Limits
from Src.Shared.monitor import factory_db, finding, heartbeats, notifier
service_monitor._ANSWER_LIMIT = factory_db.SLOW = finding.DEADLINE = heartbeats.CLOCK_JUMP = 600.0
finding.Check.__init__.__defaults__ = (600.0,)
heartbeat_service.STOP_LIMIT = notifier.STOP_LIMIT = float(os.environ["TEST_STOP_LIMIT"])
sys.exit(service_monitor.main(limits=Limits(connect=600.0, lock=600.0)))
"""


class Process:
    """A service-monitor with rounds of a fraction of a second."""

    def __init__(self, settings: Settings, log: Path, **more: str) -> None:
        self._log = log
        # Nothing of our own environment decides what it watches.
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        environment |= {
            "PYTHONPATH": str(PROJECT_ROOT),
            "FACTORY_DATA": str(settings.data),
            "DATABASE_URL": str(as_service(settings, "service-monitor").database_url).replace("+psycopg2", ""),
            "TZ": "Europe/Berlin",
            "MONITOR_INTERVAL": "0.2",
            "HEARTBEAT_INTERVAL": "1",
            "INFRASTRUCTURE_INTERVAL": "1",
            "DISK_WARNING": "0",
            "DISK_ERROR": "0",
            "TEST_STOP_LIMIT": "60",
            **more,
        }
        with open(log, "ab") as file:
            command = [sys.executable, "-c", PATIENT]
            self.process = subprocess.Popen(
                command, cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """By SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LIMIT) == 0, self.said


@contextmanager
def monitor(settings: Settings, **more: str) -> Iterator[Process]:
    settings.data.mkdir(parents=True, exist_ok=True)
    process = Process(settings, settings.data / "monitor.log", **more)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()
        print(process.said)  # pytest shows it where a test fails


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as one:
        yield one


def rows(database: Database) -> dict[str, SystemStatus]:
    with database.session() as session:
        return {row.service_name: row for row in session.scalars(select(SystemStatus))}


def statuses(database: Database) -> dict[str, str]:
    return {name: row.status for name, row in rows(database).items()}


def history(database: Database, service: str) -> list[tuple[str, str | None]]:
    query = select(SystemStatusHistory).where(SystemStatusHistory.service_name == service)
    with database.session() as session:
        found = session.scalars(query.order_by(SystemStatusHistory.id)).all()
    return [(row.status, row.message) for row in found]


def saved(settings: Settings) -> dict[str, Any]:
    value = json.loads((settings.run / "service-monitor.json").read_text())
    assert isinstance(value, dict)
    return value


def test_it_speaks_for_the_database_and_itself_and_ends_well(database: Database, factory_settings: Settings) -> None:
    with monitor(factory_settings) as running:
        wait_until(lambda: statuses(database) == {"factory-db": "OK", "service-monitor": "OK"})
        looked = time.time()
        found = rows(database)
        assert found["factory-db"].details is not None and found["factory-db"].details["latency_ms"] > 0
        assert found["factory-db"].interval_seconds == 1.0
        details = found["service-monitor"].details
        assert details is not None and set(details["checks"]) == {"factory-db", "vault disk"}
        assert details["checks"]["vault disk"]["percent_free"] > 0
        wait_until(lambda: len(history(database, "factory-db")) >= 3)
        alive = factory_settings.run / "service-monitor.alive"
        wait_until(lambda: alive.exists() and alive.stat().st_mtime > looked)
        running.stop()
    found = rows(database)
    assert {name: (row.status, row.current_task) for name, row in found.items()} == {
        "factory-db": ("OK", "stopped"),
        "service-monitor": ("OK", "stopped"),
    }
    assert "Traceback" not in running.said and "ERROR" not in running.said


def test_a_silent_service_is_marked_and_told_and_so_is_its_return(
    database: Database, factory_settings: Settings, receiver: HttpReceiver
) -> None:
    with database.session() as session:
        session.execute(
            text("INSERT INTO system_status VALUES ('librarian', now() - interval '1 hour', 'OK', 'filing', NULL, 60)")
        )
    with monitor(factory_settings, ALERT_URLS=receiver.url, LOG_LEVEL="DEBUG") as running:
        wait_until(lambda: receiver.titles == ["Photo Factory: librarian ERROR"])
        row = rows(database)["librarian"]
        assert row.status == "ERROR" and row.message is not None and row.message.startswith("silent since ")
        assert history(database, "librarian") == [("ERROR", row.message)]
        assert row.message in receiver.received[0]["message"]
        assert "What to do: " in receiver.received[0]["message"]
        service = HeartbeatService(database, "librarian", 60.0)
        service.start()
        wait_until(lambda: len(receiver.titles) == 2)
        service.stop()
        assert receiver.titles[1] == "Photo Factory: librarian OK again"
        assert "It was: silent since " in receiver.received[1]["message"]
        assert statuses(database)["service-monitor"] == "OK", "what others suffer from is their own status"
        running.stop()
    assert "sesame" not in running.said


def test_the_database_goes_and_comes_back(
    database: Database, factory_settings: Settings, receiver: HttpReceiver
) -> None:
    """The monitor goes on, tells both by web hook, and afterwards the ledger knows too."""
    socket, name = _socket_and_name(database)
    forwarder = Forwarder(socket)
    url = f"postgresql://photo_factory:sesame@127.0.0.1:{forwarder.port}/{name}"
    try:
        with monitor(factory_settings, ALERT_URLS=receiver.url, DATABASE_URL=url) as running:
            wait_until(lambda: statuses(database).get("factory-db") == "OK")
            forwarder.cut()
            wait_until(lambda: receiver.titles == ["Photo Factory: factory-db ERROR"])
            assert "nothing is lost" in receiver.received[0]["message"]
            alive = factory_settings.run / "service-monitor.alive"
            cut = time.time()
            wait_until(lambda: alive.stat().st_mtime > cut + 1)
            forwarder.reopen()
            wait_until(lambda: receiver.titles[1:] == ["Photo Factory: factory-db OK again"])
            wait_until(lambda: statuses(database).get("factory-db") == "OK")
            running.stop()
    finally:
        forwarder.cut()
    assert "sesame" not in running.said and "sesame" not in str(receiver.received)
    assert "Traceback" not in running.said


def test_a_database_that_does_not_answer_does_not_hold_up_the_end(
    database: Database, factory_settings: Settings
) -> None:
    socket, name = _socket_and_name(database)
    forwarder = Forwarder(socket)
    url = f"postgresql://photo_factory@127.0.0.1:{forwarder.port}/{name}"
    with monitor(factory_settings, DATABASE_URL=url, INFRASTRUCTURE_INTERVAL="0.2", TEST_STOP_LIMIT="1") as running:
        wait_until(lambda: "factory-db" in statuses(database))
        with database.session() as session:
            session.execute(text("LOCK TABLE system_status IN ACCESS EXCLUSIVE MODE"))  # all its writes wait
            running.stop()
    forwarder.cut()


def test_a_restart_repeats_no_alert_and_sends_what_was_missed(
    database: Database, factory_settings: Settings, receiver: HttpReceiver
) -> None:
    full = {"DISK_ERROR": "100", "ALERT_URLS": receiver.url}
    receiver.refusing = True
    with monitor(factory_settings, **full) as running:
        wait_until(lambda: receiver.refused > 0)
        wait_until(lambda: statuses(database).get("service-monitor") == "ERROR")
        message = rows(database)["service-monitor"].message
        assert message is not None and message.startswith("vault disk: ") and "% free" in message
        running.stop()
    receiver.refusing = False
    with monitor(factory_settings, **full) as running:
        wait_until(lambda: receiver.titles == ["Photo Factory: vault disk ERROR"])
        wait_until(lambda: saved(factory_settings)["unsent"] == {})
        running.stop()
    with monitor(factory_settings, **full) as running:
        before = len(history(database, "service-monitor"))
        wait_until(lambda: len(history(database, "service-monitor")) >= before + 3)
        running.stop()
    assert receiver.titles == ["Photo Factory: vault disk ERROR"]
    with monitor(factory_settings, ALERT_URLS=receiver.url) as running:
        wait_until(lambda: receiver.titles[1:] == ["Photo Factory: vault disk OK again"])
        running.stop()


def test_reminders_by_e_mail(factory_settings: Settings, database: Database) -> None:
    full = {"DISK_WARNING": "100", "ALERT_REMINDER": "0.5"}
    with smtp_receiver() as mail, monitor(factory_settings, ALERT_URLS=mail.url, **full) as running:
        wait_until(lambda: len(mail.messages) >= 2)
        running.stop()
    assert "vault disk WARNING" in mail.messages[0]["Subject"]
    assert "vault disk still WARNING" in mail.messages[1]["Subject"]


def test_a_bad_url_is_one_warning_and_no_end(
    database: Database, factory_settings: Settings, receiver: HttpReceiver
) -> None:
    urls = f"tgram://sesame {receiver.url}"
    with monitor(factory_settings, ALERT_URLS=urls, DISK_WARNING="100") as running:
        wait_until(lambda: len(receiver.received) == 1)
        running.stop()
    warnings = [line for line in running.said.splitlines() if "ALERT_URLS" in line]
    assert len(warnings) == 1 and "Number 1 of ALERT_URLS" in warnings[0]
    assert "sesame" not in running.said


def test_two_monitors_are_one(database: Database, factory_settings: Settings, receiver: HttpReceiver) -> None:
    full = {"DISK_ERROR": "100", "ALERT_URLS": receiver.url}

    def knows_of_the_disk() -> bool:
        memory = factory_settings.run / "service-monitor.json"
        return memory.exists() and bool(saved(factory_settings)["told"]["vault disk"]["state"] == "ERROR")

    with monitor(factory_settings, **full) as first:
        wait_until(lambda: len(receiver.received) == 1)
        wait_until(lambda: knows_of_the_disk() and saved(factory_settings)["unsent"] == {})  # it remembers it was told
        with monitor(factory_settings, **full) as second:
            wait_until(lambda: "waiting for it to end" in second.said)
            first.process.kill()
            wait_until(lambda: second.said.count("looking after factory-db") == 2)
            second.stop()
    assert len(receiver.received) == 1


def test_old_heartbeats_go_and_the_database_may_come_later(database: Database, factory_settings: Settings) -> None:
    with database.session() as session:
        session.execute(
            text(
                "INSERT INTO system_status_history (service_name, heartbeat_timestamp, status) "
                "SELECT 'librarian', now() - make_interval(days => d), 'OK' FROM generate_series(1, 100) d"
            )
        )
    socket, name = _socket_and_name(database)
    forwarder = Forwarder(socket)
    forwarder.cut()
    url = f"postgresql://photo_factory@127.0.0.1:{forwarder.port}/{name}"
    with monitor(factory_settings, DATABASE_URL=url, RETENTION_DAYS="60") as running:
        wait_until(lambda: "refused" in running.said)
        forwarder.reopen()
        wait_until(lambda: len(history(database, "librarian")) < 100)
        wait_until(lambda: "status reports older than 60 days" in running.said)
        running.stop()
    forwarder.cut()
    assert running.said.count("status reports older than 60 days") == 1
    assert 59 <= len(history(database, "librarian")) <= 60


def test_syncthing_and_docker_are_not_there_where_nobody_configured_them(
    database: Database, factory_settings: Settings
) -> None:
    with database.session() as session:
        session.execute(text("INSERT INTO system_status VALUES ('syncthing', now(), 'ERROR', 'away', NULL, 300)"))
    with monitor(factory_settings) as running:
        wait_until(lambda: set(statuses(database)) == {"factory-db", "service-monitor"})
        running.stop()


def test_those_that_are_configured_and_away_are_told(database: Database, factory_settings: Settings) -> None:
    away = {"SYNCTHING_URL": "http://127.0.0.1:1", "SYNCTHING_API_KEY": "sesame", "DOCKER_HOST": "tcp://127.0.0.1:1"}
    with monitor(factory_settings, **away) as running:
        wait_until(lambda: statuses(database).get("syncthing") == "ERROR")
        wait_until(lambda: statuses(database).get("service-monitor") == "WARNING")
        message = rows(database)["service-monitor"].message
        assert message is not None and "the Docker API at tcp://127.0.0.1:1 cannot be used" in message
        running.stop()
    assert "sesame" not in running.said and "Traceback" not in running.said


def test_it_takes_next_to_nothing_at_rest(database: Database, factory_settings: Settings) -> None:
    with monitor(factory_settings, MONITOR_INTERVAL="60", HEARTBEAT_INTERVAL="60") as running:
        wait_until(lambda: len(statuses(database)) == 2)
        process = psutil.Process(running.process.pid)

        def rests() -> bool:
            before, began = sum(process.cpu_times()[:2]), time.monotonic()
            wait_until(lambda: time.monotonic() > began + 5)
            used = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
            print(f"{used:.2%} of a core")
            return used < 0.05

        wait_until(rests, what="it has begun, and rests")
        memory = process.memory_info().rss / 1e6
        assert memory < 120, f"{memory:.0f} MB"
        running.stop()


def test_a_test_alert(factory_settings: Settings, receiver: HttpReceiver) -> None:
    def run(urls: str) -> tuple[int, str]:
        environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "ALERT_URLS": urls, "TZ": "UTC"}
        command = [*COMMAND, "--test-alert"]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
        assert "sesame" not in ran.stdout + ran.stderr
        return ran.returncode, ran.stdout + ran.stderr

    assert run(receiver.url) == (0, "JSON (number 1 of ALERT_URLS): sent\n")
    assert receiver.titles == ["Photo Factory: test"]
    code, said = run(f"{receiver.url} json://sesame@127.0.0.1:1/ sesame://")
    assert code == 1
    assert "number 2 of ALERT_URLS): NOT SENT" in said and "Number 3 of ALERT_URLS is no URL" in said
    assert run("")[0] == 2


def test_a_wrong_setting_is_one_line(factory_settings: Settings) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "MONITOR_INTERVAL": "soon"}
    ran = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1 and "MONITOR_INTERVAL=soon" in ran.stderr


def _socket_and_name(database: Database) -> tuple[Path, str]:
    url = make_url(database.url)
    return Path(f"{url.query['host']}/.s.PGSQL.{url.query['port']}"), str(url.database)
