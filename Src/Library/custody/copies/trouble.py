"""A copy's trouble, as opposed to one file's."""

from __future__ import annotations

import errno

from Src.Shared.errors import FactoryError


class CopyTrouble(FactoryError):
    """The copy cannot be used now, or is not the one that was asked for. What was noted of it stays true.

    The message is one line: what, where, what to do.
    """

    about = "copies"

    @classmethod
    def from_os(cls, error: OSError, doing: str) -> CopyTrouble:
        reasons = {
            errno.ENOSPC: "the copy's disk is full; free some space there, or use a larger one",
            errno.EDQUOT: "the quota there is used up; free some space there",
            errno.EROFS: "it is read-only; mount it writable (after an error, check the disk)",
            errno.EACCES: "permission denied; let this user write there",
            errno.EPERM: "not permitted; let this user write there",
            errno.EIO: "input/output error; was the disk unplugged? Check it",
            errno.ENODEV: "the disk is gone; plug it in",
            errno.ENOENT: "it is gone; was the disk unplugged?",
        }
        return cls(f"cannot {doing}: {reasons.get(error.errno or 0, error.strerror or str(error))}")


class NotThere(Exception):
    """No file stands there at the copy."""


class FileRefused(Exception):
    """The copy cannot take or give this one file. The message is a sentence; others may do."""
