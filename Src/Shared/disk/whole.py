"""Whether a folder is all that is on a disk, and what else is on that disk, by the kernel's block devices (sysfs).

What is not known for sure is not said: on a share, in a pool, on btrfs and in a file that is mounted, nobody knows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from Src.Shared.disk.mounts import Mount, mounts

_BLOCKS = Path("/sys/dev/block")


class Whole(NamedTuple):
    """What is known of a folder's disk."""

    is_whole: bool  # the folder is all of one disk; False too where that is not known
    has_others: bool | None  # others are on that disk; None: not known


def whole_disk(folder: Path, others: Iterable[Path]) -> Whole:
    """Of a folder's disk; `others`: folders, and all that is mounted in them."""
    resolved = Path(os.path.realpath(folder))
    mounted = mounts()
    own = _device(resolved)
    if own is None:
        return Whole(False, None)
    # What is not seen here may be on any disk.
    there = [_device(path) for other in others for path in _with_mounts(Path(os.path.realpath(other)), mounted)]
    return Whole(_is_whole(resolved, own, mounted), _are_on(own, there))


def _is_whole(folder: Path, own: int, mounted: Sequence[Mount]) -> bool:
    at = [one for one in mounted if one.point == str(folder)]
    prefix = f"{str(folder).rstrip('/')}/"
    if not at or at[-1].root != "/" or any(one.point.startswith(prefix) for one in mounted):
        return False  # it is a part of a disk, or another disk hides some of it
    node = _node(own)
    try:
        return node is not None and _is_all(node)
    except OSError:
        return False


def _are_on(own: int, there: Sequence[int | None]) -> bool | None:
    if own in there:
        return True
    disks = [_disks(device) for device in (own, *there)]
    mine, *theirs = disks
    if mine is not None and any(one is not None and mine & one for one in theirs):
        return True
    return None if None in disks else False


def _with_mounts(folder: Path, mounted: Sequence[Mount]) -> list[Path]:
    prefix = f"{str(folder).rstrip('/')}/"
    return [folder, *(Path(one.point) for one in mounted if one.point.startswith(prefix))]


def _device(folder: Path) -> int | None:
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


def _node(device: int) -> Path | None:
    at = Path(os.path.realpath(_BLOCKS / f"{os.major(device)}:{os.minor(device)}"))
    return at if at.is_dir() and _BLOCKS not in at.parents else None


def _disks(device: int | None) -> frozenset[Path] | None:
    """The disks below a filesystem; None where they are not known."""
    node = None if device is None else _node(device)
    try:
        return None if node is None else _below(node)
    except OSError:
        return None


def _below(node: Path) -> frozenset[Path] | None:
    """Raises OSError."""
    if (node / "loop").exists():
        return None  # a file, which may be anywhere
    found: frozenset[Path] = frozenset()
    for slave in _listed(node / "slaves"):
        below = _below(slave)
        if below is None:
            return None
        found |= below
    return found or frozenset((node.parent if (node / "partition").exists() else node,))


def _is_all(node: Path) -> bool:
    """Whether a block device is all of one disk: that itself, its only partition, or what alone is made of these.
    Raises OSError."""
    if (node / "loop").exists():
        return False
    slaves = _listed(node / "slaves")
    if slaves:
        # Of a volume group the holders are only the volumes that are active: only encryption is known to be all of it.
        is_encryption = (node / "dm" / "uuid").read_text().startswith("CRYPT-")
        return is_encryption and len(slaves) == 1 and len(_listed(slaves[0] / "holders")) == 1 and _is_all(slaves[0])
    disk = node.parent if (node / "partition").exists() else node
    return len([one for one in disk.iterdir() if (one / "partition").exists()]) == (0 if disk == node else 1)


def _listed(folder: Path) -> list[Path]:
    """Raises OSError."""
    try:
        return [Path(os.path.realpath(one)) for one in folder.iterdir()]
    except FileNotFoundError:
        return []
