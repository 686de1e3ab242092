"""The folders in which files that left the inbox are kept aside: opened by descriptor, made where they are missing."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from Src.Library.leaving import HIDDEN
from Src.Shared.disk.beneath import open_beneath, open_folder

_TO_LIST = os.O_RDONLY | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Place:
    """An open folder, and its path for later."""

    path: str
    fd: int


class Places:
    """Where files of one inbox may be put aside: a rename needs one filesystem, and even one mount."""

    def __init__(self, beside_vault: str, inbox: str, first: dict[int, int]) -> None:
        """`first`: of each device, which place takes its files: beside the vault, in the inbox, in their own folder."""
        self._beside_vault = beside_vault
        self._inbox = inbox
        self._first = first
        self._open: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def take(self, device: int, folder: int, name: str, new_name: str) -> Place:
        """Renames a file of that device into the first place that takes it. Raises OSError."""
        for at in range(self._first.get(device, 0), 3):
            place = self._place(at, folder)
            try:  # the name is new, and the folder nobody else's: nothing is replaced
                os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=place.fd)
            except OSError as error:
                if error.errno != errno.EXDEV or at == 2:
                    raise
                continue
            self._first[device] = at
            return place
        raise AssertionError("unreachable: the last place takes it or raises")

    def _place(self, at: int, folder: int) -> Place:
        if at == 0:
            return self._kept_open(self._beside_vault, None)
        if at == 2:
            return self._kept_open(f"{os.readlink(f'/proc/self/fd/{folder}')}/{HIDDEN}", folder)
        root = open_folder(self._inbox)
        try:
            return self._kept_open(f"{self._inbox}/{HIDDEN}", root)
        finally:
            os.close(root)

    def _kept_open(self, path: str, parent: int | None) -> Place:
        """`parent`: the open folder in which a hidden one is; None: the one beside the vault."""
        fd = self._open.get(path)
        if fd is None:
            if parent is None:
                fd = open_place(path, self._inbox)
            else:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(HIDDEN, 0o700, dir_fd=parent)
                fd = open_beneath(parent, HIDDEN, _TO_LIST)
            self._open[path] = fd
        return Place(path, fd)


def open_place(path: str, inbox: str) -> int:
    """Opens a folder in which files are kept aside; in the inbox, where others write, no link leads to it."""
    if not path.startswith(f"{inbox}/"):
        return os.open(path, _TO_LIST | os.O_NOFOLLOW | os.O_CLOEXEC)
    root = open_folder(inbox)
    try:
        return open_beneath(root, path[len(inbox) + 1 :], _TO_LIST)
    finally:
        os.close(root)


@contextlib.contextmanager
def opened_place(path: str, inbox: str) -> Iterator[int]:
    """Raises OSError; that the folder is not there says nothing of its files."""
    try:
        fd = open_place(path, inbox)
    except FileNotFoundError as error:
        raise OSError(f"{path} is not there") from error
    try:
        yield fd
    finally:
        os.close(fd)
