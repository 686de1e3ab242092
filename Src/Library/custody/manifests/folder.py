"""`Storage/Manifests/`: its files, reached by descriptors and through no link, each written whole."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.disk.beneath import lstat_beneath, open_beneath, open_folder, parent_beneath
from Src.Shared.disk.files import OPEN_FLAGS
from Src.Shared.disk.filesystem import syncs_by_syncfs
from Src.Shared.disk.making import SHARED, make_in
from Src.Shared.disk.syncing import fsync, syncfs

FOLDER = "Manifests"
SIGNATURE = ".minisig"
_MODE = 0o640  # for FACTORY_GROUP to read, as the originals
_TO_LIST = os.O_RDONLY | os.O_DIRECTORY
_FEW = 8  # files that are brought to disk one by one


class NotOurs(Exception):
    """Something stands there that the factory has not written, or cannot read. The message is a sentence."""


class ManifestFolder:
    """Open for a moment's work."""

    def __init__(self, storage: Path, fd: int) -> None:
        self._storage = storage
        self._fd = fd
        self._written: set[str] = set()

    @classmethod
    @contextmanager
    def opened(cls, storage: Path) -> Iterator[ManifestFolder | None]:
        """None where there is none. Raises VaultTrouble where it is a link, or may not be looked into."""
        fd = _opened(storage, make=False)
        if fd is None:
            yield None
            return
        try:
            yield cls(storage, fd)
        finally:
            os.close(fd)

    @classmethod
    @contextmanager
    def made(cls, storage: Path) -> Iterator[ManifestFolder]:
        """Made durably where there is none. Raises VaultTrouble."""
        fd = _opened(storage, make=True)
        assert fd is not None
        try:
            yield cls(storage, fd)
        finally:
            os.close(fd)

    def read(self, path: str) -> bytes | None:
        """The content of a file; None where there is none. Raises NotOurs for what is no file, and OSError."""
        try:
            if not stat.S_ISREG(lstat_beneath(self._fd, path).st_mode):
                raise NotOurs(f"{self.named(path)} is no file: look at it, and move it away")
            fd = open_beneath(self._fd, path, OPEN_FLAGS)
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            year = self.named(os.path.dirname(path))
            raise NotOurs(f"{year} is no folder: look at it, and move it away") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NotOurs(
                    f"a symbolic link leads to {self.named(path)}, and none is followed: move it away"
                ) from error
            raise
        with open(fd, "rb") as file:
            return file.read()

    def stamp(self, path: str) -> tuple[int, ...]:
        """By which a file is the same as before; empty where there is none. Raises OSError."""
        try:
            status = lstat_beneath(self._fd, path)
        except FileNotFoundError:
            return ()
        return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)

    def prepare(self, path: str, content: bytes) -> None:
        """Writes what `take_names` makes the file. Raises OSError."""
        self._make_parent(path)
        with parent_beneath(self._fd, path) as (folder, name):
            temporary = _temporary(name)
            with contextlib.suppress(FileNotFoundError):  # of a run that was killed
                os.unlink(temporary, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(temporary, flags, 0o600, dir_fd=folder)
            try:
                _as_its_folder(fd, folder)
                with contextlib.suppress(PermissionError):  # where the mount decides
                    os.fchmod(fd, _MODE)
                _write(fd, content)
            except BaseException:
                os.unlink(temporary, dir_fd=folder)
                raise
            finally:
                os.close(fd)
        self._written.add(path)

    def take_names(self) -> None:
        """All that was prepared stands there durably: each file is the old one or the new one. Raises OSError."""
        paths, self._written = sorted(self._written), set()
        self._sync(paths)
        for path in paths:
            with parent_beneath(self._fd, path) as (folder, name):
                os.rename(_temporary(name), name, src_dir_fd=folder, dst_dir_fd=folder)
        self._sync_folders(paths)

    def remove(self, paths: list[str]) -> None:
        """Durably. Raises OSError."""
        for path in paths:
            with contextlib.suppress(FileNotFoundError), parent_beneath(self._fd, path) as (folder, name):
                os.unlink(name, dir_fd=folder)
        self._sync_folders(paths)
        for year in {os.path.dirname(path) for path in paths}:
            with contextlib.suppress(OSError):  # where there is more in it
                os.rmdir(year, dir_fd=self._fd)

    def rename(self, path: str, new: str) -> None:
        """Durably, in this folder itself. Raises OSError."""
        os.rename(path, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        self._sync_folders([""])

    def append(self, path: str, content: bytes, end: int) -> None:
        """Writes at the end of a file, which is cut there before. Raises OSError; and then nothing is added."""
        fd = open_beneath(self._fd, path, os.O_RDWR | os.O_NONBLOCK)
        try:
            os.ftruncate(fd, end)
            os.lseek(fd, end, os.SEEK_SET)
            try:
                _write(fd, content)
                fsync(fd)
            except OSError:
                os.ftruncate(fd, end)
                raise
        finally:
            os.close(fd)

    def cut(self, path: str, end: int) -> None:
        """Shortens a file durably, where it is longer. Raises OSError."""
        try:
            fd = open_beneath(self._fd, path, os.O_RDWR | os.O_NONBLOCK)
        except FileNotFoundError:
            return
        try:
            if os.fstat(fd).st_size > end:
                os.ftruncate(fd, end)
                fsync(fd)
        finally:
            os.close(fd)

    def names(self, wrong: Callable[[str, str], None]) -> list[str]:
        """The paths of all manifests. `wrong` gets the folders that cannot be listed, and why. Raises OSError."""
        found: list[str] = []
        for year in sorted(os.listdir(self._fd)):
            if year.isascii() and year.isdigit():
                try:
                    fd = open_beneath(self._fd, year, _TO_LIST)
                    try:
                        names = sorted(os.listdir(fd))
                        found += [f"{year}/{name}" for name in names if name.endswith((".sha256", ".events"))]
                    finally:
                        os.close(fd)
                except OSError as error:
                    is_other = error.errno in (errno.ENOTDIR, errno.ELOOP)
                    wrong(year, "it is no folder: look at it, and move it away" if is_other else unreadable(error))
        return found

    def named(self, path: str) -> str:
        """A path for messages."""
        return str(self._storage / FOLDER / path)

    def _make_parent(self, path: str) -> None:
        year = os.path.dirname(path)
        if year and make_in(self._fd, year, SHARED):
            fd = open_beneath(self._fd, year, _TO_LIST)
            try:
                _as_its_folder(fd, self._fd)
            finally:
                os.close(fd)
            fsync(self._fd)

    def _sync(self, paths: list[str]) -> None:
        if len(paths) > _FEW and syncs_by_syncfs(self._storage):
            syncfs(self._fd)
            return
        for path in paths:
            with parent_beneath(self._fd, path) as (folder, name):
                fd = open_beneath(folder, _temporary(name), os.O_RDONLY)
                try:
                    fsync(fd)
                finally:
                    os.close(fd)

    def _sync_folders(self, paths: list[str]) -> None:
        for year in sorted({os.path.dirname(path) for path in paths}):
            try:
                fd = open_beneath(self._fd, year, _TO_LIST)
            except FileNotFoundError:  # of what was removed: somebody has removed all of it
                continue
            try:
                fsync(fd)
            finally:
                os.close(fd)


def unreadable(error: OSError) -> str:
    return f"it cannot be read ({error.strerror or error}): check the disk, and who may read it"


def _opened(storage: Path, *, make: bool) -> int | None:
    try:
        top = open_folder(storage)
        try:
            try:
                return open_beneath(top, FOLDER, _TO_LIST)
            except FileNotFoundError:
                if not make:
                    return None
            make_in(top, FOLDER, SHARED)
            fd = open_beneath(top, FOLDER, _TO_LIST)
            with contextlib.suppress(OSError):  # where there are none, there is nothing to be read
                originals = open_folder(storage / "Originals")
                try:
                    _as_its_folder(fd, originals)
                finally:
                    os.close(originals)
            fd_top = os.open(storage, _TO_LIST | os.O_CLOEXEC)
            try:
                fsync(fd_top)
            finally:
                os.close(fd_top)
            return fd
        finally:
            os.close(top)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise VaultTrouble(
                f"{storage / FOLDER} is a symbolic link, and none is followed: move it away, or mount the other disk "
                "in its place (mount --bind)"
            ) from error
        raise VaultTrouble.from_os(error, f"use the folder {storage / FOLDER}") from error


def _as_its_folder(fd: int, folder: int) -> None:
    """Of the same group; and what root makes in another's folder must not lock that one out."""
    here, above = os.fstat(fd), os.fstat(folder)
    owner = above.st_uid if os.geteuid() == 0 else -1
    if owner not in (-1, here.st_uid) or here.st_gid != above.st_gid:
        with contextlib.suppress(OSError):  # of a filesystem without owners, or a group that is not ours to give
            os.fchown(fd, owner, above.st_gid)


def _write(fd: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(fd, left) :]


def _temporary(name: str) -> str:
    return f".{name}.new"
