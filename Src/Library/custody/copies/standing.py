"""How each copy stands, and whether there is enough of it: three copies, on two disks, one of them elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from Src.Library.custody.copies.rows import CopyRow, CopyRows, Counts
from Src.Shared.words import short_span


@dataclass(frozen=True)
class Standing:
    """One copy."""

    row: CopyRow
    counts: Counts
    originals: int  # in the vault

    @property
    def has_all(self) -> bool:
        return self.originals > 0 and self.counts.originals >= self.originals

    @property
    def words(self) -> str:
        disk = "" if self.row.has_own_disk else ", not known to be on another disk than the vault's"
        return f"{self.counts.originals:,} of {self.originals:,}{disk}"

    @property
    def drill_words(self) -> str:
        if self.row.drilled_at is None or self.row.drill_result is None:
            return "never"
        ago = short_span(max(0.0, (datetime.now(UTC) - self.row.drilled_at).total_seconds()))
        return f"{'well' if self.row.drill_result.get('well') else 'NOT well'}, {ago} ago"

    def as_json(self) -> dict[str, Any]:
        row = self.row
        names = ("name", "kind", "target", "ran_at", "dump_path", "dumped_at", "drilled_at")
        return {
            **{name: getattr(row, name) for name in names},
            "encrypted": row.is_encrypted,
            "originals": self.counts.originals,
            "missing": max(0, self.originals - self.counts.originals),
            "bytes": self.counts.bytes,
            "oldest_read_back_at": self.counts.oldest,
            "has_own_disk": row.has_own_disk,
            "run": row.run_result,
            "drill": row.drill_result,
        }


@dataclass(frozen=True)
class ThreeTwoOne:
    """The rule of three copies (the vault is one), on two disks, one of them at another place."""

    copies: int
    disks: int
    elsewhere: int

    @property
    def is_reached(self) -> bool:
        return self.copies >= 3 and self.disks >= 2 and self.elsewhere >= 1

    @property
    def words(self) -> str:
        state = "reached" if self.is_reached else "not reached"
        return (
            f"3-2-1 is {state}: of everything there are {self.copies} of 3 copies (the vault is one), on {self.disks} "
            f"of 2 disks, {self.elsewhere} of 1 at another place (SSH or S3)"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "reached": self.is_reached,
            "copies": self.copies,
            "disks": self.disks,
            "elsewhere": self.elsewhere,
            "words": self.words,
        }


def standing_of(rows: CopyRows, row: CopyRow, originals: int) -> Standing:
    return Standing(row, rows.counts(row.id), originals)


def three_two_one(originals: int, found: Sequence[Standing]) -> ThreeTwoOne:
    """Only copies that have all originals count."""
    whole = [one for one in found if one.has_all]
    own = 1 if originals else 0
    apart = [one for one in whole if one.row.has_own_disk]
    return ThreeTwoOne(own + len(whole), own + len(apart), sum(one.row.kind != "folder" for one in apart))
