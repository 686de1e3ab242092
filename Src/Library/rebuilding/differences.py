"""What a rebuild has found to be other than the ledger says: each difference by its name, all in a file."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from Src.Library.vault import Vault
from Src.Library.vault_trouble import vault_trouble
from Src.Shared.disk.syncing import fsync, fsync_folder

LISTED = 10_000  # that are kept in memory; the file has all
REPORT = "rebuild-differences.jsonl"
UNDONE = "rebuild-undone.jsonl"

Kind = Literal["original", "word", "companion", "album", "album item", "relation"]
What = Literal[
    "added", "corrected", "stays", "gone", "other bytes", "twice", "removed", "meanwhile", "put back", "not put back"
]
# For a person to look at: the vault has not what the ledger says, and no row can be right.
WRONG: tuple[What, ...] = ("gone", "other bytes")
CHANGES: tuple[What, ...] = ("added", "corrected")


@dataclass(frozen=True, slots=True)
class Difference:
    """One row for which vault and ledger differ. `before`, `after`: the values that differ, by column."""

    what: What
    kind: Kind
    name: str  # of an original and its companions the path in the vault, as ledger text
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "kind": self.kind,
            "name": self.name,
            "before": self.before,
            "after": self.after,
        }


@dataclass(slots=True)
class Differences:
    """All of one run. They are written as they come."""

    counts: Counter[str] = field(default_factory=Counter)  # by `what`
    first: list[Difference] = field(default_factory=list)
    report: str | None = None  # where all stand
    _file: Any = None

    def add(self, one: Difference) -> None:
        """Raises VaultTrouble where it cannot be written down."""
        self.counts[one.what] += 1
        if len(self.first) < LISTED:
            self.first.append(one)
        if self._file is not None:
            with vault_trouble("write the list of differences"):
                self._file.write(json.dumps(one.as_json(), ensure_ascii=True, default=str) + "\n")

    @property
    def wrong(self) -> int:
        return sum(self.counts[what] for what in WRONG)

    @property
    def changes(self) -> int:
        """How many rows the new ledger has otherwise."""
        return sum(self.counts[what] for what in CHANGES)

    @contextmanager
    def written(self, vault: Vault, report: str = REPORT) -> Iterator[None]:
        """Within, all that is added goes to a file, which has its name, durably, when all is said. Raises VaultTrouble.

        To be left before the commit of what it says: no row is changed of which it does not speak.
        """
        path = vault.state / report
        with vault_trouble(f"write the list of differences {path}"):
            fd, temporary = tempfile.mkstemp(prefix=f".{report}-", dir=vault.state)
            self._file = os.fdopen(fd, "w", encoding="utf-8")
        try:
            yield
            with vault_trouble(f"write the list of differences {path}"):
                self._file.flush()
                fsync(self._file.fileno())
                self._file.close()
                os.replace(temporary, path)
                fsync_folder(vault.state)
            self.report = str(path)
        finally:
            with suppress(OSError):
                self._file.close()
            self._file = None
            with suppress(FileNotFoundError):
                Path(temporary).unlink()

    def as_json(self) -> dict[str, Any]:
        return {
            "count": self.counts.total(),
            "by_what": dict(sorted(self.counts.items())),
            "listed": [one.as_json() for one in self.first],
            "report": self.report,
        }
