"""A service is added as CONTRIBUTING.md says, in a copy of the code: one entry and one module, and the rest follows."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from Src.Testing.patience import wait_until
from Stack.tests.real_factory import LAST_HEARTBEAT_LIMIT, LIMIT, ROOT, Factory

ENTRY = """
    Service(
        "greeter",
        container="greeter",
        module="Src.Greeter",
        rights=Rights("pf_greeter", tables=_HEARTBEATS),
        may_be_many=True,
    ),
"""
MODULE = '''
"""Greets until a signal stops it."""

import threading

from Src.Shared import service


class Greeter:
    def __init__(self, start: service.Start) -> None:
        self._heartbeat = start.heartbeat
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._heartbeat.touch()
            self._heartbeat.report("OK", "greeting")
            self._heartbeat.start()
            self._stopping.wait(0.1)

    def stop(self) -> None:
        self._stopping.set()


if __name__ == "__main__":
    raise SystemExit(service.run("greeter", Greeter))
'''
# The list that the dashboard's pages show, as it is asked for there.
SHOWN = """
import time
from Src.Dashboard.data import services
from Src.Dashboard.resources import ledger
while ledger().away_for() is not None:
    time.sleep(0.1)
print([(one.title, one.light) for one in services.services(services.heartbeats(), {}) if one.name == "greeter"])
"""
GREETING = "SELECT 1 FROM system_status WHERE service_name = 'greeter' AND current_task = 'greeting' AND instance = %s"


@dataclass
class Copy(Factory):
    """A factory of a checkout of its own, with this one's Python."""

    checkout: Path = field(default=ROOT)

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "Src.Factory", *map(str, arguments)]

    def python(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=self.env(), cwd="/", capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def extended(folder: Path) -> Iterator[Copy]:
    checkout = folder / "checkout"
    shutil.copytree(ROOT / "Src", checkout / "Src", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    services = checkout / "Src" / "Shared" / "services.py"
    before, begin, after = services.read_text().partition("SERVICES = (\n")
    services.write_text(before + begin + ENTRY.lstrip("\n") + after)
    (checkout / "Src" / "Greeter").mkdir()
    (checkout / "Src" / "Greeter" / "__init__.py").touch()
    (checkout / "Src" / "Greeter" / "__main__.py").write_text(MODULE)
    environment = {"PYTHONPATH": str(checkout), "HEARTBEAT_INTERVAL": "0.5", "FACTORY_HOST": "nas"}
    environment["MONITOR_INTERVAL"] = "3600"  # it forgets no instance that has stopped
    factory = Copy(folder / "factory", environment, checkout)
    yield factory
    factory.kill_all()


def test_one_entry_and_one_module_make_a_service(extended: Copy) -> None:
    factory = extended
    with factory.start("up") as running:
        wait_until(lambda: factory.asked(GREETING, "nas/1"), LIMIT, "its heartbeat comes")
        asked = "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'greeter'"
        wait_until(lambda: factory.asked(asked) == [("pf_greeter",)], LIMIT, "it is there as its own role")
        [process] = factory.named("Src.Greeter")

        # A second one, by hand: each has its row.
        second = subprocess.Popen([sys.executable, "-m", "Src.Greeter"], env=factory.env(), cwd="/")
        wait_until(lambda: factory.asked(GREETING, "nas/2"), LIMIT, "the second one's heartbeat comes")
        found = [one for one in factory.run("status", "--json").json()["services"] if one["name"] == "greeter"]
        assert [(one["instance"], one["host"], one["status"]) for one in found] == [
            ("nas/1", "nas", "OK"),
            ("nas/2", "nas", "OK"),
        ]
        assert "greeter nas/2" in factory.run("status").out
        green = "[('greeter nas/1', 'green'), ('greeter nas/2', 'green')]"  # no longer than its heartbeats are in time
        wait_until(lambda: factory.python("-c", SHOWN).strip() == green, LIMIT, "both are shown, and well")
        for name in ("greeter.alive", "greeter-2.alive"):
            alive = str(factory.data / ".run" / name)
            assert factory.python("-m", "Src.Shared.liveness", alive, "--max-age", str(LIMIT)) == "alive\n"
        stopping = time.monotonic()
        second.send_signal(signal.SIGTERM)
        assert second.wait(LIMIT) == 0
        took = time.monotonic() - stopping

        os.kill(process, signal.SIGKILL)  # the runner starts it again, and it is the same one
        beats = "SELECT count(*) FROM system_status_history WHERE service_name = 'greeter' AND instance = 'nas/1'"
        [(before,)] = factory.sql(beats)
        wait_until(lambda: factory.sql(beats) > [(before,)], LIMIT, "the heartbeats go on")
        stopping = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.wait().code == 0
        took = max(took, time.monotonic() - stopping)
    told = "SELECT instance, status, current_task FROM system_status WHERE service_name = 'greeter' ORDER BY 1"
    found = factory.sql_at_rest(told)
    assert found == [("nas/1", "OK", "stopped"), ("nas/2", "OK", "stopped")] or took > LAST_HEARTBEAT_LIMIT
