"""The folder that an export writes to: nothing in it is replaced, and no link in it is followed.

What is being made stands in a hidden folder of its own there, under names of ours, until it gets its name in one step.
Whoever is killed leaves only that folder, which the next export to this place clears.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from Src.Library.own_folders import OwnFolders
from Src.Shared.disk.beneath import link_open_file, open_beneath, rename_unless_taken_at
from Src.Shared.disk.files import NotARegularFile, open_regular, sha256_of
from Src.Shared.disk.making import PRIVATE, PRIVATE_FILE
from Src.Shared.disk.syncing import fsync
from Src.Shared.errors import FactoryError
from Src.Shared.settings import Settings
from Src.Shared.vault_marker import MARKER

SCRATCH = ".factory-export"
_LOCK = "lock"
_TO_LIST = os.O_RDONLY | os.O_DIRECTORY
# Not one file's fault: the next would meet it too.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV, errno.ENXIO)

Standing = Literal["nothing", "the same", "another"]


class ExportRefused(FactoryError):
    """Nothing can be exported there. The message says why, and what to do."""

    about = "export"


class DestinationTrouble(Exception):
    """The destination takes no more. The message is one line: why."""

    @classmethod
    def from_os(cls, error: OSError) -> DestinationTrouble:
        return cls(f"the destination takes no more: {error.strerror}")


class InTheWay(Exception):
    """One file cannot be put where it belongs. The message is one line: why."""


class Destination:
    """An open destination; a context manager. One export at a time writes there."""

    def __init__(self, given: Path, settings: Settings) -> None:
        """Raises ExportRefused."""
        self.path = _checked(given, settings)
        self.root = self.scratch = self._lock = -1
        self._day: tuple[str, int] | None = None
        mask = os.umask(0)
        os.umask(mask)
        self.file_mode = 0o666 & ~mask

    def __enter__(self) -> Self:
        """Raises ExportRefused."""
        try:
            self.root = os.open(self.path, _TO_LIST | os.O_CLOEXEC)
            self._take()
            self._clear()
        except OSError as error:
            self._close()
            raise ExportRefused(f"{self.path}: cannot be written to: {error.strerror}") from error
        except ExportRefused:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._clear()
            os.unlink(_LOCK, dir_fd=self.scratch)
            os.rmdir(SCRATCH, dir_fd=self.root)
        self._close()

    @property
    def device(self) -> int:
        return os.fstat(self.root).st_dev

    @property
    def scratch_path(self) -> Path:
        """For a program that needs a path."""
        return self.path / SCRATCH

    def day(self, relative: str) -> int:
        """The open folder of a day (`YYYY/YYYY-MM-DD`), made where it is missing.

        Raises InTheWay, DestinationTrouble.
        """
        if self._day is not None and self._day[0] == relative:
            return self._day[1]
        self.finish_day()
        year = relative.partition("/")[0]
        try:
            for folder in (year, relative):
                self._make(folder)
            self._day = relative, open_beneath(self.root, relative, _TO_LIST)
        except OSError as error:
            raise _trouble(error, f"the folder {relative} of the destination") from error
        return self._day[1]

    def finish_day(self) -> None:
        """Brings the names of the day's folder to disk. Raises DestinationTrouble."""
        if self._day is None:
            return
        fd, self._day = self._day[1], None
        try:
            fsync(fd)
        except OSError as error:
            raise DestinationTrouble.from_os(error) from error
        finally:
            os.close(fd)

    def standing(self, folder: int, name: str, sha256: str, size: int) -> Standing:
        """What stands under a name: these bytes, something else (a link, too), or nothing. Raises OSError."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return "nothing"
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return "another"
        try:
            fd = open_regular(name, folder)
        except (FileNotFoundError, PermissionError, NotARegularFile):
            return "another"
        try:
            return "the same" if sha256_of(fd) == sha256 else "another"
        finally:
            os.close(fd)

    def put(self, temporary: str, folder: int, name: str) -> None:
        """Gives a finished file of the scratch folder its name. Raises FileExistsError where it is taken; OSError."""
        rename_unless_taken_at(self.scratch, temporary, folder, name)

    def drop(self, temporary: str) -> None:
        """Removes what is not needed in the scratch folder."""
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=self.scratch)

    def replace(self, temporary: str, name: str) -> None:
        """Gives a finished file of the scratch folder a name of ours at the top, durably. Raises OSError."""
        os.rename(temporary, name, src_dir_fd=self.scratch, dst_dir_fd=self.root)
        fsync(self.root)

    def link(self, original: int, folder: int, name: str) -> None:
        """Gives an open original one more name. Raises FileExistsError where it is taken, and OSError."""
        link_open_file(original, folder, name)

    def new(self, temporary: str) -> int:
        """A new file in the scratch folder, open to be written. Raises DestinationTrouble."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=self.scratch)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(temporary, flags, PRIVATE_FILE, dir_fd=self.scratch)
        except OSError as error:
            raise DestinationTrouble.from_os(error) from error

    def finish(self, fd: int, mtime_ns: int) -> None:
        """Makes a file that was written durable, with the mode that any program's file has here. Raises OSError."""
        with contextlib.suppress(PermissionError):  # where the mount decides
            os.fchmod(fd, self.file_mode)
        with contextlib.suppress(OSError):
            os.utime(fd, ns=(mtime_ns, mtime_ns))
        os.fsync(fd)

    def _make(self, folder: str) -> None:
        parent, _, name = folder.rpartition("/")
        above = open_beneath(self.root, parent, _TO_LIST)
        try:
            os.mkdir(name, dir_fd=above)
            fsync(above)
        except FileExistsError:
            pass
        finally:
            os.close(above)

    def _take(self) -> None:
        """Raises ExportRefused where another export writes there, and OSError."""
        while True:
            with contextlib.suppress(FileExistsError):
                os.mkdir(SCRATCH, PRIVATE, dir_fd=self.root)
            self.scratch = open_beneath(self.root, SCRATCH, _TO_LIST)
            try:
                self._lock = open_beneath(self.scratch, _LOCK, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ExportRefused(f"{self.path}: another export writes there; wait for its end") from None
            except FileNotFoundError:  # another one ended just now, and took the folder with it
                os.close(self.scratch)
                continue
            if os.fstat(self._lock).st_nlink:
                return
            for fd in (self._lock, self.scratch):
                os.close(fd)

    def _clear(self) -> None:
        """Removes what a killed export has left."""
        for name in os.listdir(self.scratch):
            if name != _LOCK:
                with contextlib.suppress(IsADirectoryError, PermissionError):
                    os.unlink(name, dir_fd=self.scratch)

    def _close(self) -> None:
        with contextlib.suppress(DestinationTrouble):
            self.finish_day()
        for fd in (self._lock, self.scratch, self.root):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self.root = self.scratch = self._lock = -1


def of_the_disk(error: OSError) -> bool:
    """Whether it would be so for the next file too."""
    return error.errno in _OF_THE_DISK


def _trouble(error: OSError, what: str) -> InTheWay | DestinationTrouble:
    if of_the_disk(error):
        return DestinationTrouble.from_os(error)
    if error.errno == errno.ELOOP:
        return InTheWay(f"{what}: a symbolic link stands in the way")
    return InTheWay(f"{what}: {error.strerror}")


def _checked(given: Path, settings: Settings) -> Path:
    """The destination without links. Raises ExportRefused."""
    try:
        resolved = given.resolve(strict=True)
    except OSError as error:
        raise ExportRefused(f"{given}: {error.strerror}; make the folder first") from error
    if not resolved.is_dir():
        raise ExportRefused(f"{given}: is no folder")
    own = OwnFolders(settings).around(resolved, or_data=True)
    if own is not None:
        raise ExportRefused(f"{given}: is part of {own.name}, {own.path}; give a folder outside of the factory")
    if any((folder / MARKER).exists() for folder in (resolved, *resolved.parents)):
        raise ExportRefused(f"{given}: is part of a vault; give a folder outside of it")
    return resolved
