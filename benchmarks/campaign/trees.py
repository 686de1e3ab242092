"""Deep and wide trees of folders, down to where no path reaches any more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.campaign.formats import tiny_jpeg
from benchmarks.campaign.given import Given, give

_PATH_MAX = 4096  # of Linux, its closing NUL included


def give_wide(inbox: Path, folders: int) -> Iterator[Given]:
    """As many folders beside each other, a photo in each; every tenth photo has the same name."""
    for number in range(folders):
        folder = b"wide/%05d" % number
        os.makedirs(os.path.join(os.fsencode(inbox), folder))
        name = b"IMG_0001.jpg" if number % 10 == 0 else b"IMG_%05d.jpg" % number
        yield give(inbox, os.path.join(folder, name), tiny_jpeg(number), "filed")


def give_deep(inbox: Path, levels: int) -> Iterator[Given]:
    """Folders one within the other, at most as far as a path reaches; a photo in every 50th and in the last."""
    room = (_PATH_MAX - 1 - len(os.fsencode(inbox)) - len(b"/deep/IMG.jpg")) // len(b"/d")
    levels = min(levels, room)
    path = b"deep"
    for level in range(levels + 1):
        os.mkdir(os.path.join(os.fsencode(inbox), path))
        if level % 50 == 0 or level == levels:
            yield give(inbox, path + b"/IMG.jpg", tiny_jpeg(10**6 + level), "filed")
        path += b"/d"


@dataclass(frozen=True)
class Abyss:
    """Folders one within the other beyond the longest path; what is at the bottom can only be reached step by step."""

    top: Path
    levels: int = 40
    name: str = "z" * 200
    content: bytes = tiny_jpeg(10**9)

    def dig(self) -> None:
        os.mkdir(self.top)
        bottom = self._descend(make=True)
        fd = os.open("IMG.jpg", os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=bottom)
        os.write(fd, self.content)
        os.close(fd)
        os.close(bottom)

    def is_intact(self) -> bool:
        try:
            bottom = self._descend()
        except FileNotFoundError:
            return False
        try:
            with open(os.open("IMG.jpg", os.O_RDONLY, dir_fd=bottom), "rb") as file:
                return hashlib.sha256(file.read()).digest() == hashlib.sha256(self.content).digest()
        except FileNotFoundError:
            return False
        finally:
            os.close(bottom)

    def _descend(self, *, make: bool = False) -> int:
        fd = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY)
        for _ in range(self.levels):
            above = fd
            try:
                if make:
                    os.mkdir(self.name, dir_fd=above)
                fd = os.open(self.name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=above)
            finally:
                os.close(above)
        return fd
