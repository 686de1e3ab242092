"""Is everything working? The state of each service as a light, and the whole factory's as one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from Src.Dashboard.words import ago, percent, span
from Src.Library.held_words import failed_words
from Src.Shared.instance import instance_title
from Src.Shared.liveness import ONLY
from Src.Shared.services import LIBRARIAN, SILENT_AFTER, service_named

Light = Literal["green", "yellow", "red", "grey"]  # grey: nothing is known
Level = Literal["good", "warning", "error"]

LATE = 1.5  # heartbeat intervals
ALIVE = 30.0  # seconds since a service that lives touched its liveness file, at most

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
    instance: str = ONLY
    has_others: bool = False  # there are several of this service

    @property
    def title(self) -> str:
        """What people see: which instance it is where there are several."""
        return instance_title(self.name, self.instance) if self.has_others else self.name

    @property
    def is_stopped(self) -> bool:
        return self.task == "stopped"

    @property
    def is_silent(self) -> bool:
        return self.age is not None and self.age > SILENT_AFTER * self.interval

    @property
    def is_only_a_container(self) -> bool:
        """It sends no heartbeats, and its container is known."""
        return not service_named(self.name).sends_heartbeats and self.container is not None

    @property
    def is_unwatched(self) -> bool:
        """It cannot report for itself, and who looks after it does not: that says nothing about it."""
        if service_named(self.name).reported_by is None or self.age is None:
            return False
        return self.is_stopped or self.is_silent

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
        if self.is_stopped or self.is_silent or self.status == "ERROR":
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
        if now.ledger_away is None or service.name != LIBRARIAN:  # else said already
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
        return [("error", f"{away}, and the librarian does not answer either; photos wait in the inbox")]
    return [("warning", f"{away}; photos are still being filed")]


def _vault(now: Situation) -> list[tuple[Level, str]]:
    return [] if now.vault_there else [("error", "The vault is not there: mount its disk; photos wait in the inbox")]


def _service(service: Service) -> list[tuple[Level, str]]:
    known = service_named(service.name)
    name = known.subject or f"The {service.title}"
    waits = f"; {known.consequence}" if known.consequence else ""
    if service.container is not None and service.container not in RUNNING:
        return [("error", f"The container of {service.name} is {service.container}{waits}")]
    if service.age is None:
        return [("warning", f"{name} has not reported yet")] if service.name == LIBRARIAN else []
    if service.is_unwatched:
        return []  # the service-monitor's own silence is told
    if service.is_stopped:
        return [("error", f"{name} was stopped {ago(service.age)}{waits}")]
    if service.is_silent:
        return [("error", f"{name} has been silent for {span(service.age)}{waits}")]
    if service.status == "ERROR":
        return [("error", f"{name} reports an error: {service.message or 'no reason given'}")]
    if service.age > LATE * service.interval:
        return [("warning", f"{name} is late: it last reported {ago(service.age)}")]
    if service.status == "WARNING":
        return [("warning", f"{name} warns: {service.message or 'no reason given'}")]
    return []


def _disks(now: Situation) -> list[tuple[Level, str]]:
    found: list[tuple[Level, str]] = []
    for disk in now.disks:
        if disk.percent_free < now.disk_warning:
            level: Level = "error" if disk.percent_free < now.disk_error else "warning"
            found.append((level, f"The disk of {disk.name} is nearly full: {percent(disk.percent_free)} free"))
    return found


def _files(now: Situation) -> list[tuple[Level, str]]:
    # The librarian's own warning is about these already.
    told = any(service.name == LIBRARIAN and service.status == "WARNING" for service in now.services)
    if now.failing or (now.dead_letters and not told):
        return [("warning", f"{failed_words(now.failing, now.dead_letters)}; see Problems")]
    return []
