"""The Librarian's heartbeat: what its conditions mean as OK, WARNING or ERROR."""

from __future__ import annotations

from dataclasses import dataclass

from Src.Shared.heartbeat_service import HeartbeatService, Status

_NO_EXIFTOOL = "ExifTool is missing: dates, places and cameras of many kinds cannot be read"


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the Librarian is, at one moment."""

    task: str
    trouble: str | None = None  # files cannot be filed now: vault or inbox
    ledger_away: str | None = None
    has_exiftool: bool = True
    failing: int = 0
    dead_letters: int = 0
    not_media: int = 0
    waiting: int = 0

    @property
    def status(self) -> Status:
        """ERROR: nothing can be filed. WARNING: it can, but a person should look."""
        if self.trouble is not None:
            return "ERROR"
        return "WARNING" if self.warnings else "OK"

    @property
    def warnings(self) -> list[str]:
        found = []
        if self.ledger_away is not None:
            found.append(f"the ledger is away, rows wait in the journal: {self.ledger_away}")
        if not self.has_exiftool:
            found.append(_NO_EXIFTOOL)
        if self.dead_letters:
            found.append(f"{self.dead_letters} files failed for good; see ./factory status")
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
            conditions.trouble or "; ".join(conditions.warnings) or None,
            {
                "waiting": conditions.waiting,
                "failing": conditions.failing,
                "dead_letters": conditions.dead_letters,
                "not_media": conditions.not_media,
            },
        )
        self._service.start()  # not before there is something to say
