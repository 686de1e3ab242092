"""The folder at the top: the one to whose path links may belong, and below which no link is followed.

A top goes between processes as its path and its identity. Each opens it for itself, and sees that it is the same
folder. None keeps it open for long: a disk can be unmounted.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple, Self

from Src.Shared.disk.beneath import THROUGH, lstat_beneath, open_beneath, open_folder, parent_and_name
from Src.Shared.disk.files import FileState, NotARegularFile, open_regular

# What stands on the way is a link, or no folder: the path leads to no file below the top.
_NO_WAY = (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)


class Top(NamedTuple):
    """A folder, as it was when it was resolved."""

    path: str  # absolute, without links
    identity: tuple[int, int] | None  # device and inode; None: whatever folder stands there

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Self:
        """Resolves a path, once. Raises OSError where there is no folder."""
        resolved = os.path.realpath(path)
        fd = open_folder(resolved)
        try:
            return cls(resolved, _identity(fd))
        finally:
            os.close(fd)

    def relative(self, path: str) -> str:
        """The way from here to a path that begins with this one's."""
        prefix = self.path if self.path.endswith("/") else f"{self.path}/"
        if not path.startswith(prefix):
            raise ValueError(f"{path} is not below {self.path}")
        return path[len(prefix) :]


def open_top(top: Top) -> int:
    """Opens the top. Raises FileNotFoundError where another folder stands at its path by now, and OSError."""
    fd = open_folder(top.path)
    if top.identity is not None and _identity(fd) != top.identity:
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "another folder stands there by now", top.path)
    return fd


class parent_below:
    """The descriptor of the folder that a path below the top is in, and its last part, for a block.

    Raises NotARegularFile where a link, or anything that is no folder, stands on the way, and OSError.
    """

    __slots__ = ("_folder", "_path", "_top")

    def __init__(self, top: Top, path: str) -> None:
        self._top, self._path, self._folder = top, path, -1

    def __enter__(self) -> tuple[int, str]:
        before, name = parent_and_name(self._top.relative(self._path))
        root = open_top(self._top)
        if not before:
            self._folder = root
            return root, name
        try:
            self._folder = open_beneath(root, before, THROUGH)
        except OSError as error:
            if error.errno in _NO_WAY:
                raise NotARegularFile(self._path) from error
            raise
        finally:
            os.close(root)
        return self._folder, name

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)


def open_regular_below(top: Top, path: str) -> int:
    """Opens a regular file for reading. Raises NotARegularFile and OSError as `open_regular` does."""
    with parent_below(top, path) as (folder, name):
        return open_regular(name, folder)


def regular_state_below(top: Top, path: str) -> FileState | None:
    """The state of a regular file; None where there is none that can be reached without a link. Raises OSError."""
    relative = top.relative(path)
    try:
        root = open_top(top)
        try:
            status = lstat_beneath(root, relative)
        finally:
            os.close(root)
    except OSError as error:
        if error.errno in (errno.ENOENT, *_NO_WAY):
            return None
        raise
    return FileState.of(status) if stat.S_ISREG(status.st_mode) else None


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
