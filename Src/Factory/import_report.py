"""`import --report FILE`: what became of each entry, or would, as CSV; the whole file or none."""

from __future__ import annotations

import csv
from pathlib import Path

from Src.Factory.new_file import NewFile
from Src.Librarian.passage import Account
from Src.Shared.logs import escaped

COLUMNS = ("path", "hash", "fate", "where", "date", "date_source", "reason")
_FORMULA = ("=", "+", "-", "@")


class ImportReport(NewFile):
    """A context manager; FILE is there when it ends well."""

    def __init__(self, target: Path, storage: Path) -> None:
        """Raises Problem where FILE cannot be written, or is there already."""
        super().__init__(target, storage, about="import: --report")
        self._rows = csv.writer(self.file, lineterminator="\n")
        self._rows.writerow(COLUMNS)

    def add(self, account: Account) -> None:
        """Raises Problem where the disk is full."""
        row = (
            account.path,
            account.sha256,
            account.fate,
            account.where,
            account.captured_at,
            account.date_source,
            account.reason,
        )
        try:
            self._rows.writerow(["" if one is None else cell(str(one)) for one in row])
        except OSError as error:
            raise self.problem(error) from error


def cell(text: str) -> str:
    """Text that no program takes for a formula or for several lines, and that is UTF-8."""
    safe = escaped(text)
    return f"'{safe}" if safe.startswith(_FORMULA) else safe
