"""The one way by which a path or a hash that the ledger or the journal states may lead to the disk.

Both can be wrong: a row changed by hand, a journal restored from elsewhere, a defect. A path that has not the shape of
an original's is never followed, and never counts as a reason to remove anything.
"""

from __future__ import annotations

import logging
import os
import re

from Src.Shared.ledger_text import from_ledger

logger = logging.getLogger(__name__)

# `docs/DATABASE_SCHEMA.md` has the same as constraints; what only the disk knows (bytes, NUL) is checked here.
_PATH = re.compile(rb"Originals/([0-9]{4})/\1-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])/([^/\0]{1,255})", re.DOTALL)
# What was removed stands there in the same layout.
_TRASHED = re.compile(_PATH.pattern.replace(b"Originals", b"Trash"), re.DOTALL)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NotAnOriginal(ValueError):
    """A path or a hash is none of an original's. The message says which, and why."""


def checked_path(path: str) -> str:
    """The path itself (as on disk, relative to the storage root), which has the shape of an original's.

    Raises NotAnOriginal.
    """
    try:
        match = _PATH.fullmatch(os.fsencode(path))
    except UnicodeEncodeError:
        match = None
    if match is None or match[2] in (b".", b".."):
        raise NotAnOriginal(f"{path!r} is no path of an original (Originals/YYYY/YYYY-MM-DD/NAME)")
    return path


def is_path(path: str) -> bool:
    """Whether a path has the shape of an original's."""
    try:
        checked_path(path)
    except NotAnOriginal:
        return False
    return True


def is_in_trash(path: str) -> bool:
    """Whether a path leads into the trash, and not to an original."""
    return path.startswith("Trash/")


def checked_place(path: str) -> str:
    """The path itself, which has the shape of an original's, or of one in the trash. Raises NotAnOriginal."""
    if not is_in_trash(path):
        return checked_path(path)
    try:
        match = _TRASHED.fullmatch(os.fsencode(path))
    except UnicodeEncodeError:
        match = None
    if match is None or match[2] in (b".", b".."):
        raise NotAnOriginal(f"{path!r} is no path in the trash (Trash/YYYY/YYYY-MM-DD/NAME)")
    return path


def checked_hash(sha256: str) -> str:
    """The hash itself, which is a SHA-256 in lower-case hex. Raises NotAnOriginal."""
    if _SHA256.fullmatch(sha256) is None:
        raise NotAnOriginal(f"{sha256!r} is no SHA-256 (64 digits of lower-case hex)")
    return sha256


def path_in_row(text: str, row: object) -> str | None:
    """The path (as on disk) that a row of the ledger states, by its ledger text.

    None where it is no path of an original: the row's original then counts as gone. An ERROR says which row it is.
    """
    try:
        return checked_path(from_ledger(text))
    except NotAnOriginal as problem:
        logger.error("the database's row %s is not believed: %s", row, problem)
        return None
