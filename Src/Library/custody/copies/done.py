"""What a run has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from Src.Shared.ledger_text import to_ledger


def as_ledger_names(said: Mapping[str, str], most: int | None = None) -> dict[str, str]:
    """By path, in order; names may hold what is no text."""
    return {to_ledger(path): why for path, why in sorted(said.items())[:most]}


@dataclass(slots=True)
class CopyDone:
    """Names are paths as on disk, relative to the storage."""

    name: str
    is_complete: bool = False
    copied: int = 0  # originals that were brought there and read back, or were there and read back for the first time
    bytes: int = 0  # of those
    moved: int = 0  # that stand at another place here by now, and there too
    others: int = 0  # companions, lists, decisions
    reread: int = 0  # that were there, and read back again
    removed: int = 0  # that a person had removed for good here
    database: str | None = None  # the dump that is there since this run
    wrong: dict[str, str] = field(default_factory=dict)  # at the copy: what was found there, and put right or not
    failed: dict[str, str] = field(default_factory=dict)  # what is not at the copy, and why
    originals: int = 0  # in the vault
    there: int = 0  # of these, at the copy
    trouble: str | None = None  # what has ended the run

    def as_json(self, most: int | None = None) -> dict[str, Any]:
        """The form that stays. Names are ledger text. `most`: so many of what is wrong, and of what failed."""
        names = ("name", "copied", "bytes", "moved", "others", "reread", "removed", "database", "originals", "there")
        return {
            **{name: getattr(self, name) for name in names},
            "complete": self.is_complete,
            "wrong": as_ledger_names(self.wrong, most),
            "failed": as_ledger_names(self.failed, most),
            "trouble": self.trouble,
        }

    @property
    def is_well(self) -> bool:
        return self.is_complete and not self.failed and not self.wrong and self.trouble is None
