"""Folders and files that we make: each has its mode from its first moment, whatever the umask.

Only what is made here gets a mode and a group. What is there already is somebody's decision and stays as it is.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import stat
from pathlib import Path

from Src.Shared.disk.naming import rename_folder_unless_taken

PRIVATE = 0o700  # .factory, Overlay, Trash, .run, logs, the journal: nobody else's business
SHARED = 0o750  # Originals, Derivatives, Manifests: for FACTORY_GROUP to read
DROP_ZONE = 0o2770  # the inbox, where FACTORY_GROUP may put photos; what it makes there stays the group's
PRIVATE_FILE = 0o600

_PARENT = 0o777  # less the umask, as of any program

logger = logging.getLogger(__name__)


def make_folder(path: Path, mode: int, group: int | None = None, *, below: Path | None = None) -> bool:
    """Makes a folder of exactly this mode; whether there was none.

    `group`: to whom it and its missing parents go. `below`: a parent from which on missing ones get the mode too;
    others are made as the umask says, or, for a group, so that it can pass. Raises OSError.
    """
    if path.is_dir():
        return False
    if not path.parent.is_dir():
        if below is not None and path.is_relative_to(below) and path != below:
            make_folder(path.parent, mode, group, below=below)
        else:
            make_parent(path.parent, group)
    parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _make(parent, path.name, mode, group)
    finally:
        os.close(parent)


def make_in(parent: int, name: str, mode: int) -> bool:
    """`make_folder` in an open folder, whose group it gets."""
    group: int | None = os.fstat(parent).st_gid
    if group == os.getegid() or (os.geteuid() != 0 and group not in os.getgroups()):
        group = None  # it would be ours anyway, or is not ours to give
    return _make(parent, name, mode, group)


def make_parent(path: Path, group: int | None = None) -> None:
    """Makes a folder in which others have modes of their own: as the umask says, or so that the group can pass."""
    if group is None:
        try:
            path.mkdir(_PARENT, parents=True, exist_ok=True)
        except FileExistsError as error:  # a file stands there
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from error
    else:
        make_folder(path, SHARED, group)


def private_file(path: str | os.PathLike[str], flags: int) -> int:
    """Opens a file that is for its owner only where it is made: as `opener` of `open`."""
    return os.open(path, flags | os.O_CLOEXEC, PRIVATE_FILE)


def read_only(mode: int) -> int:
    """A file's permissions without those to write, and readable at least for its owner: as originals have them."""
    return (mode & 0o777 & ~0o222) | 0o400


def _make(parent: int, name: str, mode: int, group: int | None) -> bool:
    # Under another name until it is right: a kill in between must not leave one that the group cannot read for ever.
    # Each maker has a name of its own: with a common one, the first would give the second's unready folder the name.
    mark = f".{name}.making-"
    _remove_unready(parent, mark)
    while not _is_folder(parent, name):
        new = mark + secrets.token_hex(4)
        os.mkdir(new, PRIVATE, dir_fd=parent)
        try:
            _adjust(parent, new, mode, group)
            rename_folder_unless_taken(parent, new, name)
        except FileNotFoundError:  # another process took ours for that of a killed one
            continue
        except OSError as error:
            with contextlib.suppress(OSError):
                os.rmdir(new, dir_fd=parent)
            if _is_folder(parent, name):  # another process was first
                return False
            if isinstance(error, FileExistsError):  # a file, say
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from error
            raise
        return True
    return False


def _remove_unready(parent: int, mark: str) -> None:
    """Removes what killed processes left. A living one whose folder goes with it makes another."""
    try:
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    except OSError:  # a folder that may be passed and not listed: they stay, and are in nobody's way
        return
    try:
        for left in os.listdir(folder):
            if left.startswith(mark):
                with contextlib.suppress(OSError):
                    os.rmdir(left, dir_fd=folder)
    finally:
        os.close(folder)


def _is_folder(parent: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent).st_mode)
    except FileNotFoundError:
        return False


def _adjust(parent: int, name: str, mode: int, group: int | None) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if group is not None and os.fstat(fd).st_gid != group:
            try:
                os.fchown(fd, -1, group)
            except OSError as error:  # also of a filesystem without owners, where the mount decides
                where = os.readlink(f"/proc/self/fd/{fd}")
                logger.warning("%s cannot be given to group %d: %s", where, group, error.strerror)
                mode &= ~(stat.S_ISGID | stat.S_IRWXG)  # not for another group
        if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
            with contextlib.suppress(PermissionError):  # where the mount decides
                os.fchmod(fd, mode)
    finally:
        os.close(fd)
