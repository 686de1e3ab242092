"""What a rebuild replaces, row by row: `rebuild --undo` puts it back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.rebuilding.columns import Row

_Values = Mapping[str, Any] | None


class Kept:
    """Of one transaction. Rows of a page are gathered, written into the ledger, and noted here."""

    def __init__(self, session: Session, beside: str) -> None:
        self._session = session
        self._beside = beside
        self.count = 0
        self.originals: list[tuple[str, Row, Row]] = []  # by hash: the columns that change, before and after
        self.rows: list[Row] = []  # those, with all columns that are compared
        self.new: list[tuple[Row, Sequence[str]]] = []  # whole rows of originals, with their words
        self.tags: list[tuple[str, str, str]] = []  # hash and id of an original, and a word for it

    def note(self, kind: str, rows: Sequence[tuple[str, _Values, _Values]]) -> None:
        """Key, what was, what is."""
        if not rows:
            return
        if not self.count:  # what the last rebuild has replaced is kept until the next one replaces something
            self._session.execute(text(f"DELETE FROM {self._beside}.kept"))
        self.count += len(rows)
        noted = [{"key": key, "before": before, "after": after} for key, before, after in rows]
        self._session.execute(
            text(
                f"INSERT INTO {self._beside}.kept (kind, key, before, after) SELECT :kind, key, before, after "
                "FROM json_to_recordset(CAST(:rows AS json)) AS x (key text, before jsonb, after jsonb)"
            ),
            {"kind": kind, "rows": json.dumps(noted, default=str)},
        )

    def note_page(self) -> None:
        """What was gathered is written."""
        self.note("original", self.originals)
        self.note("original", [(row["file_hash"], None, row) for row, _ in self.new])
        self.note("word", [(sha256, None, {"tag": tag}) for sha256, _, tag in self.tags])
        self.originals, self.rows, self.new, self.tags = [], [], [], []
