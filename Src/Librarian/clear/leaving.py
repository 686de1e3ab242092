"""Leaving: a filed inbox file is renamed out of the inbox, and goes for good only after a grace.

An unlink cannot be taken back. Whoever opened the file just then, or put another in its place, would lose what they
write. A rename loses nothing: afterwards there is time to see what was taken, and to see for minutes (for hours, where
the kernel does not say who writes) that it stays as it was filed. Whatever is not, comes back into the inbox under the
next free name. Before the last copy goes the kept one is read.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from Src.Librarian.clear import leaving_notes, leaving_recovery
from Src.Librarian.clear.clearing import Cleared, Filed, Originals, may_go, stands
from Src.Librarian.clear.leaving_notes import Note, Notes, Taken
from Src.Librarian.clear.leaving_places import Places, opened_place
from Src.Librarian.clear.leaving_recovery import Found
from Src.Librarian.clear.leaving_register import Entry, Register
from Src.Librarian.clear.returning import bring_back
from Src.Library.leaving import FOLDER
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Library.verdict import Living, Unknown
from Src.Shared.disk.files import FileState, NotARegularFile, open_regular, sha256_of
from Src.Shared.disk.leases import ReadLease
from Src.Shared.disk.top import parent_below

logger = logging.getLogger(__name__)

_MOST_READ = 500  # files that wait to be read at a time
_LONGEST_TURN = 0.2  # seconds: the inbox is served meanwhile
_CHANGED = "it was changed after it was filed"


class LeavingFiles:
    """The files that leave one inbox."""

    def __init__(
        self,
        vault: Vault,
        inbox: Path,
        *,
        grace: float,
        grace_without_lease: float,
        disk_warning: float = 0.0,
        look_interval: float = 60.0,
        kept_now: Callable[[str], str | None] = lambda _: None,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`disk_warning`: percent free, below which they go sooner. `look_interval`: between looks at what changes.

        `kept_now`: where the original of a hash is kept by now, relative to the storage root; None: nowhere. It raises
        VaultTrouble while nobody knows.
        """
        self._vault = vault
        self._inbox = str(inbox.resolve())
        self._grace = grace
        self._grace_without_lease = max(grace, grace_without_lease)
        self._disk_warning = disk_warning
        self._look_interval = look_interval
        self._kept_now = kept_now
        self._steady, self._wall = steady, wall
        self._folder = leaving_recovery.folder_for(vault.state / FOLDER, self._inbox)
        self._notes = Notes(self._folder)
        self._register = Register(str(self._folder))
        self._reading: dict[str, Future[FileState | None]] = {}
        self._to_remove: set[str] = set()  # of those that are being read: the others have only been touched
        self._due: list[tuple[float, bytes]] = []  # with entries' keys
        self._first_place: dict[int, int] = {}  # device -> the first of `_places` that takes its files
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="leaving")
        self._interrupted = threading.Event()
        self._next_look = 0.0
        self._next_try = 0.0  # after trouble with the vault
        self._came_back: list[str] = []

    def __len__(self) -> int:
        return len(self._register)

    def interrupt(self) -> None:
        """From another thread or a signal handler: a long reading is given up."""
        self._interrupted.set()

    def close(self) -> None:
        """Ends the reading thread. What is kept aside waits for the next start."""
        self.interrupt()
        self._reader.shutdown(cancel_futures=True)

    def came_back(self) -> list[str]:
        """Paths at which files were put into the inbox since this was last asked."""
        paths, self._came_back = self._came_back, []
        return paths

    def is_finishing(self) -> bool:
        """Whether any file is to go for good now, and has not yet."""
        now = self._steady()
        if now < self._next_try:
            return False
        return bool(self._reading) or bool(self._due and self._due[0][0] <= now)

    # Out of the inbox

    def take(self, batch: Sequence[Filed]) -> list[Cleared]:
        """Takes files out of the inbox whose content is safe in the vault, each if it is still what was filed.

        "not_now": it is not what was filed any more, or is being written to, or the vault has gone: to be asked again.
        "stays": it cannot be taken.
        """
        if not batch:
            return []
        try:
            leaving_recovery.make_folder(self._folder, self._inbox)
            places = Places(str(self._folder), self._inbox, self._first_place)
            with places, Originals(self._vault) as originals:
                return self._take_all(batch, places, originals)
        except FileNotFoundError:  # the vault has gone
            return ["not_now"] * len(batch)
        except OSError as error:
            logger.warning("files are filed, but cannot be removed: %s: %s", self._folder, error.strerror)
            return ["stays"] * len(batch)

    def _take_all(self, batch: Sequence[Filed], places: Places, originals: Originals) -> list[Cleared]:
        names = self._notes.next_names([one.file.name for one in batch])
        now = self._wall()
        notes = [
            Note(name, one.file.original_path, one.kept_path, one.sha256, one.file.state, now)
            for name, one in zip(names, batch, strict=True)
        ]
        try:
            self._notes.write(notes)
            self._register.add_segment(str(self._folder), leaving_notes.segment_of(names[0]))
        except OSError as error:  # they are known to us for as long as we live, and come back after that
            logger.warning("what leaves the inbox cannot be noted in %s: %s", self._folder, error)
        taken: list[Taken] = []
        cleared = [self._take(one, note, places, originals, taken) for one, note in zip(batch, notes, strict=True)]
        if taken:
            try:
                self._notes.confirm(taken)
            except OSError as error:  # they are read before they go
                logger.warning("what has left the inbox cannot be noted in %s: %s", self._folder, error)
        return cleared

    def _take(self, one: Filed, note: Note, places: Places, originals: Originals, taken: list[Taken]) -> Cleared:
        file = one.file
        try:
            with parent_below(file.top, file.path) as (folder, name):
                try:
                    return self._take_name(one, note, folder, name, places, originals, taken)
                except FileNotFoundError:
                    return "not_now" if stands(folder, name) else "gone"
        except FileNotFoundError:  # its folder is not there any more
            return "gone"
        except (NotARegularFile, BlockingIOError):
            return "not_now"
        except OSError as error:
            logger.warning("%s is filed, but cannot be removed: %s", file.original_path, error.strerror)
            return "stays"

    def _take_name(
        self,
        one: Filed,
        note: Note,
        folder: int,
        name: str,
        places: Places,
        originals: Originals,
        taken: list[Taken],
    ) -> Cleared:
        """Everything at one name in one open folder, wherever that has been moved to by now."""
        fd = open_regular(name, folder)
        try:
            with ReadLease(fd) as lease:
                kept = may_go(one, folder, name, originals, lease)
                if not isinstance(kept, os.stat_result):
                    return kept
                before = os.fstat(fd)
                place = places.take(before.st_dev, folder, name, note.name)
                after = os.lstat(note.name, dir_fd=place.fd)
                linked = os.path.samestat(after, kept)
                # What was renamed is what stood there then, which need not be what was looked at.
                same = os.path.samestat(before, after) and FileState.of(after).same_content(note.state)
                if not same or lease.somebody_waits():
                    logger.info("%s was changed meanwhile; it is read again", one.file.original_path)
                    self._came_back.append(bring_back(place.fd, note.name, self._inbox, note.original_path))
                    return "not_now"
                entry = Entry(note, place.path, self._steady(), after.st_ctime_ns, lease.given, linked)
                self._add(entry, str(self._folder))
                taken.append(Taken(note.name, after.st_ctime_ns, lease.given))
                return "gone"
        finally:
            os.close(fd)

    def _add(self, entry: Entry, notes: str) -> None:
        self._register.add(entry, notes)
        heapq.heappush(self._due, (self._due_at(entry), entry.key))

    def _due_at(self, entry: Entry) -> float:
        """Nobody can have written to an inode that is the original's, and read-only, but by its other name."""
        quick = entry.leased or entry.linked
        return entry.taken_at + (self._grace if quick else self._grace_without_lease)

    # What earlier runs have left

    def take_over(self) -> None:
        """Takes over what earlier runs have left. Raises VaultTrouble."""
        with vault_trouble(f"look at what leaves the inbox in {self._folder.parent}"):
            aside = leaving_recovery.look(self._folder.parent, self._inbox)
            for segment in aside.segments:
                self._register.add_segment(*segment)
            if aside.files:
                with Originals(self._vault) as originals:
                    for found in aside.files:
                        if found.name not in self._register:
                            self._add(self._entry_of(found, originals), found.notes)
            self._register.forget_segments()

    def _entry_of(self, found: Found, originals: Originals) -> Entry:
        note, state = found.note, FileState.of(found.status)
        if note is None:
            original = leaving_notes.name_in_inbox(found.name)
            logger.warning("%s/%s is not known to have been filed; it goes back", found.folder, found.name)
            note = Note(found.name, original, "", "", state, self._wall() - self._grace_without_lease)
        entry = Entry(note, found.folder, self._steady() - max(0.0, self._wall() - note.at))
        if found.taken is not None:
            entry.ctime_ns, entry.leased = found.taken.ctime_ns, found.taken.leased
        with contextlib.suppress(OSError, ValueError):
            entry.linked = bool(note.kept_path) and os.path.samestat(originals.lstat(note.kept_path), found.status)
        return entry

    # For good, or back

    def finish(self) -> None:
        """Removes what has been kept aside for long enough, and brings back what has changed. To be called often."""
        now = self._steady()
        looks = now >= max(self._next_look, self._next_try)
        if not looks and not self.is_finishing():
            return
        try:
            self._vault.check()
            with Originals(self._vault) as originals:
                self._finish_read(originals)
                if looks:
                    self._next_look = now + self._look_interval
                    self._look(originals)
                    self._make_room(originals)
                self._finish_due(originals, now)
        except (VaultTrouble, OSError) as trouble:  # the vault has gone: whoever files next says so
            logger.debug("what leaves the inbox cannot be finished with: %s", trouble)
            self._next_try = now + self._look_interval
            return
        self._register.forget_segments()

    def _finish_due(self, originals: Originals, now: float) -> None:
        end = time.monotonic() + _LONGEST_TURN
        while self._due and self._due[0][0] <= now and len(self._reading) < _MOST_READ and time.monotonic() < end:
            entry = self._register.get(heapq.heappop(self._due)[1])
            if entry is not None and entry.name in self._reading:
                self._to_remove.add(entry.name)
            elif entry is not None:
                self._finish(entry, originals)

    def _finish(self, entry: Entry, originals: Originals) -> None:
        """Removes an entry that is only another name of the original, or begins to read what must be read before."""
        note = entry.note
        try:
            with opened_place(entry.folder, self._inbox) as folder:
                status = os.lstat(note.name, dir_fd=folder)
                if not note.kept_path:
                    self._bring_back(entry, folder, "it is not known to have been filed")
                    return
                kept = self._kept(entry, originals)
                if kept is None:
                    self._bring_back(entry, folder, "what was filed is not in its place")
                    return
                if os.path.samestat(kept, status) and status.st_nlink > 1:
                    os.unlink(note.name, dir_fd=folder)
                    self._register.drop(entry)
                elif entry.has_changed(status):
                    self._bring_back(entry, folder, _CHANGED)
                else:
                    self._to_remove.add(note.name)
                    self._reading[note.name] = self._reader.submit(self._read, entry, entry.must_be_read(status))
        except FileNotFoundError:  # by another hand
            self._register.drop(entry)
        except (OSError, ValueError, NotARegularFile, VaultTrouble) as error:
            self._later(entry, str(error))

    def _kept(self, entry: Entry, originals: Originals) -> os.stat_result | None:
        """The original with an entry's content as it stands in the vault; None: it is not there.

        It need not stand where it did when the file left: a journal's replay drops a second copy, or moves one aside.
        """
        with contextlib.suppress(FileNotFoundError):
            return originals.lstat(entry.note.kept_path)
        path = self._kept_now(entry.note.sha256)
        if path is None:
            return None
        with contextlib.suppress(FileNotFoundError):
            status = originals.lstat(path)
            entry.is_kept_at(path)
            return status
        return None

    def _read(self, entry: Entry, itself: bool) -> FileState | None:
        """The state of a file while it had the bytes that the kept one has too; None: it had not, or that has not.

        `itself`: it must be read too, for it may have been changed unseen. Runs in a thread.
        """
        note = entry.note
        answer = self._vault.verdict(note.kept_path, note.sha256, note.state.size)
        if isinstance(answer, Unknown):
            raise OSError(answer.reason)
        if not isinstance(answer, Living):
            logger.error("%s is not what was filed; %s goes back into the inbox", note.kept_path, note.original_path)
            return None
        with opened_place(entry.folder, self._inbox) as folder:
            fd = open_regular(note.name, folder)
            try:
                state = FileState.of(os.fstat(fd))
                same = not itself or sha256_of(fd, self._go_on) == note.sha256
                return state if same else None
            finally:
                os.close(fd)

    def _go_on(self) -> None:
        if self._interrupted.is_set():
            raise VaultTrouble("stopped while a file that leaves the inbox was read; it stays")

    def _finish_read(self, originals: Originals) -> None:
        for name in [name for name, reading in self._reading.items() if reading.done()]:
            reading, entry, removes = self._reading.pop(name), self._register[name], name in self._to_remove
            self._to_remove.discard(name)
            try:
                with opened_place(entry.folder, self._inbox) as folder:
                    self._finish_one_read(entry, reading.result(), removes, folder, originals)
            except FileNotFoundError:
                self._register.drop(entry)
            except (OSError, ValueError, NotARegularFile, VaultTrouble) as error:
                self._later(entry, str(error))

    def _finish_one_read(
        self, entry: Entry, read: FileState | None, removes: bool, folder: int, originals: Originals
    ) -> None:
        """It goes if it is as it was read, and the kept one still in its place. `read`: None where they differ."""
        if read is not None and not removes:
            entry.ctime_ns, entry.leased = read.ctime_ns, False  # it is read once more before it goes
            return
        note = entry.note
        fd = open_regular(note.name, folder)
        try:
            with ReadLease(fd) as lease:
                status = os.fstat(fd)
                if read is None and status.st_nlink > 1 and self._vault.damaged.has(status):
                    os.unlink(note.name, dir_fd=folder)  # another name of an original that rotted and is kept there
                    self._register.drop(entry)
                elif read is None:
                    self._bring_back(entry, folder, "it is not what was filed")
                elif entry.has_changed(status) or _is_written(lease):
                    self._bring_back(entry, folder, _CHANGED)
                elif FileState.of(status) != read:  # touched, as when another name of it has gone: it is read again
                    entry.leased = False
                    heapq.heappush(self._due, (self._steady() + self._look_interval, entry.key))
                elif _size_of(originals, note.kept_path) != note.state.size:
                    self._bring_back(entry, folder, "what was filed is not in its place")
                else:
                    os.unlink(note.name, dir_fd=folder)
                    self._register.drop(entry)
        finally:
            os.close(fd)

    def _look(self, originals: Originals) -> None:
        """Brings back what has changed: its writer goes on, and its inbox copy must not stay away for hours."""
        by_folder: dict[str, list[Entry]] = {}
        for entry in self._register.entries():
            if not entry.linked and entry.name not in self._reading:
                by_folder.setdefault(entry.folder, []).append(entry)
        for path, entries in by_folder.items():
            with contextlib.suppress(OSError), opened_place(path, self._inbox) as folder:
                for entry in entries:
                    self._look_at(entry, folder, originals)

    def _look_at(self, entry: Entry, folder: int, originals: Originals) -> None:
        try:
            status = os.lstat(entry.name, dir_fd=folder)
            if entry.has_changed(status):
                self._bring_back(entry, folder, _CHANGED)
            elif entry.ctime_ns not in (None, status.st_ctime_ns) and len(self._reading) < _MOST_READ:
                self._kept(entry, originals)  # where it is read
                self._reading[entry.name] = self._reader.submit(self._read, entry, True)
        except FileNotFoundError:
            self._register.drop(entry)
        except (OSError, ValueError, VaultTrouble) as error:
            self._tell(entry, str(error))

    def _make_room(self, originals: Originals) -> None:
        """On a disk that is nearly full the oldest go first; without a lease none before the short grace is over."""
        if self._disk_warning <= 0:
            return
        now = self._steady()
        missing = {folder: self._missing(folder) for folder in {entry.folder for entry in self._register.entries()}}
        if all(size <= 0 for size in missing.values()):
            return
        for entry in sorted(self._register.entries(), key=lambda entry: entry.taken_at):
            ripe = entry.leased or now - entry.taken_at >= self._grace
            if missing[entry.folder] <= 0 or entry.linked or not ripe:
                continue
            if entry.name not in self._reading:
                if len(self._reading) >= _MOST_READ:
                    return
                self._finish(entry, originals)
            missing[entry.folder] -= entry.note.state.size

    def _missing(self, folder: str) -> float:
        """Bytes that a disk has too few to be as free as it should be."""
        try:
            with opened_place(folder, self._inbox) as fd:
                disk = os.fstatvfs(fd)
        except OSError:
            return 0.0
        return (self._disk_warning / 100.0 * disk.f_blocks - disk.f_bavail) * disk.f_frsize

    def _bring_back(self, entry: Entry, folder: int, why: str) -> None:
        """Raises OSError where it cannot come back now."""
        try:
            path = bring_back(folder, entry.name, self._inbox, entry.note.original_path)
        except FileNotFoundError as error:
            os.lstat(entry.name, dir_fd=folder)  # itself is there
            raise OSError(f"the inbox {self._inbox} is not there") from error
        logger.warning("%s comes back into the inbox: %s", path[len(self._inbox) + 1 :], why)
        self._came_back.append(path)
        self._register.drop(entry)

    def _later(self, entry: Entry, problem: str) -> None:
        """Not before its grace is over, if it was only looked at."""
        self._tell(entry, problem)
        heapq.heappush(self._due, (max(self._due_at(entry), self._steady() + self._look_interval), entry.key))

    def _tell(self, entry: Entry, problem: str) -> None:
        if entry.problem != problem:
            entry.problem = problem
            logger.error("%s stays in %s: %s", entry.note.original_path, entry.folder, problem)


def _is_written(lease: ReadLease) -> bool:
    return lease.somebody_writes or lease.somebody_waits()


def _size_of(originals: Originals, path: str) -> int:
    try:
        return originals.lstat(path).st_size
    except FileNotFoundError:
        return -1
