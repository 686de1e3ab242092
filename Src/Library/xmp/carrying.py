"""Gives XMP files their next contents, durably, many at once. What one of them refuses holds no other up."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Sequence

from Src.Library.open_places import OpenPlaces
from Src.Library.vault import Vault
from Src.Library.xmp import files
from Src.Library.xmp.files import Found
from Src.Library.xmp.rows import Seen
from Src.Library.xmp.work import Work, seen_of
from Src.Shared.disk.filesystem import syncs_by_syncfs
from Src.Shared.disk.syncing import fsync, fsync_path

_FEW = 8  # files that are synced one by one; of more, one `syncfs` costs less
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)  # the next file would fare no better


def carry_out(vault: Vault, places: OpenPlaces, work: Sequence[Work], leave: Callable[[Work, str], None]) -> list[Seen]:
    """Writes files, and returns what stands there then. `leave` gets each file that stays as it is, and why.

    Raises OSError where the disk fails, and VaultTrouble.
    """
    if not work:
        return []
    open_files: list[tuple[Work, int]] = []
    noted: list[Seen] = []
    folders: set[str] = set()
    at_once = len(work) > _FEW and syncs_by_syncfs(vault.originals)
    try:
        for one in work:
            try:
                open_files.append((one, _prepared(places, one)))
            except OSError as error:
                leave(one, _refusal(error))
        if at_once:
            vault.sync()
        else:
            for _, fd in open_files:
                fsync(fd)
        for one, fd in open_files:
            try:
                seen = _swapped(places, one, fd)
            except OSError as error:
                leave(one, _refusal(error))
                continue
            if seen is None:
                leave(one, "another program has just changed it")
                continue
            noted.append(seen)
            folders.add(os.path.dirname(one.path))
        if at_once:
            vault.sync()
        else:
            for path in folders:
                try:
                    folder, _ = places.parent(f"{path}/any")
                except FileNotFoundError:  # taken away by now, with all that was in it
                    continue
                fsync_path(".", os.O_DIRECTORY, dir_fd=folder)
    finally:
        for _, fd in open_files:
            os.close(fd)
    vault.check()  # unmounted under our hands?
    return noted


def _prepared(places: OpenPlaces, one: Work) -> int:
    """Its next content, open, under a hidden name."""
    assert one.content is not None and one.id is not None
    folder, _ = places.parent(one.path)
    standing = None if one.found is None else one.found.status
    return files.prepare(folder, files.temporary_of(one.id), one.content, standing)


def _swapped(places: OpenPlaces, one: Work, fd: int) -> Seen | None:
    """Gives the next content its name; None: something else stands there by now."""
    assert one.content is not None and one.id is not None
    folder, name = places.parent(one.path)
    if not files.swap(folder, files.temporary_of(one.id), name, one.found):
        return None
    found = Found(one.content, hashlib.sha256(one.content).hexdigest(), os.fstat(fd))
    return seen_of(one.id, found, is_ours=True)


def _refusal(error: OSError) -> str:
    """Why one file cannot be written. Raises the error where that is not the file's fault."""
    if error.errno in _OF_THE_DISK:
        raise error
    return f"it cannot be written ({error.strerror})"
