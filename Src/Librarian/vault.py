"""The vault: `Storage/Originals/YYYY/YYYY-MM-DD/`, written once and never changed.

This module knows where things are in it, whether it is really there, which names are taken, and how to make what was
placed durable. Placing itself is `placing.py`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from Src.Librarian.syncing import fsync_folder, syncfs
from Src.Librarian.vault_folder import VaultFolder
from Src.Librarian.vault_trouble import VaultTrouble

MARKER = ".photo-factory-vault"
MARKER_TEXT = (
    "This file marks the vault of a Photo Factory. An empty mount point does not have it,\n"
    "so nothing is ever filed into a folder whose disk is missing. Keep it with the originals.\n"
)

NO_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
_RENAME_NOREPLACE = 1  # renameat2(2)
_AT_FDCWD = -100

_libc = ctypes.CDLL(None, use_errno=True)


class Vault:
    """The originals below one storage root."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.originals = storage / "Originals"
        self.state = storage / ".factory"
        self._folders: dict[str, VaultFolder] = {}

    def is_marked(self) -> bool:
        """Whether the vault is really here, and not only the place where it should be mounted.

        Raises VaultTrouble where that cannot be told.
        """
        try:
            return (self.originals / MARKER).is_file()
        except OSError as error:
            raise VaultTrouble.from_os(error, f"look into the vault {self.originals}") from error

    def check(self) -> None:
        """Raises VaultTrouble where the vault is not here."""
        if not self.is_marked():
            raise VaultTrouble(
                f"the vault is not at {self.originals}: its marker file {MARKER} is missing; mount the disk, "
                "or, if these are your originals after a move, create the marker as an empty file"
            )

    def create(self) -> None:
        """Makes an empty vault and marks it. Only for a factory that has no originals yet."""
        try:
            self.originals.mkdir(parents=True, exist_ok=True)
            marker = self.originals / MARKER
            with open(marker, "w", encoding="utf-8") as file:
                file.write(MARKER_TEXT)
                file.flush()
                os.fsync(file.fileno())
            for folder in (self.originals, self.storage, self.storage.parent):
                fsync_folder(folder)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"create the vault {self.originals}") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time decides, places and records; the kernel frees it when that process dies."""
        try:
            self.state.mkdir(mode=0o755, exist_ok=True)
            fd = os.open(self.state / "vault.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"write in {self.state}") from error
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as error:
                raise VaultTrouble.from_os(error, f"lock the vault in {self.state}") from error
            yield
        finally:
            os.close(fd)

    def day_folder(self, day: date) -> str:
        """The folder of a day, relative to the storage root."""
        return f"Originals/{day.year:04d}/{day.isoformat()}"

    def folder(self, relative: str) -> VaultFolder:
        """A folder of the vault, made where it is missing, with the names taken in it."""
        folder = self._folders.get(relative)
        if folder is None:
            if len(self._folders) >= 256:  # a bound for memory; a batch touches few days
                self._folders.clear()
            folder = self._folders[relative] = VaultFolder(self.storage / relative)
        folder.refresh()
        return folder

    def holds(self, final_path: str, size: int) -> bool:
        """Whether a kept original lives: a regular file with the right size (promise 4)."""
        try:
            status = os.lstat(self.storage / final_path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return False
            raise VaultTrouble.from_os(error, f"look at {self.storage / final_path}") from error
        return stat.S_ISREG(status.st_mode) and status.st_size == size

    def find(self, final_path: str, original_name: str, size: int, sha256: str) -> str | None:
        """Where this content stands: at its path, or under another number of its name (moved, not yet recorded)."""
        if self.holds(final_path, size):
            return final_path
        parent = os.path.dirname(final_path)
        standing = self.folder(parent).standing(original_name, size, sha256)
        return f"{parent}/{standing[0]}" if standing is not None else None

    def move_aside(self, final_path: str, original_name: str, refused: set[str]) -> str:
        """Gives an unrecorded file the next name that is free and not refused; returns its new path."""
        parent, old_name = os.path.split(final_path)
        folder = self.folder(parent)
        refused.add(old_name)
        try:
            inode = os.lstat(folder.at(old_name)).st_ino
            name = folder.first_free(
                original_name, lambda target: rename_unless_taken(folder.at(old_name), target), refused
            )
            fsync_folder(folder.path)  # the row that is written next names the new path
        except OSError as error:
            raise VaultTrouble.from_os(error, f"rename {folder.at(old_name)}") from error
        folder.remove(old_name, inode)
        folder.add(name, inode)
        folder.settled()
        return f"{parent}/{name}"

    @contextmanager
    def durably(self) -> Iterator[None]:
        """Whatever is written into the vault inside the block is on disk when the block ends.

        One `syncfs` for all of it; opened before, so that a write-back error in between is told to us. (Where that
        does not reach far enough, `placing.py` has synced each file already.)
        """
        try:
            fd = os.open(self.originals, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"open the vault {self.originals}") from error
        try:
            yield
            self._sync(fd)
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Brings to disk what was written into the vault so far. Raises VaultTrouble."""
        with self.durably():
            pass

    def _sync(self, fd: int) -> None:
        try:
            syncfs(fd)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"sync the vault {self.originals}") from error


def name_in_one_step(temporary: Path, target: str) -> None:
    """Gives a finished file its name; raises FileExistsError where it is taken. The temporary name may stay."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        rename_unless_taken(temporary, target)


def rename_unless_taken(source: str | Path, target: str | Path) -> None:
    """Renames; raises FileExistsError where the target exists, instead of replacing it."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), str(target))
    # A filesystem that knows no rename which spares: reserve the name, then rename over the reservation.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        os.replace(source, target)
    except OSError:
        os.unlink(target)
        raise
