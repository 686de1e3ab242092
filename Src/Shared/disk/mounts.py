"""Where a folder is on its filesystem, so that it is known again through another mount (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of the kernel's list."""

    device: str  # major:minor
    root: str  # the folder of that filesystem that is mounted
    point: str  # where


class Place(NamedTuple):
    """A folder or file by its filesystem and its path there."""

    device: str
    path: str

    def is_within(self, other: Place) -> bool:
        """Whether this is the other, or below it."""
        return self.device == other.device and _is_below(self.path, other.path)


def mounts() -> list[Mount]:
    """What is mounted, later ones over earlier ones; empty where the kernel has no such list."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            fields = [line.split(" ") for line in lines]
    except OSError:
        return []
    return [Mount(one[2], _unescaped(one[3]), _unescaped(one[4])) for one in fields]


def place_of(path: Path, mounted: list[Mount]) -> Place | None:
    """Where an absolute path without links is; None where that cannot be known."""
    found: Mount | None = None
    for mount in mounted:
        if _is_below(str(path), mount.point) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return None if found is None else Place(found.device, _joined(found.root, os.path.relpath(path, found.point)))


def places_at_and_below(path: Path, mounted: list[Mount]) -> list[Place]:
    """All that a walk of an absolute path without links may come to: it, and what is mounted below it."""
    own = place_of(path, mounted)
    inner = [Place(one.device, one.root) for one in mounted if _is_below(one.point, str(path))]
    return inner if own is None else [own, *inner]


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _joined(root: str, relative: str) -> str:
    return os.path.normpath(os.path.join(root, relative))


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), text)
