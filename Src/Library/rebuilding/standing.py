"""Files of the vault of which a rebuild's rows speak: whether they stand there, and what those get that are added."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from Src.Library.kept_xmp import KeptXmp
from Src.Library.original_path import is_path
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Media.companions import MOST_BYTES
from Src.Shared.disk.beneath import open_beneath
from Src.Shared.disk.files import OPEN_FLAGS
from Src.Shared.disk.making import read_only
from Src.Shared.ledger_text import from_ledger


def stands(vault: Vault, path: str, size: int) -> bool | None:
    """Whether a regular file of that size stands at a path (ledger text); None: its folder cannot be looked into.

    Raises VaultTrouble where that is so of the whole vault.
    """
    on_disk = from_ledger(path)
    if not is_path(on_disk):
        return False
    try:
        return vault.looks_kept(on_disk, size)
    except VaultTrouble:
        vault.check()
        return None


def make_read_only(vault: Vault, path: str) -> None:
    """As an original is, where that can be done. `path`: ledger text."""
    with suppress(OSError), _opened(vault, path) as fd:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o222 and status.st_nlink == 1:
            os.fchmod(fd, read_only(status.st_mode))


def keep_xmp(vault: Vault, path: str, sha256: str) -> bool:
    """Keeps the bytes of an XMP file beside an original; False where it has not that content, or cannot be read.

    Under the vault's lock. Raises VaultTrouble where they cannot be kept.
    """
    kept = KeptXmp(vault.storage)
    if kept.has(sha256):
        return True
    try:
        with _opened(vault, path) as fd, open(fd, "rb", closefd=False) as file:
            data = file.read(MOST_BYTES + 1) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError:
        return False
    if hashlib.sha256(data).hexdigest() != sha256:
        return False
    kept.keep(data)
    return True


@contextmanager
def _opened(vault: Vault, path: str) -> Iterator[int]:
    folder, name = os.path.split(from_ledger(path))
    with vault.opened(folder) as parent:
        fd = open_beneath(parent, name, OPEN_FLAGS)
    try:
        yield fd
    finally:
        os.close(fd)
