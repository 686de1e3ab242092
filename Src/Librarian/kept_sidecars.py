"""Keeping the bytes of an XMP file that comes in (`Src/Library/kept_xmp.py` says where), before it is filed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from Src.Librarian.passage import IncomingFile, StillChanging
from Src.Library.kept_xmp import KeptXmp
from Src.Media.companions import MOST_BYTES
from Src.Shared.disk.files import NotARegularFile
from Src.Shared.disk.top import open_regular_below


class KeptSidecars:
    """Keeps what came in. To be used under the vault's lock."""

    def __init__(self, storage: Path) -> None:
        self._kept = KeptXmp(storage)
        self.folder = self._kept.folder

    def keep(self, file: IncomingFile, sha256: str) -> None:
        """Keeps the bytes of an incoming sidecar, durably.

        Raises StillChanging where it has others by now, FileNotFoundError and NotARegularFile where it is gone, and
        VaultTrouble.
        """
        if self._kept.has(sha256):
            return
        data = _bytes_of(file)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StillChanging(file.path)
        self._kept.keep(data)

    def clean_up(self) -> None:
        """Removes what a killed run was about to keep: its sidecar is where it was."""
        self._kept.clean_up()


def _bytes_of(file: IncomingFile) -> bytes:
    """Raises StillChanging, FileNotFoundError, NotARegularFile."""
    try:
        with open(open_regular_below(file.top, file.path), "rb") as source:
            data = source.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotARegularFile):
        raise
    except OSError as error:  # it was read a moment ago
        raise StillChanging(file.path) from error
    return data
