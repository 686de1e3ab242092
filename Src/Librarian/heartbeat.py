"""The Librarian's heartbeat: what its conditions mean as OK, WARNING or ERROR."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from Src.Librarian.watch.exposure import EXPOSED
from Src.Library.findings import Findings
from Src.Media.readers.readings import Readings, as_json
from Src.Shared import words
from Src.Shared.heartbeat_service import HeartbeatService, Status


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the Librarian is, at one moment."""

    task: str
    waits: bool = False  # it cannot begin its work yet
    trouble: str | None = None  # files cannot be filed now: vault or inbox
    ledger_away: str | None = None
    exiftool_problem: str | None = None
    failing: int = 0
    dead_letters: int = 0
    not_media: int = 0
    unreadable: int = 0  # folders and files of the inbox that it may not, or cannot, look at
    links: int = 0  # and what else is no file
    is_exposed: bool = False  # root serves an inbox that others write to
    waiting: int = 0
    rejected: int = 0  # rows that the ledger refuses
    findings: Findings = field(default_factory=Findings)  # of the look at all originals
    damaged: int = 0
    mirror_trouble: str | None = None  # what people decide cannot be written beside the vault
    manifests_trouble: str | None = None  # the signed lists of the photos cannot be written
    readings: Readings = field(default_factory=Counter)  # since it has started

    @property
    def status(self) -> Status:
        """ERROR: nothing can be filed, or an original is gone or changed. WARNING: a person should look."""
        if self.trouble is not None or self.findings.bad:
            return "ERROR"
        return "WARNING" if self.warnings else "OK"

    @property
    def message(self) -> str | None:
        if self.trouble is not None:
            return self.trouble
        return "; ".join(self.warnings) or None

    @property
    def warnings(self) -> list[str]:
        found = []
        if self.findings.count:
            found.append(self.findings.sentence)
        if self.ledger_away is not None:
            found.append(
                "the database cannot be reached; what was added is noted beside the photos and recorded later: "
                f"{self.ledger_away}"
            )
        if self.exiftool_problem is not None:
            found.append(self.exiftool_problem)
        if self.dead_letters:
            found.append(f"{words.counted(self.dead_letters, 'file')} failed for good; see ./factory problems")
        if self.rejected:
            found.append(f"the database refuses {words.counted(self.rejected, 'row')}; ./factory retry tries again")
        if self.unreadable:
            unreadable = words.counted(self.unreadable, "entry", "entries")
            found.append(f"{unreadable} of the inbox cannot be read; see ./factory status")
        if self.is_exposed:
            found.append(EXPOSED)
        if self.damaged:
            damaged = f"{words.counted(self.damaged, 'damaged original')} {'was' if self.damaged == 1 else 'were'}"
            found.append(f"{damaged} moved aside; see ./factory status, and check the disk")
        if self.mirror_trouble is not None:
            found.append(f"what was decided is in the database only, and not beside the vault: {self.mirror_trouble}")
        if self.manifests_trouble is not None:
            found.append(f"the signed lists of the photos are not up to date: {self.manifests_trouble}")
        return found


class LibrarianHeartbeat:
    """Reports the Librarian's conditions."""

    def __init__(self, service: HeartbeatService) -> None:
        self._service = service

    def alive(self) -> None:
        """Shows that the loop is alive, and says nothing to the ledger: another Librarian speaks there."""
        self._service.touch()

    def report(self, conditions: Conditions) -> None:
        """Once each loop; cheap. Also shows that the loop is alive."""
        self._service.touch()
        self._service.report(
            conditions.status,
            conditions.task,
            conditions.message,
            {
                "waiting": conditions.waiting,
                "failing": conditions.failing,
                "dead_letters": conditions.dead_letters,
                "not_media": conditions.not_media,
                "rejected": conditions.rejected,
                "originals_found": dict(conditions.findings.counts),
                "unreadable": conditions.unreadable,
                "links": conditions.links,
                "damaged": conditions.damaged,
                "readings": as_json(conditions.readings),
            },
            waits=conditions.waits,
        )
        self._service.start()  # not before there is something to say
