"""What is wrong with the files of originals, as the last look at all of them has found."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from Src.Shared.ledger_text import from_ledger
from Src.Shared.ledger_way import Ask

WORDS = {
    "gone": "gone",
    "not_a_file": "no file any more",
    "size": "of another size",
    "content": "changed",
    "unreadable": "unreadable",
    "writable": "writable",
}
FINDINGS = tuple(WORDS)  # the worst first; a test compares it with those of the models
_FROM_A_BACKUP = (
    "other bytes stand at its path; ./factory verify --restore-from FOLDER keeps them aside, and puts the original back"
)
WHAT_TO_DO = {
    "gone": "put it back from a backup, ./factory verify --restore-from FOLDER, or import it again: it takes its place",
    "not_a_file": "something else stands there; ./factory verify --restore-from FOLDER keeps that aside, and puts "
    "the original back",
    "size": _FROM_A_BACKUP,
    "content": _FROM_A_BACKUP,
    "unreadable": "give the user that runs the librarian the right to read it (chmod, chown), and check the disk",
    "writable": "somebody may change it: chmod a-w FILE",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One original."""

    final_path: str  # as on disk
    finding: str
    message: str
    since: datetime
    asset_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Findings:
    """How many of each kind, and the first of them, the worst first."""

    counts: Mapping[str, int] = field(default_factory=dict)
    first: tuple[Found, ...] = ()
    looked_at: datetime | None = None  # when the last look at all originals ended
    looked_originals: int | None = None

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def bad(self) -> int:
        """Originals that are not there as they should be; one that is only writable still is."""
        return self.count - self.counts.get("writable", 0)

    @property
    def sentence(self) -> str:
        """In one line, for a heartbeat."""
        kinds = ", ".join(f"{self.counts[kind]:,} {WORDS[kind]}" for kind in FINDINGS if self.counts.get(kind))
        noun = "original is" if self.count == 1 else "originals are"
        first = f" ({self.first[0].final_path}{', …' if self.count > 1 else ''})" if self.first else ""
        return f"{self.count:,} {noun} not as they were filed: {kinds}{first}; see ./factory status"


_COUNTS = "SELECT finding, count(*) FROM original_findings GROUP BY finding"
_FIRST = (
    "SELECT final_path, finding, message, first_seen_at, asset_id FROM original_findings "
    "ORDER BY array_position(%(worst_first)s, finding), final_path LIMIT %(most)s"
)
_LOOKED = "SELECT looked_at, looked_originals FROM vault"


def read_findings(ask: Ask, most: int) -> Findings:
    """All counts, and the first `most` of them."""
    counts: dict[str, int] = dict(ask(_COUNTS, {}))
    first = ask(_FIRST, {"worst_first": list(FINDINGS), "most": most}) if counts else []
    looked = ask(_LOOKED, {})
    return Findings(
        counts,
        tuple(Found(from_ledger(path), finding, message, since, id_) for path, finding, message, since, id_ in first),
        *(looked[0] if looked else (None, None)),
    )
