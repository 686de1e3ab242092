"""Which filesystem a folder is on, by a name that it has for ever, and whether its files can be known again by numbers.

A device number is given anew at each mount, so it says nothing of the filesystem that was there before.
"""

from __future__ import annotations

import fcntl
import os
import re
import uuid
from pathlib import Path
from typing import NamedTuple

from Src.Shared.disk.filesystem import filesystem_type

# Here a file keeps its inode number and the kernel itself sets its ctime at each change. Not so on FAT and exFAT (which
# have no inodes), on network shares and FUSE (another computer's clock and numbers), and nobody knows of others.
_KEEPS_NUMBERS = re.compile(r"ext[234]|xfs|btrfs|f2fs|jfs|nilfs2|bcachefs|zfs|tmpfs")
# statfs(2) says a number that is made from the UUID (tmpfs: one of its own for each mount). XFS and F2FS: the device's.
_FSID_IS_ITS_OWN = re.compile(r"ext[234]|btrfs|zfs|tmpfs")
_GET_UUID = 0x80111500  # FS_IOC_GETFSUUID, Linux 6.9: its answer is a length and as many bytes, at most 16
_BY_UUID = Path("/dev/disk/by-uuid")


class FilesystemId(NamedTuple):
    """`uuid` is empty where nobody says one. `keeps_numbers`: inode and ctime say whether a file is what it was."""

    uuid: str
    keeps_numbers: bool


def filesystem_id(folder: Path) -> FilesystemId:
    """Of the filesystem that a folder is on. Raises OSError where there is none."""
    kind = filesystem_type(folder)
    own = _asked_of_kernel(folder) or _by_device(os.stat(folder).st_dev)
    # btrfs numbers the files of each subvolume anew; its number in statfs has the subvolume in it.
    if _FSID_IS_ITS_OWN.fullmatch(kind) and (not own or kind == "btrfs"):
        own = f"{own or kind}/{os.statvfs(folder).f_fsid:x}"
    return FilesystemId(own, bool(own) and _KEEPS_NUMBERS.fullmatch(kind) is not None)


def _asked_of_kernel(folder: Path) -> str:
    answer = bytearray(17)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _GET_UUID, answer)
    except OSError:  # an older kernel, or a filesystem without one
        return ""
    finally:
        os.close(fd)
    length = answer[0]
    if not 0 < length <= 16 or not any(answer[1 : 1 + length]):
        return ""
    return str(uuid.UUID(bytes=bytes(answer[1:17]))) if length == 16 else answer[1 : 1 + length].hex()


def _by_device(device: int) -> str:
    """As udev has read it from the disk; containers do not see that."""
    try:
        for link in _BY_UUID.iterdir():
            if os.stat(link).st_rdev == device:
                return link.name
    except OSError:
        pass
    return ""
