"""Files of the vault and the trash go from one path to another: by a rename, never over anything, durably.

Whoever moves has written down in the ledger before (`file_moves`) what goes where. So every step can be repeated: a
file stands at one of two places that are known, and whoever comes next sees at which.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from Src.Library.open_places import OpenPlaces
from Src.Library.original_path import is_in_trash
from Src.Library.vault import Vault
from Src.Library.vault_folder import VaultFolder
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Library.verdict import Living
from Src.Shared.disk.beneath import rename_unless_taken_at
from Src.Shared.disk.filesystem import syncs_by_syncfs
from Src.Shared.disk.syncing import fsync_path

logger = logging.getLogger(__name__)

_FEW_FOLDERS = 16  # that are synced one by one; of more, one `syncfs` costs less
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)
# Not one file's fault: the others would fare no better.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class Move(NamedTuple):
    """One file that is to move. Paths are relative to the storage root, as on disk."""

    id: uuid.UUID
    act_id: uuid.UUID
    file_hash: str  # of the original; a companion has that of its own original
    size: int
    from_path: str
    to_path: str | None  # None: it goes for good
    companion: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """It is where it was to go, and durable there."""


@dataclass(frozen=True, slots=True)
class Stays:
    """It is where it was, or nowhere. The reason is one line."""

    reason: str
    is_of_the_disk: bool = False  # nothing else can be moved now
    is_taken: bool = False  # somebody else's file has got the name meanwhile


Answer = Moved | Stays


class Mover:
    """Renames files. To be used under the vault's lock."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def carry_out(self, moves: Sequence[Move], *, again: bool = False) -> list[Answer]:
        """Moves files, in order. `again`: a run before this one may have moved some of them already.

        Raises VaultTrouble where nobody can say what is on disk now: then the same moves are to be carried out again.
        """
        with (
            vault_trouble(f"move files in {self._vault.storage}"),
            OpenPlaces(self._vault.storage) as places,
        ):
            targets = _Targets(self._vault)
            answers: list[Answer] = []
            staying: dict[tuple[uuid.UUID, str], Stays] = {}  # what belongs to an original that stays, stays with it
            for move in moves:
                whose = (move.act_id, move.file_hash)
                answer = staying.get(whose) or self._carry_out(move, places, targets, again)
                answers.append(answer)
                if isinstance(answer, Stays) and move.companion is None:
                    staying[whose] = answer
            done = [move for move, answer in zip(moves, answers, strict=True) if isinstance(answer, Moved)]
            self._sync(done, places, targets)
            targets.settle()
        return answers

    def _carry_out(self, move: Move, places: OpenPlaces, targets: _Targets, again: bool) -> Answer:
        try:
            folder, name = places.parent(move.from_path)
            status = os.lstat(name, dir_fd=folder)
        except OSError as error:
            if again and self._is_there(move, places):
                return Moved()
            if error.errno in _NOT_THERE:
                return Stays("it is not in its place; see ./factory status")
            return Stays(f"it cannot be looked at: {error.strerror}")
        if not stat.S_ISREG(status.st_mode) or status.st_size != move.size:
            return Stays("something else stands in its place; see ./factory status")
        try:
            if move.to_path is None:
                os.unlink(name, dir_fd=folder)
            else:
                self._rename(move, folder, name, targets, again)
        except FileExistsError:
            return Stays("another file has got its name meanwhile", is_taken=True)
        except FileNotFoundError:
            return Stays("it is not in its place any more")
        except VaultTrouble as trouble:  # the folder that it should go to
            return Stays(str(trouble))
        except OSError as error:
            if error.errno == errno.EXDEV:
                return Stays(f"{os.path.dirname(move.to_path or '')} is on another filesystem than the file")
            return Stays(f"it cannot be moved: {error.strerror}", error.errno in _OF_THE_DISK)
        if move.to_path is not None:
            targets.moved(move.from_path, move.to_path, status.st_ino)
        return Moved()

    def _rename(self, move: Move, folder: int, name: str, targets: _Targets, again: bool) -> None:
        assert move.to_path is not None
        target, new_name = targets.of(move.to_path), os.path.basename(move.to_path)
        try:
            rename_unless_taken_at(folder, name, target.fd, new_name)
        except FileExistsError:
            if not again or not _is_reserved(target.fd, new_name, move.size):
                raise
            # Where the filesystem knows no rename that spares, the run that was killed had reserved the name.
            os.unlink(new_name, dir_fd=target.fd)
            rename_unless_taken_at(folder, name, target.fd, new_name)

    def _is_there(self, move: Move, places: OpenPlaces) -> bool:
        """Whether a run that was killed has moved it."""
        if move.to_path is None:
            return True
        try:
            status = places.lstat(move.to_path)
        except OSError:
            return False
        if not stat.S_ISREG(status.st_mode) or status.st_size != move.size:
            return False
        if move.companion is not None:
            return True
        return isinstance(self._vault.verdict(move.to_path, move.file_hash, move.size), Living)

    def _sync(self, moves: Sequence[Move], places: OpenPlaces, targets: _Targets) -> None:
        """The new names first: a file may have two after a power cut, and never none. Raises OSError, VaultTrouble."""
        new = {os.path.dirname(move.to_path) for move in moves if move.to_path is not None}
        old = {os.path.dirname(move.from_path) for move in moves} - new
        if len(new) + len(old) > _FEW_FOLDERS and syncs_by_syncfs(self._vault.originals):
            self._vault.sync()
            return
        for path in sorted(new):
            target = targets.of(f"{path}/any")
            above = ("..", "../..", "../../..") if is_in_trash(path) else ("..", "../..")
            for way in (".", *above):  # a folder that was just made needs its name too
                fsync_path(way, os.O_DIRECTORY, dir_fd=target.fd)
        for path in sorted(old):
            folder, _ = places.parent(f"{path}/any")
            fsync_path(".", os.O_DIRECTORY, dir_fd=folder)

    def remove_empty(self, folders: Iterable[str]) -> list[str]:
        """Removes days' folders in which nothing stands any more, and their years'; those that went.

        A folder with a stranger in it stays.
        """
        gone: list[str] = []
        with OpenPlaces(self._vault.storage) as places:
            for day in sorted(set(folders)):
                for folder in (day, os.path.dirname(day)):
                    if not _removed(places, folder):
                        break
                    gone.append(folder)
        return gone


class _Targets:
    """The folders that files go to, each opened once."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._folders: dict[str, VaultFolder | VaultTrouble] = {}

    def of(self, path: str) -> VaultFolder:
        """The folder of a path, made where it is missing. Raises VaultTrouble, for the same folder each time."""
        name = os.path.dirname(path)
        found = self._folders.get(name)
        if found is None:
            try:
                found = self._vault.folder(name)
            except VaultTrouble as trouble:
                found = trouble
            self._folders[name] = found
        if isinstance(found, VaultTrouble):
            raise found
        return found

    def moved(self, from_path: str, to_path: str, inode: int) -> None:
        old = self._folders.get(os.path.dirname(from_path))
        if isinstance(old, VaultFolder):
            old.remove(os.path.basename(from_path), inode)
        self.of(to_path).add(os.path.basename(to_path), inode)

    def settle(self) -> None:
        """What is known of the names in them holds. Raises VaultTrouble."""
        for folder in self._folders.values():
            if isinstance(folder, VaultFolder):
                folder.changed_only_by_us()


def _is_reserved(folder: int, name: str, size: int) -> bool:
    """An original is never empty."""
    status = os.lstat(name, dir_fd=folder)
    return size > 0 and stat.S_ISREG(status.st_mode) and status.st_size == 0


def _removed(places: OpenPlaces, folder: str) -> bool:
    try:
        above, name = places.above(folder)
    except OSError:
        return False
    try:
        os.rmdir(name, dir_fd=above)
        fsync_path(".", os.O_DIRECTORY, dir_fd=above)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, *_NOT_THERE):
            logger.warning("the folder %s stays: %s", folder, error.strerror)
        return error.errno in _NOT_THERE  # its year may be left
    finally:
        os.close(above)
    return True
