"""Everything that the verdict depends on, gathered; what cannot be asked is named and left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from Src.Dashboard.data import arrivals, inbox, machine, services
from Src.Dashboard.data.services import Heartbeat
from Src.Dashboard.health import Situation, Verdict, verdict
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.resources import ledger, settings
from Src.Librarian.vault import Vault
from Src.Shared.database import LedgerUnavailable
from Src.Shared.docker_api import Container, DockerUnavailable


@dataclass(frozen=True, slots=True)
class Found:
    """How things are, what that means, and which parts of the factory could not be asked (and why)."""

    situation: Situation
    verdict: Verdict
    missing: dict[str, str]
    containers: dict[str, Container]
    heartbeats: dict[str, Heartbeat]


def look_around() -> Found:
    missing: dict[str, str] = {}
    beats: dict[str, Heartbeat] = {}
    running: dict[str, Container] = {}
    stays, last_filed, originals = inbox.Stays(0, 0, 0), None, 0
    try:
        running = services.containers()
    except DockerUnavailable as error:
        missing["Docker"] = str(error)
    try:
        beats = services.heartbeats()
        stays = inbox.stays()
        totals = arrivals.totals()
        originals = totals.originals
        if totals.last_filed_at is not None:
            last_filed = max(0.0, (datetime.now(UTC) - totals.last_filed_at).total_seconds())
    except (LedgerUnavailable, TooSlow) as error:
        missing["The database"] = str(error)
    if not machine.has_exiftool():
        missing["ExifTool"] = "not installed here, so RAW photos show without a picture"
    away = ledger().away_for()
    known = services.services(beats, running)
    now = Situation(
        services=known if away is None else [one for one in known if one.container is not None],
        ledger_away=away,
        librarian_alive=machine.seconds_since_touch("librarian"),
        disks=machine.machine().disks,
        disk_warning=settings().disk_warning,
        disk_error=settings().disk_error,
        vault_there=originals == 0 or Vault(settings().storage).is_marked(),
        failing=stays.failing,
        dead_letters=stays.dead_letters,
        last_filed=last_filed,
    )
    return Found(now, verdict(now), missing, running, beats)
