"""The stack under fire: whatever is killed in the middle of an ingest, in the end everything is in the vault, once."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

import pytest

from Src.Testing.patience import wait_until
from Stack.tests.photos import photos_in, sha256, unique_jpeg
from Stack.tests.real_factory import is_running
from Stack.tests.stack import LIMIT, OURS, PLUMBING, PROJECT, SERVICES, Stack, docker

pytestmark = pytest.mark.stack

SERVICES_BY_COMPOSE = ("librarian", "dashboard", "service-monitor", "factory-db", "syncthing", "docker-proxy", "gate")
PHOTOS = 60
OUTAGE = 60.0  # seconds that the database is away
_seeds = count(7_000_000)


class Receiver:
    """Where alerts go: an HTTP server on this machine."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(json.loads(body)["message"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, subject: str, state: str, since: int) -> None:
        """Waits for an alert that tells this, after so many earlier ones. (A title has no room for everything.)"""
        told = re.compile(rf"^{subject} went from [A-Z]+ to {state}\b", re.MULTILINE)
        wait_until(lambda: any(map(told.search, self.bodies[since:])), 3 * LIMIT, f"{subject} {state}: {self.bodies}")


@pytest.fixture(scope="module")
def receiver(stack: Stack) -> Iterator[Receiver]:
    """The stack's alerts go there as long as these tests run."""
    receiver = Receiver()
    gateway = docker(
        "network", "inspect", f"{PROJECT}_alerts", "--format", "{{(index .IPAM.Config 0).Gateway}}"
    ).strip()
    before = dict(stack.environment)
    # An alert takes rounds, and more of them where the same thing changes again and again.
    stack.environment |= {"ALERT_URLS": f"json://{gateway}:{receiver.port}/", "MONITOR_INTERVAL": "1"}
    stack.up()
    stack.compose("restart", "service-monitor")
    stack.wait_healthy()
    test = ("service_monitor", "python", "-m", "Src.Shared.service_monitor", "--test-alert")
    wait_until(lambda: "NOT SENT" not in (said := stack.exec(*test, check=False)) and "sent" in said, LIMIT, "a test")
    yield receiver
    receiver.close()
    stack.environment = before
    (stack.secrets / "service-monitor" / "alert_urls").unlink()  # a URL that was set once is kept
    stack.up()
    stack.compose("restart", "service-monitor")
    stack.wait_healthy()


class Ingest:
    """Photos that arrive one after another."""

    def __init__(self, stack: Stack, name: str) -> None:
        self._stack = stack
        self._name = name
        self._photos = {f"{name}-{number}.jpg": unique_jpeg(next(_seeds)) for number in range(PHOTOS)}
        self._thread = threading.Thread(target=self._arrive)

    def _arrive(self) -> None:
        for name, content in self._photos.items():
            self._stack.drop(f"phones/{self._name}/{name}", content)
            time.sleep(0.1)  # as from a network

    @contextmanager
    def in_the_middle(self) -> Iterator[None]:
        """When it begins a few are in the vault; when it ends all have arrived in the inbox."""
        self._thread.start()
        wait_until(lambda: len(self.in_vault()) >= 5, LIMIT, "photos are being filed")
        try:
            yield
        finally:
            self._thread.join()

    def in_vault(self) -> list[Path]:
        return [*self._stack.originals.rglob(f"{self._name}-*")]

    def wait_in_vault(self) -> None:
        wait_until(lambda: len(self.in_vault()) >= PHOTOS, LIMIT, f"all are in the vault: {len(self.in_vault())}")

    def check(self) -> None:
        """Waits until all is filed: each once, byte for byte, with a row; nothing is left anywhere else."""
        rows = self._stack.filed(PHOTOS, where=f"original_path LIKE 'phones/{self._name}/%'")
        assert sorted(path.name for path in self.in_vault()) == sorted(self._photos)
        for name, final_path, digest in rows:
            assert (self._stack.storage / final_path).read_bytes() == self._photos[name]
            assert digest == sha256(self._stack.storage / final_path)
        wait_until(lambda: not photos_in(self._stack.inbox), LIMIT, "the inbox is empty")
        wait_until(lambda: not self._journal(), LIMIT, "the journal is empty")
        hidden = [path for path in self._stack.originals.rglob(".*") if path.name != ".photo-factory-vault"]
        assert not hidden, "half-done"

    def _journal(self) -> list[Path]:
        found = []
        for path in (self._stack.storage / ".factory" / "journal").glob("*"):
            with suppress(FileNotFoundError):  # it has just been replayed
                if path.stat().st_size:
                    found.append(path)
        return found


def kill(*containers: str) -> None:
    docker("kill", *containers)


def come_back(stack: Stack) -> None:
    """What the documentation tells to do. (Docker does not start again by itself what was killed by hand.)"""
    stack.up()


def longest_gap(stack: Stack, service: str, since: str) -> float:
    """Seconds between two heartbeats of a service."""
    [[gap]] = stack.sql(
        "SELECT coalesce(max(extract(epoch FROM gap)), 0) FROM (SELECT heartbeat_timestamp - lag(heartbeat_timestamp)"
        f" OVER (ORDER BY heartbeat_timestamp) AS gap FROM system_status_history WHERE service_name = '{service}'"
        f" AND heartbeat_timestamp > '{since}') AS gaps"
    )
    return float(gap)


def just_now(stack: Stack) -> str:
    """A moment by the database's clock, since when each service has written a heartbeat."""
    [[moment]] = stack.sql("SELECT now() - interval '20 s'")
    spoken = f"SELECT DISTINCT service_name FROM system_status_history WHERE heartbeat_timestamp > '{moment}'"
    wait_until(lambda: {"librarian", "service-monitor"} <= {name for [name] in stack.sql(spoken)}, LIMIT, "all speak")
    return moment


# Who tells that it is gone: the monitor, about the container; without the proxies it sees no containers.
TOLD_AS = {
    "librarian": "container librarian",
    "dashboard": "container dashboard",
    "syncthing": "container syncthing",
    "docker_proxy": "docker",
    "factory_gate": "docker",
}


@pytest.mark.parametrize("container", TOLD_AS)
def test_a_service_is_killed(stack: Stack, receiver: Receiver, container: str) -> None:
    ingest, told = Ingest(stack, container), len(receiver.bodies)
    with ingest.in_the_middle():
        kill(container)
        assert stack.state(container) == "exited"
    bad = "WARNING" if TOLD_AS[container] == "docker" else "ERROR"
    receiver.wait_for(TOLD_AS[container], bad, told)
    come_back(stack)
    ingest.check()
    receiver.wait_for(TOLD_AS[container], "OK", told)


def test_the_monitor_is_killed(stack: Stack) -> None:
    """Nobody watches the watcher but those who look: its silence shows."""
    ingest = Ingest(stack, "monitor")
    with ingest.in_the_middle():
        kill("service_monitor")
    silent = (
        "SELECT 1 FROM system_status WHERE service_name = 'service-monitor'"
        " AND now() - last_heartbeat > 3 * interval_seconds * interval '1 s'"
    )
    wait_until(lambda: stack.sql(silent), LIMIT, "its silence shows")
    come_back(stack)
    ingest.check()
    wait_until(lambda: not stack.sql(silent), LIMIT, "it is heard again")


def test_the_database_is_away_for_a_minute(stack: Stack, receiver: Receiver) -> None:
    ingest, told, since = Ingest(stack, "database"), len(receiver.bodies), just_now(stack)
    with ingest.in_the_middle():
        kill("factory_postgres")
        killed = time.monotonic()
    ingest.wait_in_vault()  # filing goes on
    receiver.wait_for("factory-db", "ERROR", told)
    assert stack.state("librarian") == "healthy"
    time.sleep(max(0.0, killed + OUTAGE - time.monotonic()))
    come_back(stack)
    ingest.check()
    receiver.wait_for("factory-db", "OK", told)
    wait_until(lambda: longest_gap(stack, "librarian", since) > OUTAGE - 15, LIMIT, "it was away, and is back")
    wait_until(
        lambda: stack.sql("SELECT 1 FROM system_status WHERE service_name = 'librarian' AND status = 'OK'"),
        LIMIT,
        "all well",
    )


def test_the_whole_stack_is_killed(stack: Stack) -> None:
    ingest, since = Ingest(stack, "everything"), just_now(stack)
    with ingest.in_the_middle():
        kill(*SERVICES, *PLUMBING)
    time.sleep(15)  # a power cut lasts longer than a heartbeat's interval
    come_back(stack)
    ingest.check()
    services = ("librarian", "service-monitor")
    wait_until(
        lambda: all(longest_gap(stack, name, since) > 15 for name in services), LIMIT, "they were away, and are back"
    )


def test_what_crashes_comes_back_by_itself(stack: Stack, receiver: Receiver) -> None:
    ingest, told = Ingest(stack, "crash"), len(receiver.bodies)
    containers = (*OURS, "factory_postgres", "syncthing")
    pids = [int(stack.inspect(name)["State"]["Pid"]) for name in containers]
    if not all(is_running(pid) for pid in pids):
        pytest.skip("the engine's processes are not this machine's")
    with ingest.in_the_middle():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def all_are_new() -> bool:
        now = [int(stack.inspect(name)["State"]["Pid"]) for name in containers]
        return 0 not in now and not set(now) & set(pids)

    wait_until(all_are_new, LIMIT, "Docker has started all again")
    stack.wait_healthy()
    ingest.check()
    receiver.wait_for("container librarian", "WARNING", told)


def test_each_service_is_restarted_in_turn(stack: Stack) -> None:
    ingest = Ingest(stack, "restart")
    with ingest.in_the_middle():
        for service in SERVICES_BY_COMPOSE:
            stack.compose("restart", service)
    stack.wait_healthy()
    ingest.check()


def test_down_and_up_lose_nothing(stack: Stack) -> None:
    ingest = Ingest(stack, "down")
    password = stack.secret("dashboard", "dashboard_password")
    [[before]] = stack.sql("SELECT count(*) FROM media_assets")
    with ingest.in_the_middle():
        stack.down()
    stack.up()
    ingest.check()
    assert stack.secret("dashboard", "dashboard_password") == password
    [[after]] = stack.sql("SELECT count(*) FROM media_assets")
    assert int(after) == int(before) + PHOTOS
