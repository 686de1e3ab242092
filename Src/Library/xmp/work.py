"""One XMP file while it is worked on, and what is noted of one that was read."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from Src.Library.xmp.files import Found
from Src.Library.xmp.rows import Row, Seen
from Src.Library.xmp.saying import as_json
from Src.Media.xmp_document import NotXmp
from Src.Media.xmp_sidecar import Said, read_sidecar
from Src.Shared.ledger_text import int8


@dataclass
class Work:
    """One file of a batch."""

    row: Row | None  # None: none stands there yet
    original: str
    path: str
    found: Found | None = None
    said: Said = field(default_factory=Said)
    id: uuid.UUID | None = None
    content: bytes | None = None  # what is to be written; None: it says so already


def seen_of(id_: uuid.UUID, found: Found, *, is_ours: bool) -> Seen:
    """What is noted of a file."""
    status = found.status
    return Seen(id_, found.sha256, status.st_size, int8(status.st_mtime_ns), is_ours, as_json(said_in(found.content)))


def said_in(content: bytes) -> Said:
    """What a file says; nothing where it is no XMP."""
    try:
        return read_sidecar(content)
    except NotXmp:
        return Said()
