"""What a run has done, in numbers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from Src.Librarian.librarian import Outcome

_COUNTED = {
    "new": "new",
    "duplicate": "duplicates",
    "restored": "restored",
    "not_media": "unsupported",
    "failed": "failed",
}


@dataclass(slots=True)
class Tally:
    """Counts of files by what became of them; `bytes` are those of photos and videos filed or found again."""

    new: int = 0
    duplicates: int = 0
    restored: int = 0
    unsupported: int = 0
    failed: int = 0
    bytes: int = 0
    began: float = field(default_factory=time.monotonic)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            name = _COUNTED.get(outcome.result)
            if name is not None:
                setattr(self, name, getattr(self, name) + 1)
            if outcome.result in ("new", "duplicate", "restored"):
                self.bytes += outcome.file.state.size

    @property
    def files(self) -> int:
        return self.new + self.duplicates + self.restored + self.unsupported + self.failed

    def report(self) -> dict[str, int | float]:
        """The object that `--json` prints."""
        return {
            "new": self.new,
            "duplicates": self.duplicates,
            "restored": self.restored,
            "unsupported": self.unsupported,
            "failed": self.failed,
            "bytes": self.bytes,
            "seconds": round(time.monotonic() - self.began, 3),
        }
