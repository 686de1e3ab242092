"""The service-monitor: watches what cannot report for itself, notices who has gone silent, alerts, runs retention.

In each round all checks look at once, each in a thread of its own; what they found becomes heartbeats of `factory-db`,
`syncthing` and `service-monitor`, and alerts. It goes on while the database is away.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from datetime import datetime

from Src.Shared import service
from Src.Shared.database import Database
from Src.Shared.disk.locks import lock_now, open_lock
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.docker_api import DockerApi
from Src.Shared.heartbeat_service import HeartbeatService, Status
from Src.Shared.limits import LIMITS, Limits
from Src.Shared.liveness import Lives
from Src.Shared.logs import configure_logging
from Src.Shared.monitor.alerts import Alerts, Notification, notification
from Src.Shared.monitor.containers import Containers
from Src.Shared.monitor.disks import Disk, drop_same_disk
from Src.Shared.monitor.factory_db import FactoryDb
from Src.Shared.monitor.finding import DEADLINE, Check, Finding, Findings
from Src.Shared.monitor.heartbeats import Heartbeats
from Src.Shared.monitor.memory import Memory
from Src.Shared.monitor.notifier import Notifier, targets
from Src.Shared.monitor.retention import Retention
from Src.Shared.services import FACTORY_DB, MONITOR, SYNCTHING
from Src.Shared.settings import Settings, SettingsError, load_settings

INBOX_DISK, VAULT_DISK = "inbox disk", "vault disk"
DOCKER, HEARTBEATS, RETENTION = "docker", "heartbeats", "retention"

_ANSWER_LIMIT = 10.0  # seconds for any one question to the database
_LONGEST_ROUND = 3 * DEADLINE  # seconds: a round waits for its slowest check
_TICK = 1.0  # seconds: the longest the loop sleeps, so that its liveness shows
_POLL = 0.05  # seconds between looks at the checks under way
_SYNCTHING_LIMIT = 60.0  # seconds: several questions, and one that reads a large folder is slow to answer
_RETENTION_LIMIT = 3600.0  # seconds: the first time there may be a lot to delete

logger = logging.getLogger(__name__)


class Monitor:
    """Watches one factory until told to stop."""

    def __init__(self, settings: Settings, database: Database, heartbeat: HeartbeatService) -> None:
        self._settings = settings
        self._heartbeat = heartbeat
        self._stopping = threading.Event()
        self._checks = _checks(settings, database, self._stopping)
        self._speaks_for = {
            check.name: HeartbeatService(database, check.name, settings.infrastructure_interval)
            for check in self._checks
            if check.name in (FACTORY_DB, SYNCTHING)
        }
        self._alerts = Alerts(settings.alert_reminder)
        self._notifier = Notifier(settings.alert_urls)
        self._memory = Memory(settings.run / f"{MONITOR}.json")

    def stop(self) -> None:
        """Ends `run` within seconds. Signal-safe."""
        self._stopping.set()

    def run(self) -> None:
        """Watches. A second monitor of the same factory waits for the first to end."""
        lock = self._take_turn()
        try:
            if not self._stopping.is_set():
                self._watch()
        finally:
            if lock is not None:
                os.close(lock)

    def _take_turn(self) -> int | None:
        path, told = self._settings.run / f"{MONITOR}.lock", False
        try:
            make_folder(path.parent, PRIVATE)
            lock = open_lock(path)
        except OSError as error:
            logger.warning("%s cannot be used, another monitor would not be noticed: %s", path, error.strerror)
            return None
        while not self._stopping.is_set() and not lock_now(lock):
            if not told:
                logger.info("another service-monitor looks after this factory; waiting for it to end")
                told = True
            self._pause(_TICK)
        return lock

    def _watch(self) -> None:
        self._recall()
        self._notifier.start()
        logger.info("looking after %s", ", ".join(check.name for check in self._checks))
        try:
            while not self._stopping.is_set():
                due = time.monotonic() + self._settings.monitor_interval
                self._look()
                if not self._stopping.is_set():
                    self._tell({check.name: check.findings for check in self._checks})
                while not self._stopping.is_set() and (left := due - time.monotonic()) > 0:
                    self._pause(min(_TICK, left))
        finally:
            self._end()

    def _pause(self, seconds: float) -> None:
        self._heartbeat.touch()
        self._stopping.wait(seconds)

    def _look(self) -> None:
        for check in self._checks:
            check.start()
        while not self._stopping.is_set() and any(check.awaited for check in self._checks):
            self._pause(_POLL)

    def _tell(self, found: dict[str, Findings]) -> None:
        """Makes heartbeats and alerts of a round's findings, which come by check."""
        findings = drop_same_disk({subject: one for some in found.values() for subject, one in some.items()})
        for name, beats in self._speaks_for.items():
            if name in findings:
                one = findings[name]
                beats.report(_status(one), one.task, one.message, one.details)
                beats.start()
        alerts = self._alerts.round(findings, time.time())
        if alerts:
            message = notification(alerts, datetime.now(self._settings.zone))
            logger.log(logging.INFO if message.kind == "success" else logging.WARNING, "%s", message.line)
            self._notifier.send(message)
        # Services report for themselves, or were reported for just now; all else is the monitor's own to report.
        services = (found[HEARTBEATS].keys() | self._speaks_for.keys()) - {HEARTBEATS}
        self._report({subject: one for subject, one in findings.items() if subject not in services}, findings)
        self._remember()

    def _report(self, own: Findings, findings: Findings) -> None:
        reasons = [f"{subject}: {one.message}" for subject, one in own.items() if one.state in ("WARNING", "ERROR")]
        reasons += filter(None, [self._notifier.trouble])
        worst: Status = "WARNING" if reasons else "OK"
        if any(one.state == "ERROR" for one in own.values()):
            worst = "ERROR"
        checks = {
            subject: {"state": one.state, "message": one.message, **(one.details if subject in own else {})}
            for subject, one in findings.items()
        }
        self._heartbeat.report(worst, "watching", "; ".join(reasons) or None, {"checks": checks})
        self._heartbeat.start()

    def _recall(self) -> None:
        saved = self._memory.load()
        try:
            self._alerts.load(saved.get("told", {}))
            self._notifier.load(saved.get("unsent", {}))
        except (TypeError, KeyError, AttributeError):
            logger.warning("What was alerted before cannot be understood: alerts may be sent once more")

    def _remember(self) -> None:
        self._memory.save({"told": self._alerts.dump(), "unsent": self._notifier.dump()})

    def _end(self) -> None:
        self._notifier.stop()
        self._remember()
        # The others are silent from now on, but not because they are: nobody looks.
        stops = [threading.Thread(target=self._heartbeat.stop)]
        for beats in self._speaks_for.values():
            stops.append(threading.Thread(target=beats.stop, kwargs={"message": "nobody watches it now"}))
        for stop in stops:  # together: a database that does not answer holds each up for seconds
            stop.start()
        for stop in stops:
            stop.join()


def _checks(settings: Settings, database: Database, stopping: threading.Event) -> list[Check]:
    """What there is to look at in this factory: nothing that nobody has configured."""
    limits = settings.disk_warning, settings.disk_error
    checks = [
        Check(FACTORY_DB, FactoryDb(FACTORY_DB, database).look),
        Check(INBOX_DISK, Disk(INBOX_DISK, settings.inbox, *limits).look),
        Check(VAULT_DISK, Disk(VAULT_DISK, settings.storage, *limits).look),
    ]
    if settings.syncthing_api_key is not None:
        from Src.Shared.monitor.syncthing import SyncthingCheck  # with all that HTTP takes
        from Src.Shared.syncthing.connecting import connect

        check = SyncthingCheck(
            SYNCTHING,
            connect(settings),
            settings.inbox,
            is_ours=settings.syncthing_is_ours,
            gui_password=settings.syncthing_gui_password,
            provision_every=settings.infrastructure_interval,
        )
        checks.append(Check(SYNCTHING, check.look, limit=_SYNCTHING_LIMIT))
    if settings.docker_host is not None:
        checks.append(Check(DOCKER, Containers(DOCKER, DockerApi(settings.docker_host, settings.factory_name)).look))
    watched = {MONITOR, FACTORY_DB, SYNCTHING}
    gone = watched - {MONITOR} - {check.name for check in checks}
    lives = Lives(settings.run, settings.loop_limit, settings.host)
    heartbeats = Heartbeats(database, watched, gone, lives, factory_name=settings.factory_name)
    checks.append(Check(HEARTBEATS, heartbeats.look))
    retention = Retention(database, settings.retention_days, stopping)
    checks.append(Check(RETENTION, retention.look, limit=_RETENTION_LIMIT))
    return checks


def _status(finding: Finding) -> Status:
    return "OK" if finding.state == "STOPPED" else finding.state


def send_test_alert(settings: Settings) -> int:
    """Sends a test to each of ALERT_URLS and prints whom it reached; the exit code."""
    if not settings.alert_urls:
        print("ALERT_URLS is not set: alerts are only logged", file=sys.stderr)
        return 2
    message = Notification("Photo Factory: test", "Alerts of Photo Factory arrive here.", "info")
    found = targets(settings.alert_urls)
    reached = [(target.name, target.send(message)) for target in found]
    for name, sent in reached:
        print(f"{name}: {'sent' if sent else 'NOT SENT; try it with `apprise -vv -b test URL`'}")
    return 0 if len(found) == len(settings.alert_urls) and all(sent for _, sent in reached) else 1


def main(arguments: list[str] | None = None, limits: Limits = LIMITS) -> int:
    """Runs the service until SIGTERM or SIGINT; the exit code."""
    parser = argparse.ArgumentParser(prog=MONITOR, description="Watches the factory and alerts.")
    parser.add_argument("--test-alert", action="store_true", help="send a test to each of ALERT_URLS, then exit")
    options = parser.parse_args(arguments)
    if options.test_alert:
        return _test_alert()
    return service.run(MONITOR, _make, answer_limit=_ANSWER_LIMIT, longest_round=_LONGEST_ROUND, limits=limits)


def _make(start: service.Start) -> Monitor:
    return Monitor(start.settings, start.database, start.heartbeat)


def _test_alert() -> int:
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"{MONITOR}: {error}", file=sys.stderr)
        return 2
    configure_logging(settings, MONITOR)
    return send_test_alert(settings)


if __name__ == "__main__":
    sys.exit(main())
