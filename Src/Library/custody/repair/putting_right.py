"""One file of the vault is put right: whole or not at all, durably, under the vault's lock.

Good bytes are complete, hashed and on the disk before anything is moved. What stands in the place is asked once more
then (promise 4), goes to `damaged` by a rename, and the good file gets the place by another. Killed between the two,
the original is one that has gone, and the next run puts it there. A note says what is about to be done, so that its
event is written however a run ends.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy.dialects.postgresql import insert

from Src.Library.custody.item import Item
from Src.Library.custody.past_cache import sha256_past_cache
from Src.Library.custody.repair.good_bytes import Fetched, GoodBytes, GoOn
from Src.Library.custody.repair.staging import Staged, Staging
from Src.Library.custody.rows import Rows, Sessions
from Src.Library.damaged import CannotMoveAside
from Src.Library.original_path import is_path
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Library.verdict import Gone, Living, Rotten, Unknown
from Src.Shared.disk.beneath import lstat_beneath, open_beneath, parent_beneath
from Src.Shared.disk.files import OPEN_FLAGS, FileState
from Src.Shared.disk.filesystem import is_one_mount
from Src.Shared.disk.making import PRIVATE, make_folder, read_only
from Src.Shared.disk.syncing import fsync_path
from Src.Shared.disk.whole_file import write_whole
from Src.Shared.ledger_text import from_ledger, int8, plain_text, to_ledger
from Src.Shared.models import IngestEvent, new_id

_USUAL_MODE = 0o440
_CHANGED = "its row, or what stands there, is another by now; run verify again"
_TAKEN = "another file stands there, under its name or one that differs in capitals only"
_MOVING = "an act that moves it is not done yet; let the factory finish it, and run verify again"
_ON_ITS_OWN = "its folder is on a filesystem of its own, into which nothing can be renamed"
# One folder's: the other files have nothing to do with it.
_REFUSED = (errno.EXDEV, errno.EACCES, errno.EPERM, errno.ELOOP)


class PutRight(NamedTuple):
    """It stands at its place."""

    words: str


class Stays(NamedTuple):
    """Nothing of it was changed but what the reason says, and `kept_aside`."""

    why: str


class Repairer:
    """Of one vault. All of it raises VaultTrouble, and LedgerUnavailable; what `go_on` raises ends it."""

    def __init__(
        self,
        vault: Vault,
        root: int,
        rows: Rows,
        sessions: Sessions,
        journaled: Callable[[], set[str]],
        check_here: Callable[[], None],
        kept_aside: dict[str, str],
        go_on: GoOn,
    ) -> None:
        """`root`: the folder of all originals, open. `journaled`: paths of originals whose rows are still to come.
        `check_here`: raises VaultTrouble where `root` is not the vault any more. `kept_aside`: gets, for each item's
        path, where that is which stood in its place (relative to the storage root), whatever happens then."""
        self._vault = vault
        self._root = root
        self._rows = rows
        self._sessions = sessions
        self._journaled = journaled
        self._check_here = check_here
        self._kept_aside = kept_aside
        self._go_on = go_on
        self._staging = Staging(vault.storage)
        self._damage: dict[str, str] = {}  # of what was put away, and has no good bytes in its place yet

    def take_up(self) -> None:
        """Finishes what killed runs have begun: their files under way go, their events are written."""
        with self._vault.lock(), vault_trouble(f"look into {self._staging.notes}"):
            self._staging.clean_up()
            notes = self._staging.notes
            for path in [notes / one for one in os.listdir(notes)] if notes.is_dir() else []:
                if path.suffix == ".json":
                    self._take_up(path)

    # Good bytes from elsewhere

    def restore(self, item: Item, source: GoodBytes) -> PutRight | Stays:
        """Fetches an item's bytes and puts them into its place. Raises SourceTrouble too."""
        if item.may_change:
            return Stays("programs write into it, and what people decided is in the database")
        if not is_path(item.path):
            return Stays("its path in the database is none of the vault's")
        while True:
            with self._staging.new() as staged:
                fetched = source.fetch(item, staged.fd, self._go_on)
                if fetched is None:
                    could = f" that could be read; {to_ledger(source.trouble)}" if source.trouble else ""
                    return Stays(f"{to_ledger(source.name)} has no file with its bytes{could}")
                with vault_trouble(f"write {item.path}"):
                    if not self._is_finished(item, staged, fetched):
                        return Stays(f"what {to_ledger(source.name)} has under its name are other bytes")
                try:
                    with self._vault.lock():
                        return self._replace(item, staged, fetched)
                except _OtherMount:
                    if not self._staging.move_on():
                        return Stays(_ON_ITS_OWN)

    def _is_finished(self, item: Item, staged: Staged, fetched: Fetched) -> bool:
        """Whether the file under way has the bytes, as the disk has them. Raises OSError."""
        mtime_ns = _mtime(item, fetched)
        if mtime_ns is not None:
            with contextlib.suppress(PermissionError, OverflowError):
                os.utime(staged.fd, ns=(mtime_ns, mtime_ns))
        with contextlib.suppress(PermissionError):  # where the mount decides
            os.fchmod(staged.fd, read_only(self._mode(item, fetched) & 0o666))
        os.fsync(staged.fd)
        sha256, size = sha256_past_cache(staged.fd, self._go_on)
        return (sha256, size) == (item.sha256, item.size)

    def _mode(self, item: Item, fetched: Fetched) -> int:
        """Of what stands in its place; where that is no file, of the one that was fetched."""
        with contextlib.suppress(OSError):
            status = lstat_beneath(self._root, item.path.partition("/")[2])
            if stat.S_ISREG(status.st_mode):
                return status.st_mode
        return _USUAL_MODE if fetched.mode is None else fetched.mode

    def _replace(self, item: Item, staged: Staged, fetched: Fetched) -> PutRight | Stays:
        """Raises _OtherMount, before anything is moved."""
        if (why := self._may_not_move(item)) is not None:
            return Stays(why)
        verdict = self._vault.verdict(item.path, item.sha256, item.size)
        if isinstance(verdict, Living):
            return PutRight("somebody else has put it right")
        if isinstance(verdict, Unknown):
            return Stays(verdict.reason)
        if isinstance(verdict, Gone) and (why := self._year_is_away(item)) is not None:
            return Stays(why)
        parent, name = os.path.split(item.path)
        try:
            folder = self._vault.folder(parent)
            if folder.holder(name) not in (None, name):
                return Stays(_TAKEN)
            if not is_one_mount(staged.folder, folder.fd):
                raise _OtherMount
            if not staged.is_there():
                return Stays("its good bytes were removed before they got its place; run verify again")
            return self._exchange(item, staged, fetched, verdict)
        except CannotMoveAside as problem:
            return Stays(str(problem))
        except (OSError, VaultTrouble) as problem:
            return self._stays(problem, item)

    def _exchange(self, item: Item, staged: Staged, fetched: Fetched, verdict: Rotten | Gone) -> PutRight | Stays:
        """Raises OSError, VaultTrouble and CannotMoveAside. No note is left of what was not done."""
        damage = verdict.reason if isinstance(verdict, Rotten) else self._damage.get(item.path, "")
        note = self._note(item, staged, fetched, damage)
        try:
            if isinstance(verdict, Rotten):
                self._kept_aside[item.path] = self._vault.put_away(item.path, verdict)
                self._damage[item.path] = damage
            is_placed = self._vault.take_free_place(staged.folder, staged.name, item.path)
        except (OSError, VaultTrouble, CannotMoveAside):
            if staged.is_there():  # else it is in its place, and only that was not synced: the next run says so
                _remove(note)
            raise
        if not is_placed:
            _remove(note)
            return Stays(_TAKEN + self._aside(item.path))
        self._tell(note)
        return PutRight(f"it was restored from {to_ledger(fetched.where)}{self._aside(item.path)}")

    def _may_not_move(self, item: Item) -> str | None:
        """Why not, under the vault's lock. Raises VaultTrouble where the vault is not here."""
        self._check_here()
        if not self._has_same_row(item):
            return _CHANGED
        return _MOVING if self._rows.is_moving(item.sha256, item.path) else None

    def _year_is_away(self, item: Item) -> str | None:
        """A year's folder may be a disk of its own: where that is away, the mount point is there, and empty."""
        year = item.path.split("/")[1]
        try:
            fd = open_beneath(self._root, year, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:  # there is none, or what makes one says why it cannot
            return None
        try:
            is_empty = not os.listdir(fd)
        except OSError as error:
            return f"Originals/{year} cannot be looked at: {error.strerror}"
        finally:
            os.close(fd)
        if not is_empty or not self._rows.has_more_of_year(item):
            return None
        return (
            f"Originals/{year} is empty, and the database has more of that year: is its disk mounted? "
            "If all of it is lost, remove the empty folder (rmdir), and run verify again"
        )

    def _stays(self, problem: OSError | VaultTrouble, item: Item) -> Stays:
        """Where the problem is that of one folder. Raises VaultTrouble of any other one."""
        error = problem if isinstance(problem, OSError) else problem.__cause__
        if isinstance(error, OSError) and error.errno in _REFUSED:
            words = f"its place cannot be used: {error.strerror}" if problem is error else str(problem)
            return Stays(words + self._aside(item.path))
        if isinstance(problem, OSError):
            raise VaultTrouble.from_os(problem, f"put {item.path} into its place") from problem
        raise problem

    def _aside(self, path: str) -> str:
        kept_at = self._kept_aside.get(path)
        return "" if kept_at is None else f"; what stood there is at {to_ledger(kept_at)}"

    def _has_same_row(self, item: Item) -> bool:
        rows = self._rows.originals([item.id]) if item.companion is None else self._rows.companions([item.id])
        return len(rows) == 1 and item.is_same(rows[0])

    # Events

    def _note(self, item: Item, staged: Staged, fetched: Fetched, damage: str) -> Path:
        path = self._staging.notes / f"{new_id().hex}.json"
        said = {
            "id": str(new_id()),
            "fate": "restored" if item.companion is None else "companion",
            "from": to_ledger(fetched.where),
            "path": item.text,
            "sha256": item.sha256,
            "size": item.size,
            "mtime_ns": None if (mtime_ns := _mtime(item, fetched)) is None else int8(mtime_ns),
            "damage": to_ledger(damage),
            "inode": os.fstat(staged.fd).st_ino,
        }
        try:
            make_folder(path.parent, PRIVATE)
            write_whole(path, json.dumps(said).encode())
        except OSError as error:
            raise VaultTrouble.from_os(error, f"write {path}") from error
        return path

    def _take_up(self, note: Path) -> None:
        """Raises OSError."""
        try:
            said = json.loads(note.read_bytes())
            path, sha256, size = from_ledger(said["path"]), str(said["sha256"]), int(said["size"])
            inode, damage = int(said["inode"]), from_ledger(said["damage"])
            uuid.UUID(said["id"])
        except (ValueError, KeyError, TypeError):  # torn by no kill of ours: it says nothing
            note.unlink()
            return
        verdict = self._vault.verdict(path, sha256, size)
        if isinstance(verdict, Unknown):  # the next run asks again: it may stand there
            return
        if isinstance(verdict, Living) and verdict.state.inode == inode:
            self._tell(note)
            return
        if isinstance(verdict, Gone) and damage:  # it was put away, and that is all
            self._damage[path] = damage
        note.unlink()  # it did not come that far, whoever put there what stands there now

    def _tell(self, note: Path) -> None:
        """Writes the event once, and lets the note go."""
        said: dict[str, Any] = json.loads(note.read_bytes())
        message = "it had gone from the vault; good bytes from elsewhere took its place (verify --restore-from)"
        if said["damage"]:
            message = f"good bytes from elsewhere took its place (verify --restore-from), for {said['damage']}"
        message += self._aside(from_ledger(said["path"]))
        event = {
            "id": uuid.UUID(said["id"]),
            "happened_at": datetime.now(UTC),
            "fate": said["fate"],
            "source": "import",
            "original_name": os.path.basename(said["path"]),
            "original_path": said["from"],
            "file_hash": said["sha256"],
            "file_size": said["size"],
            "source_mtime_ns": said["mtime_ns"],
            "final_path": said["path"],
            "message": plain_text(message),
        }
        with self._sessions() as session:
            session.execute(insert(IngestEvent).values(**event).on_conflict_do_nothing(index_elements=["id"]))
        _remove(note)

    # A mode

    def make_read_only(self, item: Item) -> PutRight | Stays:
        """Nobody may write to it any more, and its owner may read it."""
        relative = item.path.partition("/")[2]
        with self._vault.lock():
            self._check_here()
            if not self._has_same_row(item):
                return Stays(_CHANGED)
            try:
                fd = open_beneath(self._root, relative, os.O_PATH)
                try:
                    mode = os.fstat(fd).st_mode
                    if not stat.S_ISREG(mode):
                        return Stays(_CHANGED)
                    os.chmod(f"/proc/self/fd/{fd}", read_only(mode))
                finally:
                    os.close(fd)
            except OSError as error:
                return Stays(f"its mode cannot be changed: {error.strerror}")
        return PutRight(f"its mode was {stat.S_IMODE(mode):04o}")

    # What a person has moved

    def accept_move(self, item: Item, standing: str) -> PutRight | Stays:
        """Moves a file back to its place. `standing`: where the same bytes stand, relative to the storage root.

        The row never follows it: what belongs to an original is named after it, and no path is used twice (promise 1).
        """
        with self._vault.lock():
            if (why := self._may_not_move(item) or self._year_is_away(item)) is not None:
                return Stays(why)
            if not isinstance(self._vault.verdict(item.path, item.sha256, item.size), Gone):
                return Stays("something stands in its place again; run verify again")
            if self._rows.named([standing]) or standing in self._journaled():
                return Stays(f"{to_ledger(standing)} is another original by now")
            try:
                if not self._holds(standing, item):
                    return Stays(f"{to_ledger(standing)} has other bytes by now")
                return self._move_back(item, standing)
            except OSError as error:
                return Stays(f"{to_ledger(standing)} cannot be moved back: {error.strerror}")
            except VaultTrouble as trouble:
                return self._stays(trouble, item)

    def _holds(self, standing: str, item: Item) -> bool:
        """Raises OSError."""
        fd = open_beneath(self._root, standing.partition("/")[2], OPEN_FLAGS)
        try:
            before = FileState.of(os.fstat(fd))
            found = sha256_past_cache(fd, self._go_on)
            return found == (item.sha256, item.size) and FileState.of(os.fstat(fd)) == before
        finally:
            os.close(fd)

    def _move_back(self, item: Item, standing: str) -> PutRight | Stays:
        """Raises OSError."""
        same_folder = os.path.dirname(standing) == os.path.dirname(item.path)
        with parent_beneath(self._root, standing.partition("/")[2]) as (folder, name):
            if not self._vault.take_free_place(folder, name, item.path, name if same_folder else None):
                return Stays(_TAKEN)
            fsync_path(".", os.O_DIRECTORY, dir_fd=folder)
        return PutRight(f"it was moved back from {to_ledger(standing)}")


class _OtherMount(Exception):
    """The good bytes are on another filesystem, or another mount of it, than their place."""


def _remove(note: Path) -> None:
    with contextlib.suppress(OSError):
        note.unlink()


def _mtime(item: Item, fetched: Fetched) -> int | None:
    """That with which its bytes were right."""
    return item.mtime_ns if item.mtime_ns is not None else fetched.mtime_ns
