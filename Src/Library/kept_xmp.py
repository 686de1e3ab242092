"""The XMP files that came in, byte for byte, for ever: `Storage/Overlay/Sidecars/SHA256.xmp`.

What stands beside an original is changed later, by people's decisions and by other programs. What came in is not; and
what another program wrote is kept too, before we change it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from pathlib import Path

from Src.Library.original_path import checked_hash
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.disk.files import NotARegularFile, open_regular, sha256_of
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.disk.naming import name_in_one_step, rename_unless_taken
from Src.Shared.disk.syncing import fsync_folder
from Src.Shared.models import new_id

logger = logging.getLogger(__name__)

_TEMPORARY = ".factory-keeping-"
_MODE = 0o400


class KeptXmp:
    """Keeps bytes. To be used under the vault's lock."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self.folder = storage / "Overlay" / "Sidecars"

    def has(self, sha256: str) -> bool:
        """Whether these bytes are kept: they are read. What is damaged goes aside. Raises VaultTrouble."""
        path = self._path(sha256)
        try:
            return self._has(path, sha256)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"read {path}") from error

    def keep(self, data: bytes) -> None:
        """Keeps them durably, where they are not kept yet. Raises VaultTrouble."""
        sha256 = hashlib.sha256(data).hexdigest()
        if self.has(sha256):
            return
        temporary = self.folder / f"{_TEMPORARY}{new_id().hex}"
        try:
            make_folder(self.folder, PRIVATE, below=self._storage)
            try:
                fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
                try:
                    left = memoryview(data)
                    while left:
                        left = left[os.write(fd, left) :]
                    os.fsync(fd)
                finally:
                    os.close(fd)
                with contextlib.suppress(FileExistsError):
                    name_in_one_step(temporary, str(self._path(sha256)))
            finally:
                temporary.unlink(missing_ok=True)
            for folder in (self.folder, self.folder.parent, self._storage):
                fsync_folder(folder)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"keep an XMP file in {self.folder}") from error

    def content(self, sha256: str) -> bytes | None:
        """Kept bytes; None where they are not kept. Raises VaultTrouble."""
        if not self.has(sha256):
            return None
        path = self._path(sha256)
        try:
            with os.fdopen(open_regular(str(path)), "rb") as file:
                return file.read()
        except (OSError, NotARegularFile) as error:
            raise VaultTrouble(f"cannot read {path}: {error}") from error

    def clean_up(self) -> None:
        """Removes what a killed run was about to keep: its file is where it was."""
        with contextlib.suppress(OSError):  # nothing was ever kept; or whoever keeps the next says what is wrong
            for name in os.listdir(self.folder):
                if name.startswith(_TEMPORARY):
                    os.unlink(self.folder / name)

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{checked_hash(sha256)}.xmp"

    def _has(self, path: Path, sha256: str) -> bool:
        """What stands there, and is something else, goes aside: nothing is written over."""
        try:
            fd = open_regular(str(path))
        except FileNotFoundError:
            return False
        except NotARegularFile:
            is_right = False
        else:
            try:
                is_right = sha256_of(fd) == sha256
            finally:
                os.close(fd)
        if not is_right:
            aside = path.with_name(f"{path.name}.damaged-{new_id().hex}")
            rename_unless_taken(path, aside)
            logger.error("%s is damaged; it was renamed to %s, and the XMP file is kept anew", path, aside.name)
        return is_right
