"""Clear: the incoming copy goes, and only it, and only while it is still the file whose content is safe."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

from Src.Librarian.fingerprint import NotARegularFile, ReadLease, open_regular
from Src.Librarian.incoming import FileState, IncomingFile
from Src.Librarian.orphans import bring_back
from Src.Librarian.vault_folder import name_key

logger = logging.getLogger(__name__)

Cleared = Literal["gone", "not_now", "stays"]


def clear(file: IncomingFile, kept_path: str) -> Cleared:
    """Removes the incoming copy of a file whose content is safe at `kept_path` (absolute).

    "not_now": it is not what was filed any more, or is being written to, or the vault has gone: to be asked again.
    "stays": it cannot be removed.
    """
    try:
        fd = open_regular(file.path)
        try:
            with ReadLease(fd) as lease:
                cleared = _remove(file, kept_path, lease)
                # The lease holds them at their opening: nothing is written yet.
                if cleared == "gone" and lease.somebody_waits() and os.fstat(fd).st_nlink == 0:
                    bring_back(os.dup(fd), file.path)
                return cleared
        finally:
            os.close(fd)
    except FileNotFoundError:
        return "not_now" if os.path.lexists(file.path) else "gone"
    except NotARegularFile:
        return "not_now"
    except OSError as error:
        logger.warning("%s is filed, but cannot be removed: %s", file.original_path, error.strerror)
        return "stays"


def remove_other_name(file: IncomingFile, other: Path) -> IncomingFile:
    """Removes another name that the incoming file has outside the inbox.

    That changes its ctime: returned is the file as it is since, or as it was where anybody else may have changed it.
    Raises OSError and NotARegularFile.
    """
    fd = open_regular(file.path)
    try:
        with ReadLease(fd) as lease:  # while it holds, nobody opens the file to write
            before = FileState.of(os.fstat(fd))
            other.unlink()
            after = FileState.of(os.fstat(fd))
            if before != file.state or lease.somebody_writes or lease.somebody_waits():
                return file
    finally:
        os.close(fd)
    return file._replace(state=after)


def _remove(file: IncomingFile, kept_path: str, lease: ReadLease) -> Cleared:
    try:
        kept = os.lstat(kept_path)
    except OSError:
        return "not_now"
    incoming = os.lstat(file.path)
    if kept.st_size != incoming.st_size:
        return "not_now"
    if _are_one_entry(file.path, incoming, kept_path, kept):
        return "stays"
    if lease.somebody_writes or lease.somebody_waits():
        return "not_now"
    incoming = os.lstat(file.path)  # nothing comes between this look and the removal
    if _is_as_filed(file, incoming, kept):
        os.unlink(file.path)
        return "gone"
    logger.info("%s was changed meanwhile; the newer content is kept and read next", file.original_path)
    return "not_now"


def _is_as_filed(file: IncomingFile, incoming: os.stat_result, kept: os.stat_result) -> bool:
    state = FileState.of(incoming)
    if os.path.samestat(incoming, kept):  # our own link and chmod have changed its ctime
        return state.same_content(file.state)
    return state == file.state  # else it tells of a change also where size and mtime are as before


def is_one_entry(one: str, other: str) -> bool:
    """Whether two paths are one and the same directory entry, seen by two ways, so that removing one removes both.

    (A bind mount, a link to a folder, names that the filesystem takes for one.)
    """
    return _are_one_entry(one, os.lstat(one), other, os.lstat(other))


def _are_one_entry(one: str, status: os.stat_result, other: str, other_status: os.stat_result) -> bool:
    if not os.path.samestat(status, other_status):
        return False
    if status.st_nlink < 2:
        return True
    (folder, name), (other_folder, other_name) = os.path.split(one), os.path.split(other)
    return name_key(name) == name_key(other_name) and os.path.samefile(folder, other_folder)
