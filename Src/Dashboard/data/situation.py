"""Everything that the verdict depends on, gathered; what cannot be asked is named and left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from Src.Dashboard.data import arrivals, inbox, machine, services
from Src.Dashboard.data.services import Heartbeat
from Src.Dashboard.health import ALIVE, Service, Situation, Verdict, verdict
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.resources import ledger, settings
from Src.Library.vault import Vault
from Src.Shared.database import LedgerUnavailable
from Src.Shared.docker_api import Container, DockerUnavailable
from Src.Shared.services import LIBRARIAN, SILENT_AFTER


@dataclass(frozen=True, slots=True)
class Found:
    """Each service, what it all means, and what could not be asked besides the ledger (and why)."""

    services: list[Service]
    verdict: Verdict
    missing: dict[str, str]
    containers: dict[str, Container]


def look_around() -> Found:
    missing: dict[str, str] = {}
    beats: list[Heartbeat] = []
    running: dict[str, Container] = {}
    held, last_filed, originals = inbox.Held(0, 0, 0), None, 0
    try:
        running = services.containers()
    except DockerUnavailable as error:
        missing["Docker"] = str(error)
    try:
        beats = services.heartbeats()
        held = inbox.held()
        totals = arrivals.totals()
        originals = totals.originals
        if totals.last_filed_at is not None:
            last_filed = max(0.0, (datetime.now(UTC) - totals.last_filed_at).total_seconds())
    except LedgerUnavailable:
        pass  # the verdict tells
    except TooSlow as error:
        missing["The database"] = str(error)
    problem = machine.exiftool_problem()
    if problem is not None:
        missing["ExifTool"] = f"not used here, so RAW photos show without a picture: {problem}"
    away = ledger().away_for()
    if away is not None:
        beats = _signs_of_life()
    known = services.services(beats, running)
    now = Situation(
        services=known,
        ledger_away=away,
        librarian_alive=_librarian_alive(running),
        disks=machine.machine().disks,
        disk_warning=settings().disk_warning,
        disk_error=settings().disk_error,
        vault_there=originals == 0 or Vault(settings().storage).is_marked(),
        failing=held.failing,
        dead_letters=held.dead_letters,
        last_filed=last_filed,
    )
    return Found(known, verdict(now), missing, running)


def _librarian_alive(running: dict[str, Container]) -> float | None:
    """Seconds since it showed that it lives: by its file, or in the stack by the health check, which looks at that."""
    container = running.get(LIBRARIAN)
    if container is not None:
        return 0.0 if services.container_state(container) in ("running", "healthy") else None
    return machine.seconds_since_touch(LIBRARIAN)


def _signs_of_life() -> list[Heartbeat]:
    """Without the ledger: the files that services on this machine touch."""
    found = []
    for name in services.KNOWN:
        age = machine.seconds_since_touch(name)
        if age is not None:
            at = datetime.now(UTC) - timedelta(seconds=age)
            found.append(Heartbeat(name, at, "OK", "seen on this machine", "", ALIVE / SILENT_AFTER, {}))
    return found
