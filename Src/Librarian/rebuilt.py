"""What a rebuild has found and done."""

from __future__ import annotations

from dataclasses import dataclass, field

from Src.Shared.ledger_text import to_ledger

LISTED = 10_000  # of each kind that are named; the rest is only counted


@dataclass(slots=True)
class Listed:
    """Files of one kind: how many, and the first of them with a word on each."""

    count: int = 0
    files: list[dict[str, str]] = field(default_factory=list)

    def add(self, path: str, why: str) -> None:
        self.count += 1
        if len(self.files) < LISTED:
            self.files.append({"path": to_ledger(path), "why": why})


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild has found and done. Paths are relative to the storage root."""

    dry_run: bool
    from_nothing: bool = False  # the ledger had no originals
    complete: bool = False
    files: int = 0  # in the vault
    believed: int = 0  # not read: they are as they were when the ledger last knew them to be right
    bytes: int = 0  # of what was filed
    filed: int = 0
    moved: int = 0  # filed: their row named another path, at which nothing stands
    replayed: int = 0  # entries of the journal
    decided: int = 0  # decisions that only the overlay beside the vault had
    undecided: Listed = field(default_factory=Listed)  # lines of it that cannot be read
    other_day: Listed = field(default_factory=Listed)  # filed: they tell another day than their folder's
    companions: int = 0  # filed: files that belong to an original beside them
    twice: Listed = field(default_factory=Listed)
    not_media: Listed = field(default_factory=Listed)
    temporary: Listed = field(default_factory=Listed)
    unknown: Listed = field(default_factory=Listed)
    failed: Listed = field(default_factory=Listed)
    gone: Listed = field(default_factory=Listed)  # rows whose file has gone
