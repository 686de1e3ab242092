"""What a check of the sealed events found."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from Src.Library.custody.manifests.events.sealing import Head

WRONG = ("changed", "dropped", "inserted", "swapped", "broken", "backdated", "lost")
KINDS = (*WRONG, "late")  # what came late is named, and nothing is wrong with it
MOST = 1000  # of one kind that are named; all are counted


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing."""

    why: str
    number: int | None = None  # in the order of seals
    event: str | None = None  # fate, decision, note
    id: str | None = None
    name: str | None = None  # what it is about, where a row says so

    def as_json(self) -> dict[str, Any]:
        return {"number": self.number, "event": self.event, "id": self.id, "name": self.name, "why": self.why}


@dataclass(slots=True)
class CheckedEvents:
    """All of it."""

    sealed: int = 0
    head: tuple[int, str] | None = None  # the last seal of the database
    signed: int = 0  # up to which number the signed lists have it
    waiting: int = 0  # events that are not sealed yet
    waiting_since: datetime | None = None
    listed: Head | None = None  # the last one in the signed lists
    lists: int = 0  # signed lists that were compared
    wrong_lists: dict[str, str] = field(default_factory=dict)  # by path below Storage/Manifests: why
    notes: list[dict[str, Any]] = field(default_factory=list)
    accepted: int = 0  # of what is lost or backdated: that a person has said to know
    found: dict[str, list[Wrong]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    def add(self, kind: str, wrong: Wrong) -> None:
        self.counts[kind] += 1
        if len(self.found[kind]) < MOST:
            self.found[kind].append(wrong)

    @property
    def is_well(self) -> bool:
        return not self.wrong_lists and not any(self.counts[kind] for kind in WRONG)

    def as_json(self) -> dict[str, Any]:
        return {
            "sealed": self.sealed,
            "head": None if self.head is None else {"number": self.head[0], "seal": self.head[1]},
            "signed": self.signed,
            "waiting": self.waiting,
            "waiting_since": self.waiting_since,
            "lists": self.lists,
            "wrong_lists": dict(sorted(self.wrong_lists.items())),
            "counts": self.counts,
            **{kind: [one.as_json() for one in some] for kind, some in self.found.items()},
            "accepted": self.accepted,
            "notes": self.notes,
        }
