"""What travels through the stages: an incoming file, and what is known of its state on disk."""

from __future__ import annotations

import os
import stat
from typing import Literal, NamedTuple

Source = Literal["inbox", "import"]


class FileState(NamedTuple):
    """What must stay the same while a file is in hand. ctime changes with every write, whatever mtime says."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)

    def same_content(self, other: FileState) -> bool:
        """Equal but for ctime, which our own `link` and `chmod` change."""
        return self[:2] == other[:2] and self[3:] == other[3:]


class IncomingFile(NamedTuple):
    """A complete file that waits to be filed away. Paths are as `os.fsdecode` gives them.

    (It and all else that goes between processes is a tuple: pickling a dataclass takes several times as long.)
    """

    path: str  # absolute
    original_path: str  # relative to the inbox; absolute where it is imported
    state: FileState
    source: Source = "inbox"

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def regular_file_state(path: str, dir_fd: int | None = None) -> FileState | None:
    """The state of a regular file; None where there is none (gone, a symlink, FIFO, device, socket, folder)."""
    try:
        status = os.lstat(path, dir_fd=dir_fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileState.of(status) if stat.S_ISREG(status.st_mode) else None
