"""A copy in a folder, as on an external disk: reached from the folder's descriptor, and through no link."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from Src.Library.custody.copies.target import PIECE, Spent, Stored
from Src.Library.custody.copies.trouble import CopyTrouble, FileRefused, NotThere
from Src.Shared.disk.beneath import lstat_beneath, open_beneath, parent_beneath, rename_unless_taken_at
from Src.Shared.disk.files import OPEN_FLAGS
from Src.Shared.disk.filesystem import syncs_by_syncfs
from Src.Shared.disk.making import SHARED, make_in
from Src.Shared.disk.syncing import fsync, syncfs
from Src.Shared.ledger_text import to_ledger

logger = logging.getLogger(__name__)

_TO_LIST = os.O_RDONLY | os.O_DIRECTORY
_TEMPORARY = ".factory-part-"
_MODE = 0o640
_FEW = 4  # files that are brought to disk one by one
# What one file's name or size is too much for, as on FAT: others may do.
_OF_ONE_FILE = (errno.EINVAL, errno.ENAMETOOLONG, errno.EFBIG, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)


class FolderTarget:
    """Open while it is worked with; a disk cannot be unmounted then."""

    def __init__(self, folder: Path, spent: Spent = lambda _: None) -> None:
        """Raises CopyTrouble where there is no such folder."""
        self._folder = folder
        self._spent = spent
        self._put: list[tuple[str, bool]] = []  # path, replaces; each waits under its temporary name
        try:
            self._root = os.open(folder, _TO_LIST | os.O_CLOEXEC)
        except OSError as error:
            why = "there is no such folder; plug the disk in" if error.errno == errno.ENOENT else error.strerror
            raise CopyTrouble(f"{self.name}: {why}") from error

    @property
    def name(self) -> str:
        return to_ledger(str(self._folder))

    def close(self) -> None:
        if self._root >= 0:
            for path, _ in self._put:
                self._drop(path)
            os.close(self._root)
            self._root = -1

    def check_here(self) -> None:
        try:
            is_same = os.path.samestat(os.fstat(self._root), os.stat(self._folder))
        except OSError as error:
            raise CopyTrouble.from_os(error, f"look into {self.name}") from error
        if not is_same:
            raise CopyTrouble(f"{self.name}: the disk was unplugged meanwhile, or another one took its place")

    def stored(self, path: str) -> Stored | None:
        try:
            status = lstat_beneath(self._root, path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(error, "look at", path) from error
        if not stat.S_ISREG(status.st_mode):
            raise FileRefused("a folder, a link or something else stands in its place")
        return _stored(status)

    def files(self, folder: str) -> Iterator[tuple[str, Stored]]:
        try:
            lstat_beneath(self._root, folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error(error, "look at", folder) from error

        def refused(error: OSError) -> None:
            raise error

        try:
            for at, folders, names, fd in os.fwalk(folder, dir_fd=self._root, onerror=refused):
                folders.sort()
                for name in names:
                    if not name.startswith(_TEMPORARY):
                        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode):
                            yield f"{at}/{name}", _stored(status)
        except OSError as error:
            raise CopyTrouble.from_os(error, f"list {self.name}/{to_ledger(folder)}") from error

    def read(self, path: str) -> Iterator[bytes]:
        try:
            fd = open_beneath(self._root, path, OPEN_FLAGS)
        except FileNotFoundError:
            raise NotThere from None
        except OSError as error:
            raise self._error(error, "read", path) from error
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise FileRefused("a folder or something else stands in its place")
            at = 0
            _forget(fd, 0, 0)
            while piece := os.read(fd, PIECE):
                self._spent(len(piece))
                yield piece
                _forget(fd, at, len(piece))
                at += len(piece)
        except OSError as error:
            raise self._error(error, "read", path) from error
        finally:
            _forget(fd, 0, 0)
            os.close(fd)

    def put(self, path: str, pieces: Iterable[bytes], *, replaces: bool = False) -> None:
        try:
            self._make_parents(path)
            with parent_beneath(self._root, path) as (folder, name):
                temporary = _temporary(name)
                with contextlib.suppress(FileNotFoundError):  # of a run that was killed
                    os.unlink(temporary, dir_fd=folder)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                fd = os.open(temporary, flags, _MODE, dir_fd=folder)
                try:
                    for piece in pieces:
                        _write(fd, piece)
                        self._spent(len(piece))
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(temporary, dir_fd=folder)
                    raise
                finally:
                    os.close(fd)
        except OSError as error:
            raise self._error(error, "write", path) from error
        self._put.append((path, replaces))

    def settle(self) -> None:
        """First the bytes, then the names, then the folders."""
        put, self._put = self._put, []
        if not put:
            return
        try:
            at_once = len(put) > _FEW and syncs_by_syncfs(self._folder)
            if at_once:
                syncfs(self._root)
            for path, replaces in put:
                with parent_beneath(self._root, path) as (folder, name):
                    temporary = _temporary(name)
                    if not at_once:
                        _fsync_in(folder, temporary, os.O_RDONLY)
                    try:
                        if replaces:
                            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
                        else:
                            rename_unless_taken_at(folder, temporary, folder, name)
                    except OSError as error:  # the caller reads back what stands there, and believes that
                        if error.errno != errno.EEXIST and error.errno not in _OF_ONE_FILE:
                            raise
                        if error.errno != errno.EEXIST:
                            logger.warning("%s/%s: %s", self.name, to_ledger(path), error.strerror)
                        os.unlink(temporary, dir_fd=folder)
            self._sync_folders({os.path.dirname(path) for path, _ in put}, at_once=at_once)
        except OSError as error:
            for path, _ in put:
                self._drop(path)
            raise CopyTrouble.from_os(error, f"write to {self.name}") from error

    def move(self, path: str, new: str) -> bool:
        try:
            self._make_parents(new)
            with parent_beneath(self._root, path) as (old_folder, old), parent_beneath(self._root, new) as (to, name):
                rename_unless_taken_at(old_folder, old, to, name)
            self._sync_folders({os.path.dirname(new), os.path.dirname(path)}, at_once=False)
        except (FileNotFoundError, FileExistsError):
            return False
        except OSError as error:
            raise self._error(error, "rename", path) from error
        return True

    def remove(self, path: str) -> None:
        try:
            with contextlib.suppress(FileNotFoundError), parent_beneath(self._root, path) as (folder, name):
                os.unlink(name, dir_fd=folder)
                fsync_of = os.open(".", _TO_LIST | os.O_CLOEXEC, dir_fd=folder)
                try:
                    fsync(fsync_of)
                finally:
                    os.close(fsync_of)
        except OSError as error:
            raise self._error(error, "remove", path) from error

    # Parts

    def _make_parents(self, path: str) -> None:
        made = ""
        for part in path.split("/")[:-1]:
            inside = made
            made = f"{made}/{part}" if made else part
            try:
                lstat_beneath(self._root, made)
                continue
            except FileNotFoundError:
                pass
            fd = open_beneath(self._root, inside, _TO_LIST)
            try:
                make_in(fd, part, SHARED)
                fsync(fd)
            finally:
                os.close(fd)

    def _sync_folders(self, folders: set[str], *, at_once: bool) -> None:
        if at_once:
            syncfs(self._root)
            return
        for folder in folders:
            _fsync_in(self._root, folder, _TO_LIST)

    def _drop(self, path: str) -> None:
        with contextlib.suppress(OSError), parent_beneath(self._root, path) as (folder, name):
            os.unlink(_temporary(name), dir_fd=folder)

    def _error(self, error: OSError, doing: str, path: str) -> CopyTrouble | FileRefused:
        """One file's, or the whole disk's: a sector that cannot be read is one file's, where the disk is there."""
        if error.errno in _OF_ONE_FILE:
            return FileRefused(f"the copy's disk cannot take it: {error.strerror}")
        if error.errno == errno.EIO and doing in ("read", "look at"):
            try:
                self.check_here()
                lstat_beneath(self._root, os.path.dirname(path))
            except (CopyTrouble, OSError):
                pass
            else:
                return FileRefused("the copy's disk cannot read it (input/output error)")
        if error.errno in (errno.EACCES, errno.EPERM):  # another user's file, or all of it
            with contextlib.suppress(CopyTrouble, OSError):
                self.check_here()
                if os.access(".", os.R_OK | os.W_OK | os.X_OK, dir_fd=self._root, effective_ids=True):
                    return FileRefused(f"the copy's disk does not let this user {doing} it; let this user write there")
        return CopyTrouble.from_os(error, f"{doing} {self.name}/{to_ledger(path)}")


def _stored(status: os.stat_result) -> Stored:
    return Stored(status.st_size, f"{status.st_size}:{status.st_mtime_ns}")


def _temporary(name: str) -> str:
    return _TEMPORARY + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _write(fd: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(fd, left) :]


def _forget(fd: int, start: int, length: int) -> None:
    """Memory keeps nothing of it: the next reading is the disk's."""
    with contextlib.suppress(OSError):
        os.posix_fadvise(fd, start, length, os.POSIX_FADV_DONTNEED)


def _fsync_in(folder: int, path: str, flags: int) -> None:
    fd = open_beneath(folder, path, flags)
    try:
        fsync(fd)
    finally:
        os.close(fd)
