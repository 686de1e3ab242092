"""Clear: may the incoming copy go? Only it, and only while it is still the file whose content is safe."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal, NamedTuple

from Src.Librarian.passage import IncomingFile
from Src.Library.open_places import OpenPlaces
from Src.Library.vault import Vault
from Src.Library.vault_folder import are_one_entry
from Src.Shared.disk.files import FileState
from Src.Shared.disk.leases import ReadLease
from Src.Shared.disk.top import open_regular_below

logger = logging.getLogger(__name__)

# "gone": it is. "not_now": it is not what was filed any more, or is being written to, or the vault has gone: to be
# asked again. "stays": it cannot be removed. "unsure": nobody can say whether somebody writes to it.
Cleared = Literal["gone", "not_now", "stays", "unsure"]


class Filed(NamedTuple):
    """An incoming file whose content is safe in the vault."""

    file: IncomingFile
    kept_path: str  # of the original with its content, relative to the storage root
    sha256: str


class Originals(OpenPlaces):
    """Looks at originals, and at what is in the trash."""

    def __init__(self, vault: Vault) -> None:
        super().__init__(vault.storage)


def may_go(one: Filed, folder: int, name: str, originals: Originals, lease: ReadLease) -> os.stat_result | Cleared:
    """The original as it stands in the vault, if the incoming file at a name in an open folder may go; else why not.

    The lease is on that file. Nothing may come between this look and the removal.
    """
    try:
        kept = originals.lstat(one.kept_path)
    except OSError:
        return "not_now"
    incoming = os.lstat(name, dir_fd=folder)
    if kept.st_size != incoming.st_size:
        return "not_now"
    if are_one_entry((folder, name), incoming, os.path.split(f"{originals.storage}/{one.kept_path}"), kept):
        return "stays"
    if lease.somebody_writes or lease.somebody_waits():
        return "not_now"
    incoming = os.lstat(name, dir_fd=folder)
    if _is_as_filed(one.file, incoming, kept):
        return kept
    logger.info("%s was changed meanwhile; the newer content is kept and read next", one.file.original_path)
    return "not_now"


def _is_as_filed(file: IncomingFile, incoming: os.stat_result, kept: os.stat_result) -> bool:
    state = FileState.of(incoming)
    if os.path.samestat(incoming, kept):  # our own link and chmod have changed its ctime
        return state.same_content(file.state)
    return state == file.state  # with its ctime, which shows a change that keeps size and mtime


def stands(folder: int, name: str) -> bool:
    """Whether anything has this name in an open folder."""
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def remove_other_name(file: IncomingFile, other: Path) -> IncomingFile:
    """Removes another name that the incoming file has outside the inbox.

    That changes its ctime: returned is the file as it is since, or as it was where anybody else may have changed it.
    Raises OSError and NotARegularFile.
    """
    fd = open_regular_below(file.top, file.path)
    try:
        with ReadLease(fd) as lease:  # while it holds, nobody opens the file to write
            before = FileState.of(os.fstat(fd))
            other.unlink()
            after = FileState.of(os.fstat(fd))
            if before != file.state or not lease.given or lease.somebody_waits():
                return file
    finally:
        os.close(fd)
    return file._replace(state=after)
