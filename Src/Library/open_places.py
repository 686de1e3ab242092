"""Folders of the vault and the trash, opened without following a link, for who looks at many files or moves them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Self

from Src.Library.original_path import NotAnOriginal, checked_place, is_in_trash
from Src.Shared.disk.beneath import THROUGH, open_beneath, open_folder

_MOST_FOLDERS = 64  # that are open at a time


class OpenPlaces:
    """Folders stay open until the end, so that many files of one cost one way there.

    Only the path of the originals themselves may be a link: to a disk of their own.
    """

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self._originals = -1
        self._storage_fd = -1
        self._folders: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._originals = open_folder(self.storage / "Originals")
        try:
            self._storage_fd = open_folder(self.storage)
        except OSError:
            os.close(self._originals)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()
        os.close(self._originals)
        os.close(self._storage_fd)

    def forget(self) -> None:
        """Closes the folders: another may stand in the place of one by now."""
        for fd in self._folders.values():
            os.close(fd)
        self._folders.clear()

    def parent(self, path: str) -> tuple[int, str]:
        """The open folder of a path relative to the storage root, and the name in it; for the next moment only.

        Raises OSError; EPERM where the path is neither an original's nor one in the trash.
        """
        try:
            folder, name = os.path.split(checked_place(path))
        except NotAnOriginal as problem:
            raise PermissionError(errno.EPERM, str(problem), path) from problem
        fd = self._folders.get(folder)
        if fd is None:
            if len(self._folders) >= _MOST_FOLDERS:
                self.forget()
            fd = self._folders[folder] = self._open(folder)
        return fd, name

    def lstat(self, path: str) -> os.stat_result:
        """What stands at a path. Raises OSError as `parent` does."""
        folder, name = self.parent(path)
        return os.lstat(name, dir_fd=folder)

    def above(self, folder: str) -> tuple[int, str]:
        """A descriptor of the folder that a day's or a year's folder is in, to be closed, and its name there."""
        before, name = os.path.split(folder)
        return self._open(before), name

    def _open(self, folder: str) -> int:
        if is_in_trash(folder + "/"):
            return open_beneath(self._storage_fd, folder, THROUGH)
        return open_beneath(self._originals, folder.partition("/")[2], THROUGH)
