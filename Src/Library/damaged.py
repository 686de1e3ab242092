"""`Storage/.factory/damaged/DAY/NAME.HASH8`: what stood in an original's place and was not that original.

It is moved there by a rename, before a good copy takes the place, and never changed. Only a person removes it:
something may still be won from it, and it shows that a disk fails. HASH8 is how the hash of what it holds begins, or
`unread`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from Src.Library.original_path import checked_path
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Library.verdict import Rotten
from Src.Shared.disk.beneath import open_folder, parent_beneath, rename_unless_taken_at
from Src.Shared.disk.files import FileState
from Src.Shared.disk.syncing import fsync_folder

DAMAGED = ".damaged"  # below the originals
_REFUSED = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.ETXTBSY, errno.ENOENT, errno.ELOOP)
_LONGEST = 255 - len(".12345678_12345")


class CannotMoveAside(Exception):
    """What stands in an original's place stays there. The message says why."""


class Damaged:
    """The damaged originals of one vault that were moved aside."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        # The second is used where the originals are on a filesystem of their own: a rename does not leave one.
        self._folders = (storage / ".factory" / "damaged", storage / "Originals" / DAMAGED)

    def move_aside(self, final_path: str, rotten: Rotten) -> str:
        """Moves durably aside what was judged rotten, and nothing else; its new path, relative to the storage root.

        Call under the vault's lock. Raises CannotMoveAside, VaultTrouble, and NotAnOriginal for a path that is none.
        """
        relative = checked_path(final_path).partition("/")[2]
        day, name = relative.split("/")[1:]
        for folder in self._folders:
            try:
                kept_at = self._move(relative, rotten, folder / day, f"{_cut(name)}.{rotten.sha256[:8] or 'unread'}")
            except OSError as error:
                if error.errno == errno.EXDEV:
                    with contextlib.suppress(OSError):
                        (folder / day).rmdir()
                    continue
                if error.errno in _REFUSED:
                    raise CannotMoveAside(f"{final_path} cannot be moved aside: {error.strerror}") from error
                raise VaultTrouble.from_os(error, f"move {final_path} to {folder}") from error
            return os.path.relpath(kept_at, self._storage)
        raise CannotMoveAside(f"{final_path} cannot be moved aside: it is on a filesystem of its own")

    def has(self, status: os.stat_result) -> bool:
        """Whether a file is one of them, under another name. Raises OSError."""
        for folder in self._folders:
            for day in _entries(folder):
                for entry in _entries(day.path):
                    if entry.inode() == status.st_ino and os.path.samestat(entry.stat(follow_symlinks=False), status):
                        return True
        return False

    def _move(self, relative: str, rotten: Rotten, folder: Path, name: str) -> Path:
        """Raises OSError; EXDEV where the folder is on another filesystem."""
        _make_durably(folder)
        originals = open_folder(self._storage / "Originals")
        target = open_folder(folder)
        try:
            with parent_beneath(originals, relative) as (source, old_name):
                if FileState.of(os.stat(old_name, dir_fd=source, follow_symlinks=False)) != rotten.state:
                    raise CannotMoveAside(f"Originals/{relative} has changed since it was looked at")
                for number in range(10_000):
                    new_name = f"{name}_{number}" if number else name
                    try:
                        rename_unless_taken_at(source, old_name, target, new_name)
                        break
                    except FileExistsError:
                        continue
                else:
                    raise CannotMoveAside(f"{folder} is full of files of that name; look at them and remove them")
                with vault_trouble(f"sync {folder}"):
                    fsync_folder(folder)
                    fsync_folder(self._storage / "Originals" / os.path.dirname(relative))
                return folder / new_name
        finally:
            os.close(target)
            os.close(originals)

    def listed(self) -> list[str]:
        """All that was moved aside and is still there: paths relative to the storage root. Raises OSError."""
        return sorted(
            os.path.relpath(path, self._storage)
            for folder in self._folders
            for day in _below(folder)
            for path in _below(day)
        )


def _cut(name: str) -> str:
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return name


def _make_durably(folder: Path) -> None:
    """Only this user may look into it: photos are private."""
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        fsync_folder(each.parent)


def _below(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
