"""What kind of filesystem a folder is on (proc_pid_mountinfo(5))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from pathlib import Path

# Other hosts, or the other side of a virtual machine, write here without our kernel noticing.
_SILENT = re.compile(
    r"nfs4?|cifs|smb3?|smbfs|9p|virtiofs|vboxsf|drvfs|afs|ceph|glusterfs|fuse(?!blk|ctl)(\..*)?|fakeowner"
)
# `syncfs` ends in our kernel here: what is behind it only hears of `fsync`.
_NO_SYNCFS = re.compile(r"fuse.*|cifs|smb3?|smbfs|9p|vboxsf|drvfs|fakeowner")
NO_MODES = re.compile(r"v?fat|msdos|exfat|ntfs.*|fuse.*|cifs|smb3?|smbfs|9p|vboxsf|drvfs")  # a mount decides on them
NO_TIMES = re.compile(r"v?fat|msdos|exfat")  # local time: each hour's change shifts all of them
# Older kernels do not report through it that a disk refused what was written (syncfs(2)).
_SYNCFS_REPORTS_ERRORS = (5, 8)
# These give leases by themselves, and only as far as their server answers for what others do.
_SERVER_LEASES = re.compile(r"nfs4?|cifs|smb3?")
# f_type (statfs(2)) of ext4, XFS, btrfs, tmpfs, overlay, F2FS and ZFS: nobody writes there but through our kernel.
_LOCAL = {0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0x794C7630, 0xF2F52010, 0x2FC12FC1}
_libc = ctypes.CDLL(None, use_errno=True)
_Answer = ctypes.c_char * 256  # more than a `struct statfs`
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


def is_one_mount(one: int, other: int) -> bool:
    """Whether a rename leads from one open folder into the other: it leaves no filesystem, and no mount of it.

    Raises OSError.
    """
    return os.fstat(one).st_dev == os.fstat(other).st_dev and _mount_of(one) == _mount_of(other)


def _mount_of(fd: int) -> str:
    """proc_pid_fdinfo(5). Empty where there is no /proc."""
    with contextlib.suppress(FileNotFoundError), open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as said:
        return next((line for line in said if line.startswith("mnt_id:")), "")
    return ""


def _kernel() -> tuple[int, ...]:
    if sys.platform != "linux":
        return _SYNCFS_REPORTS_ERRORS
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


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


def leases_tell(fd: int) -> bool:
    """Whether a read lease on this open file says that nobody writes to it.

    On FUSE (sshfs, virtiofs) and its like the kernel gives leases for what it knows itself, which is nothing of those
    who write on the other side.
    """
    answer = _Answer()
    if _libc.fstatfs(fd, answer) == 0 and ctypes.c_ulong.from_buffer(answer).value in _LOCAL:
        return True  # without a look at all mounts, for it is asked several times of each file
    kind = filesystem_type(Path(f"/proc/self/fd/{fd}"))
    return _SILENT.fullmatch(kind) is None or _SERVER_LEASES.fullmatch(kind) is not None


def syncs_by_syncfs(folder: Path) -> bool:
    """Whether `syncfs` makes files durable here, or says that it could not, so that no file needs its own `fsync`."""
    return _kernel() >= _SYNCFS_REPORTS_ERRORS and _NO_SYNCFS.fullmatch(filesystem_type(folder)) is None
