"""Is everything working? The state of each service as a light, and the whole factory's as one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from Src.Dashboard.words import ago, counted, span

Light = Literal["green", "yellow", "red", "grey"]  # grey: nothing is known
Level = Literal["good", "warning", "error"]

LATE, SILENT = 1.5, 3.0  # heartbeat intervals
ALIVE = 30.0  # seconds since a service that lives touched its liveness file, at most

WATCHED = ("factory-db", "syncthing")  # by the service-monitor
WITHOUT_HEARTBEAT = ("docker-proxy", "gate")  # only their containers tell of them
_NAMES = {"syncthing": "Syncthing", "factory-db": "The database"}
RUNNING = ("running", "healthy", "starting", "created", "restarting")


@dataclass(frozen=True, slots=True)
class Service:
    """One service, as it is now. Times are seconds."""

    name: str
    status: str | None = None  # OK, WARNING, ERROR; None: it has never reported
    age: float | None = None  # of its last heartbeat
    interval: float = 60.0
    task: str = ""
    message: str = ""
    container: str | None = None  # Docker's word for its state; None: no container is known

    @property
    def is_stopped(self) -> bool:
        return self.task == "stopped"

    @property
    def is_only_a_container(self) -> bool:
        """It sends no heartbeats, and its container is known."""
        return self.name in WITHOUT_HEARTBEAT and self.container is not None

    @property
    def is_unwatched(self) -> bool:
        """It cannot report for itself, and who looks after it does not: that says nothing about it."""
        return self.name in WATCHED and self.age is not None and (self.is_stopped or self.age > SILENT * self.interval)

    @property
    def light(self) -> Light:
        if self.container is not None and self.container not in RUNNING:
            return "red"
        if self.is_only_a_container:
            return "green"
        if self.age is None:
            return "grey" if self.container is None else "yellow"
        if self.is_unwatched:
            return "grey"
        if self.is_stopped or self.age > SILENT * self.interval or self.status == "ERROR":
            return "red"
        return "yellow" if self.age > LATE * self.interval or self.status == "WARNING" else "green"


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk, and what it is there for."""

    name: str
    total: int  # bytes
    free: int

    @property
    def percent_free(self) -> float:
        return 100.0 * self.free / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the verdict depends on; None: not known."""

    services: Sequence[Service] = ()
    ledger_away: float | None = None  # seconds; None: it is there
    librarian_alive: float | None = None  # seconds since its liveness file was touched
    disks: Sequence[Disk] = ()
    disk_warning: float = 10.0  # percent free
    disk_error: float = 2.0
    vault_there: bool = True
    failing: int = 0
    dead_letters: int = 0
    last_filed: float | None = None  # seconds ago


@dataclass(frozen=True, slots=True)
class Verdict:
    level: Level
    sentence: str
    also: tuple[str, ...] = field(default=())


def verdict(now: Situation) -> Verdict:
    """The worst in one sentence, and what else is wrong."""
    found: list[tuple[Level, str]] = [*_ledger(now), *_vault(now)]
    for service in now.services:
        if now.ledger_away is None or service.name != "librarian":  # else said already
            found += _service(service)
    found += _disks(now)
    found += _files(now)
    found.sort(key=lambda one: one[0] != "error")  # stable: within a level as above
    if found:
        level, sentence = found[0]
        return Verdict(level, sentence, tuple(text for _, text in found[1:]))
    if now.last_filed is None:
        return Verdict("good", "All good: ready for the first photo")
    return Verdict("good", f"All good: last photo filed {ago(now.last_filed)}")


def _ledger(now: Situation) -> list[tuple[Level, str]]:
    if now.ledger_away is None:
        return []
    away = f"The database has not answered for {span(now.ledger_away)}"
    if now.librarian_alive is None or now.librarian_alive > ALIVE:
        return [("error", f"{away}, and the librarian shows no sign of life; photos wait in the inbox")]
    return [("warning", f"{away}; photos are still being filed")]


def _vault(now: Situation) -> list[tuple[Level, str]]:
    return [] if now.vault_there else [("error", "The vault is not there: mount its disk; photos wait in the inbox")]


def _service(service: Service) -> list[tuple[Level, str]]:
    name = _NAMES.get(service.name, f"The {service.name}")
    waits = "; photos wait in the inbox" if service.name == "librarian" else ""
    if service.container is not None and service.container not in RUNNING:
        return [("error", f"The container of {service.name} is {service.container}{waits}")]
    if service.age is None:
        return [("warning", f"{name} has not reported yet")] if service.name == "librarian" else []
    if service.is_unwatched:
        return []  # the service-monitor's own silence is told
    if service.is_stopped:
        return [("error", f"{name} was stopped {ago(service.age)}{waits}")]
    if service.age > SILENT * service.interval:
        return [("error", f"{name} has been silent for {span(service.age)}{waits}")]
    if service.status == "ERROR":
        return [("error", f"{name} reports an error: {service.message or 'no reason given'}")]
    if service.age > LATE * service.interval:
        return [("warning", f"{name} is late: its last heartbeat was {ago(service.age)}")]
    if service.status == "WARNING":
        return [("warning", f"{name} warns: {service.message or 'no reason given'}")]
    return []


def _disks(now: Situation) -> list[tuple[Level, str]]:
    found: list[tuple[Level, str]] = []
    for disk in now.disks:
        if disk.percent_free < now.disk_warning:
            level: Level = "error" if disk.percent_free < now.disk_error else "warning"
            found.append((level, f"The disk of {disk.name} is nearly full: {disk.percent_free:.1f} % free"))
    return found


def _files(now: Situation) -> list[tuple[Level, str]]:
    # The librarian's own warning is about these already.
    told = any(service.name == "librarian" and service.status == "WARNING" for service in now.services)
    if now.dead_letters and not told:
        return [("warning", f"{counted(now.dead_letters, 'file')} failed for good; see Problems")]
    if now.failing:
        return [("warning", f"{counted(now.failing, 'file')} cannot be filed yet; see Problems")]
    return []
