"""Clear: the incoming copy goes, and only it, and only while it is still the file whose content is safe."""

from __future__ import annotations

import logging
import os
from typing import Literal

from Src.Librarian.fingerprint import NotARegularFile, ReadLease, open_regular
from Src.Librarian.incoming import FileState, IncomingFile
from Src.Librarian.vault import name_key

logger = logging.getLogger(__name__)

Cleared = Literal["gone", "busy", "stays"]


def clear(file: IncomingFile, kept_path: str) -> Cleared:
    """Removes the incoming copy of a file whose content is safe at `kept_path` (absolute).

    "busy": it is not removed, because somebody has it open for writing.
    """
    try:
        fd = open_regular(file.path)
        try:
            with ReadLease(fd) as lease:
                return _remove(file, kept_path, lease)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return "stays" if os.path.lexists(file.path) else "gone"
    except NotARegularFile:
        return "stays"
    except OSError as error:
        logger.warning("%s is filed, but cannot be removed: %s", file.original_path, error.strerror)
        return "stays"


def _remove(file: IncomingFile, kept_path: str, lease: ReadLease) -> Cleared:
    kept = os.lstat(kept_path)
    incoming = os.lstat(file.path)
    if not FileState.of(incoming).same_content(file.state):
        logger.info("%s was replaced meanwhile; the newer file is kept and read next", file.original_path)
        return "stays"
    if kept.st_size != incoming.st_size or _are_one_entry(file.path, incoming, kept_path, kept):
        return "stays"
    if lease.somebody_writes or lease.somebody_waits():
        return "busy"
    os.unlink(file.path)
    return "gone"


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
