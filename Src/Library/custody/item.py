"""What is verified: the files that the ledger says stand in the vault, and what is found of each."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal, NamedTuple

from Src.Shared.disk.files import FileState

Word = Literal["ok", "missing", "changed", "unreadable", "mode"]


class Item(NamedTuple):
    """An original, or a file that stands beside one and belongs to it, as the ledger has it."""

    id: uuid.UUID
    companion: str | None  # its kind; None: an original
    text: str  # its path, ledger text
    path: str  # as on disk, relative to the storage root
    size: int
    sha256: str
    since: datetime | None  # with which another file may take the place: of originals, `ingested_at`
    mtime_ns: int | None = None  # with which its bytes are known to be right
    verified_at: datetime | None = None
    found: str | None = None  # what is wrong with it, as the ledger has it

    @property
    def may_change(self) -> bool:
        """Programs write into XMP files what people decide about a photo."""
        return self.companion == "xmp"

    def is_same(self, other: Item) -> bool:
        """Whether the ledger still says the same of it."""
        return self[:7] == other[:7]


class Seen(NamedTuple):
    """What was found of an item."""

    word: Word
    why: str = ""
    finding: str | None = None  # as `original_findings` has it
    state: FileState | None = None  # in which its bytes were read and right; None: they were not read
    read: int = 0  # bytes
    is_touched: bool = False  # its time is another one than with which its bytes were known
    is_in_use: bool = False  # an XMP file into which a program has written since it was last seen
