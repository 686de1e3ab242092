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

from sqlalchemy import update
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
from Src.Shared.disk.making import PRIVATE, make_folder, read_only
from Src.Shared.disk.syncing import fsync_path
from Src.Shared.disk.whole_file import write_whole
from Src.Shared.ledger_text import from_ledger, int8, plain_text, to_ledger
from Src.Shared.models import IngestEvent, MediaAsset, new_id

_USUAL_MODE = 0o440
_CHANGED = "its row, or what stands there, is another by now; run verify again"
_TAKEN = "another file stands there, under its name or one that differs in capitals only"


class PutRight(NamedTuple):
    """It stands at its place."""

    words: str
    kept_at: str | None = None  # where that is which stood in its place, relative to the storage root
    followed_to: str | None = None  # its new place, where the row follows the file


class Stays(NamedTuple):
    """Nothing of it was changed but what the reason says."""

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
        go_on: GoOn,
    ) -> None:
        """`root`: the folder of all originals, open. `journaled`: paths of originals whose rows are still to come."""
        self._vault = vault
        self._root = root
        self._rows = rows
        self._sessions = sessions
        self._journaled = journaled
        self._go_on = go_on
        self._staging = Staging(vault.storage)
        self._kept: dict[str, str] = {}

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
                    return Stays(f"{to_ledger(source.name)} has no file with its bytes")
                with vault_trouble(f"write {item.path}"):
                    if not self._is_finished(item, staged, fetched):
                        return Stays(f"what {to_ledger(source.name)} has under its name are other bytes")
                try:
                    with self._vault.lock():
                        return self._replace(item, staged, fetched)
                except CannotMoveAside as problem:
                    return Stays(str(problem))
                except OSError as error:
                    if error.errno != errno.EXDEV or not self._staging.move_on():
                        raise VaultTrouble.from_os(error, f"put {item.path} into its place") from error

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
        """Raises OSError: EXDEV; CannotMoveAside."""
        if not self._has_same_row(item):
            return Stays(_CHANGED)
        parent, name = os.path.split(item.path)
        verdict = self._vault.verdict(item.path, item.sha256, item.size)
        if isinstance(verdict, Living):
            return PutRight("somebody else has put it right")
        if isinstance(verdict, Unknown):
            return Stays(verdict.reason)
        if self._vault.folder(parent).holder(name) not in (None, name):
            return Stays(_TAKEN)
        note = self._note(item, fetched, verdict.reason if isinstance(verdict, Rotten) else "")
        if isinstance(verdict, Rotten):
            self._kept[item.path] = self._vault.put_away(item.path, verdict)
        kept_at = self._kept.get(item.path)
        try:
            is_placed = self._vault.take_free_place(staged.folder, staged.name, item.path)
        except OSError:  # on another filesystem
            note.unlink()
            raise
        if not is_placed:
            note.unlink()
            return Stays(_TAKEN + _aside(kept_at))
        self._tell(note, kept_at)
        return PutRight(f"it was restored from {to_ledger(fetched.where)}{_aside(kept_at)}", kept_at)

    def _has_same_row(self, item: Item) -> bool:
        rows = self._rows.originals([item.id]) if item.companion is None else self._rows.companions([item.id])
        return len(rows) == 1 and item.is_same(rows[0])

    # Events

    def _note(self, item: Item, fetched: Fetched, damage: str) -> Path:
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
            uuid.UUID(said["id"])
        except (ValueError, KeyError, TypeError):  # torn by no kill of ours: it says nothing
            note.unlink()
            return
        if isinstance(self._vault.verdict(path, sha256, size), Living):
            self._tell(note, None)
        else:  # it did not come that far
            note.unlink()

    def _tell(self, note: Path, kept_at: str | None) -> None:
        """Writes the event once, and lets the note go."""
        said: dict[str, Any] = json.loads(note.read_bytes())
        message = "it had gone from the vault; good bytes from elsewhere took its place (verify --restore-from)"
        if said["damage"]:
            message = f"good bytes from elsewhere took its place (verify --restore-from), for {said['damage']}"
        message += _aside(kept_at)
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
        with contextlib.suppress(OSError):
            note.unlink()

    # A mode

    def make_read_only(self, item: Item) -> PutRight | Stays:
        """Nobody may write to it any more, and its owner may read it."""
        relative = item.path.partition("/")[2]
        with self._vault.lock():
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
        """Moves a file back to its place; or, where it got another name in its own day's folder and nothing belongs to
        it, has the row follow it. `standing`: where the same bytes stand, relative to the storage root."""
        with self._vault.lock():
            if not self._has_same_row(item):
                return Stays(_CHANGED)
            if not isinstance(self._vault.verdict(item.path, item.sha256, item.size), Gone):
                return Stays("something stands in its place again; run verify again")
            if self._rows.named([standing]) or standing in self._journaled():
                return Stays(f"{to_ledger(standing)} is another original by now")
            try:
                if not self._holds(standing, item):
                    return Stays(f"{to_ledger(standing)} has other bytes by now")
                if self._may_follow(item, standing) and self._follow(item, standing):
                    return PutRight(f"the database follows it to {to_ledger(standing)}", followed_to=standing)
                return self._move_back(item, standing)
            except OSError as error:
                return Stays(f"{to_ledger(standing)} cannot be moved back: {error.strerror}")

    def _holds(self, standing: str, item: Item) -> bool:
        """Raises OSError."""
        fd = open_beneath(self._root, standing.partition("/")[2], OPEN_FLAGS)
        try:
            before = FileState.of(os.fstat(fd))
            found = sha256_past_cache(fd, self._go_on)
            return found == (item.sha256, item.size) and FileState.of(os.fstat(fd)) == before
        finally:
            os.close(fd)

    def _may_follow(self, item: Item, standing: str) -> bool:
        """A name that a person gave. What belongs to an original is named after it: there the row's name counts."""
        is_of_day = is_path(standing) and os.path.dirname(standing) == os.path.dirname(item.path)
        return item.companion is None and is_of_day and not self._rows.beside([item])

    def _follow(self, item: Item, standing: str) -> bool:
        new = update(MediaAsset).where(MediaAsset.id == item.id, MediaAsset.final_path == item.text)
        with self._sessions() as session:
            done = session.execute(new.values(final_path=to_ledger(standing)).returning(MediaAsset.id))
            return done.first() is not None

    def _move_back(self, item: Item, standing: str) -> PutRight | Stays:
        """Raises OSError."""
        same_folder = os.path.dirname(standing) == os.path.dirname(item.path)
        with parent_beneath(self._root, standing.partition("/")[2]) as (folder, name):
            if not self._vault.take_free_place(folder, name, item.path, name if same_folder else None):
                return Stays(_TAKEN)
            fsync_path(".", os.O_DIRECTORY, dir_fd=folder)
        return PutRight(f"it was moved back from {to_ledger(standing)}")


def _aside(kept_at: str | None) -> str:
    return "" if kept_at is None else f"; what stood there is at {to_ledger(kept_at)}"


def _mtime(item: Item, fetched: Fetched) -> int | None:
    """That with which its bytes were right."""
    return item.mtime_ns if item.mtime_ns is not None else fetched.mtime_ns
