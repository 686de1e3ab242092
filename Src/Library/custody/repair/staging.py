"""Files that are to take a place in the vault and are not complete yet: `Storage/.factory/restoring/`.

Where the originals are on a filesystem of their own it is `Originals/.restoring/`, as a rename does not leave one. Each
file is locked by the process that writes it, so what a killed one has left is known, and removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.disk.beneath import open_beneath
from Src.Shared.disk.locks import lock_now
from Src.Shared.disk.making import PRIVATE, PRIVATE_FILE, make_folder
from Src.Shared.models import new_id

RESTORING = ".restoring"  # below the originals
_ENDING = ".part"
_TRIES = 10


class Staged(NamedTuple):
    """A file under way."""

    folder: int  # open
    name: str
    fd: int

    def is_there(self) -> bool:
        """Whether it has its name still: another run, or a person, may have removed it."""
        try:
            return os.path.samestat(os.stat(self.name, dir_fd=self.folder, follow_symlinks=False), os.fstat(self.fd))
        except OSError:
            return False


class Staging:
    """Of one vault. Raises VaultTrouble wherever it cannot write."""

    def __init__(self, storage: Path) -> None:
        self.notes = storage / ".factory" / "restoring"
        self._folders = [self.notes, storage / "Originals" / RESTORING]

    def move_on(self) -> bool:
        """The folder is on another filesystem than the place: the next one serves from now on. False: there is none."""
        if len(self._folders) < 2:
            return False
        del self._folders[0]
        return True

    @contextlib.contextmanager
    def new(self) -> Iterator[Staged]:
        """An empty file for its owner only, which goes if it gets no other name. It is locked, so `clean_up` of another
        run leaves it."""
        at = self._folders[0]
        try:
            make_folder(at, PRIVATE)
            folder = os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"write in {at}") from error
        try:
            try:
                staged = _made(folder)
            except OSError as error:
                raise VaultTrouble.from_os(error, f"write in {at}") from error
            try:
                yield staged
            finally:
                with contextlib.suppress(OSError):  # it has got its place, mostly
                    os.unlink(staged.name, dir_fd=folder)
                os.close(staged.fd)
        finally:
            os.close(folder)

    def clean_up(self) -> None:
        """Removes what killed runs have left. (A file of a living one is locked.)"""
        for at in self._folders:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                for name in os.listdir(at):
                    if name.endswith(_ENDING):
                        _remove_unless_locked(at / name)


def _made(folder: int) -> Staged:
    """A new file, locked. Another run may find it between the two, take it for one of a killed run, and remove it: then
    the next one. Raises OSError."""
    for _ in range(_TRIES):
        name = new_id().hex + _ENDING
        fd = open_beneath(folder, name, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        staged = Staged(folder, name, fd)
        try:
            if lock_now(fd) and staged.is_there():
                return staged
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
    raise OSError(errno.EBUSY, "another process removes what is written there")


def _remove_unless_locked(path: Path) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if lock_now(fd):
                path.unlink()
        finally:
            os.close(fd)
