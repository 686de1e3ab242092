"""A copy's marker: the file by which a copy is known, whose it is, and which one it is."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

MARKER = ".photo-factory-copy"
LONGEST = 65_536  # bytes; a marker has some hundred

_TEXT = (
    "This file marks a copy of a Photo Factory's photos. Nothing is written to a folder or disk without it,\n"
    "and by its two numbers one disk is never taken for another. Keep it here.\n"
)
_LINE = "^{}: ([0-9a-f]{{8}}-(?:[0-9a-f]{{4}}-){{3}}[0-9a-f]{{12}})$"
_VAULT_ID = re.compile(_LINE.format("vault_id"), re.MULTILINE)
_COPY_ID = re.compile(_LINE.format("copy_id"), re.MULTILINE)
_ENCRYPTED = re.compile("^encrypted: age$", re.MULTILINE)


@dataclass(frozen=True)
class CopyMarker:
    """What it says."""

    vault_id: uuid.UUID
    copy_id: uuid.UUID
    is_encrypted: bool = False

    @property
    def content(self) -> bytes:
        """The file's."""
        encrypted = "encrypted: age\n" if self.is_encrypted else ""
        return f"{_TEXT}\nvault_id: {self.vault_id}\ncopy_id: {self.copy_id}\n{encrypted}".encode()


def marker_of(content: bytes) -> CopyMarker | None:
    """None where it is not whole, or none of ours."""
    text = content.decode(errors="replace")
    vault_id, copy_id = _VAULT_ID.search(text), _COPY_ID.search(text)
    if vault_id is None or copy_id is None:
        return None
    return CopyMarker(uuid.UUID(vault_id[1]), uuid.UUID(copy_id[1]), _ENCRYPTED.search(text) is not None)
