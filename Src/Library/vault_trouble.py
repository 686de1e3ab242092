"""The vault's trouble, as opposed to a file's."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from Src.Shared.errors import FactoryError


class VaultTrouble(FactoryError):
    """The vault cannot take files now. Not the files' fault: they wait, and work resumes by itself.

    The message is one line: what, where, what to do.
    """

    about = "vault"

    @classmethod
    def from_os(cls, error: OSError, doing: str) -> VaultTrouble:
        reasons = {
            errno.ENOSPC: "the disk is full; free some space",
            errno.EDQUOT: "the disk quota is used up; free some space",
            errno.EROFS: "the filesystem is read-only; remount it writable (after an error, check the disk)",
            errno.EACCES: "permission denied; let this user write there",
            errno.EPERM: "not permitted; let this user write there",
            errno.EIO: "input/output error; check the disk",
        }
        why = reasons.get(error.errno or 0, error.strerror or str(error))
        return cls(f"cannot {doing}: {why}")


@contextmanager
def vault_trouble(doing: str) -> Iterator[None]:
    """Any OSError inside the block is the vault's trouble, not a file's."""
    try:
        yield
    except OSError as error:
        raise VaultTrouble.from_os(error, doing) from error
