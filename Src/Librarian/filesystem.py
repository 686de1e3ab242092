"""What kind of filesystem a folder is on (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Other hosts, or the other side of a virtual machine, write here without our kernel noticing.
_SILENT = re.compile(
    r"nfs4?|cifs|smb3?|smbfs|9p|virtiofs|vboxsf|drvfs|afs|ceph|glusterfs|fuse(?!blk|ctl)(\..*)?|fakeowner"
)
# `syncfs` ends in our kernel here: what is behind it only hears of `fsync`.
_NO_SYNCFS = re.compile(r"fuse.*|cifs|smb3?|smbfs|9p|vboxsf|drvfs|fakeowner")
_OCTAL = re.compile(r"\\([0-7]{3})")


def filesystem_type(folder: Path) -> str:
    """The type as mount(8) names it, e.g. `ext4`, `nfs4`, `fuse.sshfs`; empty where it cannot be told."""
    try:
        device = os.stat(folder).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            lines = [line.split(" ") for line in mounts]
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    types = [fields[fields.index("-") + 1] for fields in lines if fields[2] == wanted]
    if types:
        return types[-1]
    return _type_by_path(folder, lines)  # btrfs gives each subvolume a device number of its own


def _type_by_path(folder: Path, lines: list[list[str]]) -> str:
    place = str(folder.resolve())
    best, found = "", ""
    for fields in lines:
        mount_point = _OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4])
        inside = place == mount_point or place.startswith(mount_point.rstrip("/") + "/")
        if inside and len(mount_point) >= len(best):
            best, found = mount_point, fields[fields.index("-") + 1]
    return found


def sends_events(folder: Path) -> bool:
    """Whether inotify tells of all changes in this folder."""
    return _SILENT.fullmatch(filesystem_type(folder)) is None


def syncs_by_syncfs(folder: Path) -> bool:
    """Whether `syncfs` makes files durable here, so that no file needs an `fsync` of its own."""
    return _NO_SYNCFS.fullmatch(filesystem_type(folder)) is None
