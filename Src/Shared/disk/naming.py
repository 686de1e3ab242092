"""Giving a file a name in one step, and never one that is taken."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

NO_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
_RENAME_NOREPLACE = 1  # renameat2(2)
_AT_FDCWD = -100

_libc = ctypes.CDLL(None, use_errno=True)


def name_in_one_step(temporary: Path, target: str) -> None:
    """Gives a finished file its name; raises FileExistsError where it is taken. The temporary name may stay."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        rename_unless_taken(temporary, target)


def rename_unless_taken(source: str | Path, target: str | Path) -> None:
    """Renames; raises FileExistsError where the target exists, instead of replacing it.

    Where the filesystem knows no rename which spares, a kill in between leaves the source as it is and an empty file
    under the target's name. Nobody can prove later whose that is: it stays, and its name counts as taken.
    """
    if _renamed_without_replacing(_AT_FDCWD, source, target):
        return
    # A filesystem that knows no rename which spares: reserve the name, then rename over the reservation.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        os.replace(source, target)
    except OSError:
        os.unlink(target)
        raise


def rename_folder_unless_taken(parent: int, source: str, target: str) -> None:
    """Renames a folder in an open one; raises FileExistsError where the target exists.

    Where the filesystem knows no rename which spares, an empty folder of that name is replaced.
    """
    if not _renamed_without_replacing(parent, source, target):
        os.rename(source, target, src_dir_fd=parent, dst_dir_fd=parent)


def _renamed_without_replacing(folder: int, source: str | Path, target: str | Path) -> bool:
    """False where kernel or filesystem does not know how."""
    if _libc.renameat2(folder, os.fsencode(source), folder, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), str(target))
    return False
