"""Back into the inbox: what left it and is not what was filed, under the next free name and never over anything."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil

from Src.Library.vault_folder import numbered_names
from Src.Shared.disk.beneath import THROUGH, open_beneath, open_folder, rename_unless_taken_at
from Src.Shared.disk.files import FileState, open_regular
from Src.Shared.disk.leases import ReadLease

_TRIES = 5  # while others remove the folders that are made
_NO_FOLDER = (errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM)


def bring_back(folder: int, name: str, inbox: str, original_path: str) -> str:
    """Renames a file of an open folder to where it was in the inbox; returns its path there.

    Folders that have gone are made again; where that is not possible, the inbox itself takes it. Raises OSError, and
    then the file stands where it stood.
    """
    parent, _, original_name = original_path.rpartition("/")
    root = open_folder(inbox)
    try:
        for tries_left in reversed(range(_TRIES)):
            target, where = _made_folder(root, parent)
            try:
                new_name = _moved(folder, name, target, original_name)
            except FileNotFoundError:  # the target was removed as fast as it was made; or there is nothing to bring
                os.lstat(name, dir_fd=folder)
                if not tries_left:
                    raise
                continue
            finally:
                if target != root:
                    os.close(target)
            return os.path.join(inbox, where, new_name)
    finally:
        os.close(root)
    raise AssertionError("unreachable: the last try returns or raises")


def _made_folder(root: int, relative: str) -> tuple[int, str]:
    """A folder below the inbox, open, and its relative path; the inbox itself where there can be no such folder."""
    current = root
    for part in relative.split("/") if relative else []:
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=current)
            inner = open_beneath(current, part, THROUGH)
        except OSError as error:
            if current != root:
                os.close(current)
            if error.errno in (*_NO_FOLDER, errno.ENOENT):
                return root, ""
            raise
        if current != root:
            os.close(current)
        current = inner
    return current, relative


def _moved(folder: int, name: str, target: int, original_name: str) -> str:
    for candidate in numbered_names(original_name):
        try:
            rename_unless_taken_at(folder, name, target, candidate)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return _copied(folder, name, target, original_name)
        return candidate
    raise AssertionError("numbered names never end")


def _copied(folder: int, name: str, target: int, original_name: str) -> str:
    """For an inbox that has moved to another filesystem since. Raises OSError also while somebody writes."""
    temporary = f".factory-back-{name[:40]}"
    fd = open_regular(name, folder)
    try:
        with ReadLease(fd) as lease:
            if lease.somebody_writes:
                raise BlockingIOError(errno.EBUSY, "it is still being written", original_name)
            before = os.fstat(fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=target)  # of a try that was killed
            made = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
            try:
                with open(fd, "rb", closefd=False) as source, open(made, "wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
                    copy.flush()
                    os.fchmod(made, before.st_mode & 0o7777)
                    os.utime(made, ns=(before.st_atime_ns, before.st_mtime_ns))
                    os.fsync(made)
                if FileState.of(os.fstat(fd)) != FileState.of(before) or lease.somebody_waits():
                    raise BlockingIOError(errno.EBUSY, "it is still being written", original_name)
                new_name = _moved(target, temporary, target, original_name)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=target)
                raise
            os.unlink(name, dir_fd=folder)
            return new_name
    finally:
        os.close(fd)
