"""Where members of archives stand from when they are unpacked until they are filed: one at a time, each whole.

They are written where they must be written anyway, on the vault's filesystem, and get their place there by a link: no
byte of an archive is written twice where links are possible. Each has a folder of its own, with the files that belong
to it beside it, so that readers find it as they would in a folder that is imported.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from Src.Librarian.passage import IncomingFile
from Src.Librarian.place.room import room_for
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Media.zip_archive import ArchiveTrouble, MemberTrouble
from Src.Shared.disk.files import FileState
from Src.Shared.disk.locks import lock_now, open_lock
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.disk.top import Top
from Src.Shared.models import new_id

MOST_BYTES = 256 * 2**20  # that stand there at a time, and one larger file
_LONGEST_NAME = 255  # bytes
_LOCK = "lock"  # a file, for a network share locks no folder; members are in folders with numbers
_MODE = 0o644  # less the umask, as of any file that is unpacked

Unpack = Callable[[Callable[[bytes], object]], None]  # hands pieces of bytes to what it is given


class Beside(NamedTuple):
    """A small file that belongs to one that is unpacked."""

    name: str
    unpack: Unpack


class Unpacking:
    """A folder of one import; others have their own."""

    def __init__(self, parent: Path) -> None:
        self.folder = parent / f"photo-factory-{new_id().hex}"
        self.bytes = 0  # that stand there now
        self._lock = -1
        self._top: Top | None = None
        self._sizes: dict[str, int] = {}
        self._count = 0

    def make(self) -> None:
        """Makes the folder; in a vault under its lock. Raises VaultTrouble."""
        try:
            make_folder(self.folder, PRIVATE, below=self.folder.parent.parent)
            self._lock = open_lock(self.folder / _LOCK)
            lock_now(self._lock)
            self._top = Top.of(self.folder)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"write in {self.folder.parent}") from error

    def close(self) -> None:
        """Removes it with what is left in it."""
        if self._lock < 0:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1

    def put(self, file: IncomingFile, name: str, unpack: Unpack, beside: Sequence[Beside] = ()) -> IncomingFile:
        """Unpacks a file of that name, as it is before it has a place on disk; the one that readers can open.

        Raises NoRoom, VaultTrouble, and what `unpack` raises; then nothing of it stays.
        """
        assert self._top is not None
        self._count += 1
        folder = os.path.join(self._top.path, str(self._count))
        path = os.path.join(folder, _fitting(name))
        try:
            os.mkdir(folder, PRIVATE)
            for one in beside:
                _write_beside(os.path.join(folder, _fitting(one.name)), one.unpack)
            with room_for(file.state.size, self.folder):
                state = _write(path, unpack, file.state.mtime_ns)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise VaultTrouble.from_os(error, f"unpack {file.original_path}") from error
            raise
        self._sizes[path] = state.size
        self.bytes += state.size
        return file._replace(path=path, state=state, below=self._top, is_unpacked=True)

    def set_aside(self, file: IncomingFile) -> None:
        """A small file that stays until all photos are there: it does not count among those that stand there."""
        if file.path in self._sizes:
            self.bytes -= self._sizes[file.path]
            self._sizes[file.path] = 0

    def release(self, file: IncomingFile) -> None:
        """What was put there is not needed any more; where it was placed by a link, it has its other name."""
        if file.path in self._sizes:
            self.bytes -= self._sizes.pop(file.path)
            shutil.rmtree(os.path.dirname(file.path), ignore_errors=True)


def place_for_unpacking(vault: Vault) -> Path:
    """The folder in which imports unpack."""
    return vault.state / "unpacking"


def drop_abandoned(vault: Vault) -> None:
    """Removes what killed imports have left. Under the vault's lock."""
    place = place_for_unpacking(vault)
    try:
        names = os.listdir(place)
    except OSError:  # nothing was ever unpacked; or the vault's other work says what is wrong with its disk
        return
    for name in names:
        with contextlib.suppress(OSError):  # a stranger among them keeps no other from being removed
            _drop_if_abandoned(place / name)


def _drop_if_abandoned(path: Path) -> None:
    if not stat.S_ISDIR(path.lstat().st_mode):
        return
    lock = open_lock(path / _LOCK)
    try:
        if lock_now(lock):  # else an import is under way
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _write(path: str, unpack: Unpack, mtime_ns: int | None = None) -> FileState:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    with open(fd, "wb", buffering=0) as file:

        def write(piece: bytes) -> None:
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]

        unpack(write)
        if mtime_ns is not None:
            with contextlib.suppress(OSError, OverflowError):  # a time that the filesystem does not take
                os.utime(fd, ns=(mtime_ns, mtime_ns))
        return FileState.of(os.fstat(fd))


def _write_beside(path: str, unpack: Unpack) -> None:
    """A file that cannot be unpacked, or has the name of another one there, says nothing."""
    try:
        _write(path, unpack)
    except FileExistsError:
        pass
    except (MemberTrouble, ArchiveTrouble):
        os.unlink(path)


def _fitting(name: str) -> str:
    """A name that a filesystem takes: cut before its ending, where it is too long."""
    stem, ending = os.path.splitext(name)
    while len(os.fsencode(stem + ending)) > _LONGEST_NAME:
        stem, ending = (stem[:-1], ending) if len(stem) > 1 else (stem, ending[:-1])
    return stem + ending
