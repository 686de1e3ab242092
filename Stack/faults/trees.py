"""Deep and wide trees of folders, down to where no path reaches any more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from Stack.faults.formats import tiny_jpeg
from Stack.faults.given import Given, give

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


def give_abyss(inbox: Path, levels: int = 40) -> Iterator[Given]:
    """A photo that no path reaches: its folders, one within the other, are entered step by step."""
    name, content = "z" * 200, tiny_jpeg(10**9)
    folder = os.open(inbox, os.O_RDONLY | os.O_DIRECTORY)
    for each in ("abyss", *[name] * levels):
        above = folder
        os.mkdir(each, dir_fd=above)
        folder = os.open(each, os.O_RDONLY | os.O_DIRECTORY, dir_fd=above)
        os.close(above)
    fd = os.open("IMG.jpg", os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder)
    os.write(fd, content)
    os.close(fd)
    os.close(folder)
    path = os.fsencode("/".join(("abyss", *[name] * levels, "IMG.jpg")))
    yield Given(path, hashlib.sha256(content).hexdigest(), "filed")
