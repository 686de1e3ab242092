"""Place: is it in the vault, complete or not at all?

A hard link is atomic, and fails where the name exists. But it makes one file of the incoming one and the original. So
only a file is linked that can have no other user: it is our own, has this one name, the kernel has given a lease on it,
and it has become read-only. Everything else is copied under a temporary name in the target folder, hashed while it is
written, which then gets its name in one step. Nothing here removes an incoming file, and nothing is ever written over.

A name in the vault never comes to disk before its bytes do, nor before those of the incoming file: else a power cut
could leave half an original there, or a whole one to which nothing in the inbox leads any more.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from Src.Librarian.passage import IncomingFile, Placed, StillChanging
from Src.Librarian.place.copying import NameTaken, NotPlaced, copy, read_trouble, unchanged
from Src.Librarian.place.incoming_sync import sync_incoming
from Src.Librarian.place.sync_way import SyncWay
from Src.Library.original_path import NotAnOriginal, checked_path
from Src.Library.vault import Vault
from Src.Library.vault_folder import VaultFolder
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Shared.disk.beneath import link_open_file
from Src.Shared.disk.files import FileState, NotARegularFile
from Src.Shared.disk.filesystem import syncs_by_syncfs
from Src.Shared.disk.leases import ReadLease
from Src.Shared.disk.making import PRIVATE, make_folder, private_file, read_only
from Src.Shared.disk.naming import NO_LINK, name_in_one_step
from Src.Shared.disk.syncing import fsync, fsync_folder, fsync_path
from Src.Shared.disk.top import parent_below, regular_state_below
from Src.Shared.models import new_id

logger = logging.getLogger(__name__)

_LOOK = 1.0  # seconds between two looks at a copy that takes long
_TEMPORARY = ".factory-copy-"
_WRITABLE = 0o222


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that shall get a place."""

    file: IncomingFile
    sha256: str
    folder: str  # relative to the storage root
    name: str
    may_link: bool  # a copy import must not share its inode with a file that its owner may still edit
    only_name: bool = False  # no number of the name will do: a companion is called as its original is


class Placer:
    """Puts files into the vault. To be used under the vault's lock."""

    def __init__(self, vault: Vault, threads: int) -> None:
        self._vault = vault
        self._copiers = ThreadPoolExecutor(threads, thread_name_prefix="copy")
        self._interrupted = threading.Event()
        self.show_life: Callable[[], None] = _do_nothing
        self._way = SyncWay()
        self._never_read_only: set[int] = set()  # devices on which a mode was not taken

    def interrupt(self) -> None:
        """Gives up copies under way: `place` undoes its batch and raises VaultTrouble."""
        self._interrupted.set()

    def close(self) -> None:
        """Ends the copying threads."""
        self.interrupt()
        self._copiers.shutdown()

    def place(self, wanted: Sequence[Wanted]) -> list[Placed | NotPlaced]:
        """Places files durably, in order; a file's own trouble is its answer.

        Raises VaultTrouble, and then nothing of the batch stays in the vault.
        """
        answers: dict[int, Placed | NotPlaced] = {}
        to_copy: list[int] = []
        folders = {name: self._vault.folder(name) for name in dict.fromkeys(one.folder for one in wanted)}
        by_syncfs = self._way.is_syncfs(len(wanted)) and syncs_by_syncfs(self._vault.originals)
        try:
            with ExitStack() as durable:
                if by_syncfs:
                    durable.enter_context(self._vault.durably())
                with self._way.waits():
                    sync_incoming([one.file for one in wanted], self._copiers, by_syncfs=by_syncfs)
                for index, one in enumerate(wanted):
                    answer = self._link(one, folders[one.folder])
                    if answer is None:
                        to_copy.append(index)
                    else:
                        answers[index] = answer
                if to_copy:
                    copied = self._copy_all([wanted[index] for index in to_copy], folders, sync_each=not by_syncfs)
                    answers.update(zip(to_copy, copied, strict=True))
                placed = [one for one in answers.values() if isinstance(one, Placed)]
                for folder in {one.folder for one in placed}:
                    folder.changed_only_by_us()
                with self._way.waits():
                    if not by_syncfs:
                        self._sync_each(placed)
                    durable.close()
            self._way.done(len(wanted), by_syncfs=by_syncfs)
        except BaseException:
            self.take_back(answer for answer in answers.values() if isinstance(answer, Placed))
            raise
        return [answers[index] for index in range(len(wanted))]

    def take_back(self, placed: Iterable[Placed]) -> None:
        """Undoes placements that shall not stay. What stood there before stays.

        A placement is undone under the name that we have given its file last, which the recorder may have moved aside.
        """
        for one in placed:
            if not one.created:
                continue
            folder, name = one.folder.fd, one.folder.name_of(one.inode) or one.name
            with contextlib.suppress(OSError):
                status = os.lstat(name, dir_fd=folder)
                if status.st_ino == one.inode:
                    if one.mode_before is not None and status.st_nlink < 2:
                        logger.warning("%s stays: its incoming name has gone, this one is the last", one.final_path)
                        continue
                    if one.mode_before is not None and stat.S_ISREG(status.st_mode):
                        os.chmod(name, one.mode_before, dir_fd=folder)
                    os.unlink(name, dir_fd=folder)
            one.folder.remove(name, one.inode)

    def clean_up(self) -> None:
        """Removes what copies that were cut off have left. Call under the vault's lock. Raises VaultTrouble."""
        notes = self._vault.state / "copying"
        with vault_trouble(f"clean up what is noted in {notes}"):
            for note in [notes / name for name in os.listdir(notes)] if notes.is_dir() else []:
                for folder in _noted_folders(note):
                    self._clean_up_folder(folder, f"{_TEMPORARY}{note.stem}-")
                note.unlink(missing_ok=True)

    def _clean_up_folder(self, folder: str, prefix: str) -> None:
        with contextlib.suppress(FileNotFoundError), self._vault.opened(folder) as fd, os.scandir(fd) as entries:
            for entry in entries:
                # An original is never empty: an empty file is a name reserved by a copy that was cut off.
                if entry.name.startswith(prefix) or _is_empty_file(entry):
                    os.unlink(entry.name, dir_fd=fd)

    def _sync_each(self, placed: Sequence[Placed]) -> None:
        """Where `syncfs` is not the way: the files, then all folders that lead to them."""
        copied = [one for one in placed if one.created and one.mode_before is None]  # synced before they got names
        files = [one.folder.at(one.name) for one in placed if one not in copied]
        days = {one.folder for one in placed}
        try:
            list(self._copiers.map(fsync_path, files))
            for day in days:
                fsync(day.fd)
                fsync_path("..", os.O_DIRECTORY, dir_fd=day.fd)
            fsync_folder(self._vault.originals)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"sync the vault {self._vault.originals}") from error

    # Same filesystem

    def _link(self, one: Wanted, folder: VaultFolder) -> Placed | NotPlaced | None:
        """None: it cannot be linked, it must be copied."""
        try:
            with unchanged(one.file) as (fd, status, lease):
                found = self._standing_already(one, folder, status)
                if found is not None or not (one.may_link and lease.given and self._is_ours_alone(status)):
                    return found
                return self._link_open_file(one, folder, fd, lease)
        except (StillChanging, NotARegularFile, FileNotFoundError, NameTaken) as problem:
            return problem
        except OSError as error:
            return read_trouble(error)

    def _is_ours_alone(self, status: os.stat_result) -> bool:
        """Whether nobody can change an incoming file once it is linked, be it as its owner or under another name."""
        alone = status.st_uid == os.geteuid() and status.st_nlink == 1
        return alone and status.st_dev not in self._never_read_only

    def _link_open_file(self, one: Wanted, folder: VaultFolder, fd: int, lease: ReadLease) -> Placed | None:
        """None: links are not possible here.

        Raises StillChanging, FileNotFoundError where the incoming file has gone, and VaultTrouble.
        """
        try:
            name = _put(one, folder, lambda target: link_open_file(fd, folder.fd, os.path.basename(target)))
        except OSError as error:
            if error.errno in NO_LINK:
                return None
            if isinstance(error, FileNotFoundError) and os.fstat(fd).st_nlink == 0:  # removed, or replaced
                raise StillChanging(one.file.path) if _is_taken(one.file) else FileNotFoundError from error
            raise VaultTrouble.from_os(error, f"file {one.name} in {folder.path}") from error
        try:
            linked = os.lstat(name, dir_fd=folder.fd)
        except OSError as error:  # the next run finds it by its inode
            raise VaultTrouble.from_os(error, f"look at {folder.path / name}") from error
        folder.add(name, linked.st_ino, one.sha256)
        mode = stat.S_IMODE(linked.st_mode)
        placed = Placed(f"{one.folder}/{name}", folder, name, linked.st_ino, True, mode)
        # What was read was linked, wherever it stands by now: outside of the inbox it is not ours to take.
        same = FileState.of(linked).same_content(one.file.state) and _stands_in_its_place(one.file)
        if same:
            _make_read_only(fd, mode)
        now = os.fstat(fd)
        # A writer that opened the file before it was read-only waits, and writes as soon as we release the lease.
        changed = not same or not FileState.of(now).same_content(one.file.state) or lease.somebody_waits()
        stays_writable = now.st_mode & _WRITABLE != 0
        if changed or stays_writable or now.st_nlink != 2:  # 3: somebody has just linked it too
            self.take_back([placed])
            if same and stays_writable:
                self._never_read_only.add(now.st_dev)
            raise StillChanging(one.file.path)  # also by our own link: it is read again, and copied then
        return placed

    def _standing_already(self, one: Wanted, folder: VaultFolder, status: os.stat_result) -> Placed | None:
        """The same content, placed here by a run that was cut off before it was recorded.

        Of all the names that an incoming file may have elsewhere only one here is ours.
        """
        name = folder.name_of(status.st_ino) if one.may_link and status.st_nlink > 1 else None
        if name is None or not _is_same_file(folder, name, status) or (one.only_name and name != one.name):
            standing = folder.standing(one.name, status.st_size, one.sha256, only_name=one.only_name)
            if standing is None:
                return None
            name = standing[0]
        found = os.lstat(name, dir_fd=folder.fd)
        if found.st_mode & _WRITABLE:  # cut off before it was made read-only
            _make_read_only(folder.at(name), found.st_mode)
        return Placed(f"{one.folder}/{name}", folder, name, found.st_ino, False, None)

    # Another filesystem, or one without hard links

    def _copy_all(
        self, wanted: Sequence[Wanted], folders: Mapping[str, VaultFolder], *, sync_each: bool
    ) -> list[Placed | NotPlaced]:
        token = new_id().hex
        note = self._note(token, sorted({one.folder for one in wanted}))
        temporaries = [Path(folders[one.folder].at(f"{_TEMPORARY}{token}-{index}")) for index, one in enumerate(wanted)]
        answers: list[Placed | NotPlaced] = []
        problems: list[NotPlaced | None] = []
        jobs = [
            self._copiers.submit(copy, one.file, one.sha256, temporary, self._interrupted)
            for one, temporary in zip(wanted, temporaries, strict=True)
        ]
        try:
            for job in jobs:
                self._await(job, temporaries)
                problems.append(job.result())
            with self._way.waits():
                if sync_each:
                    self._sync_copies([one for one, problem in zip(temporaries, problems, strict=True) if not problem])
                else:
                    self._vault.sync()
            for one, temporary, problem in zip(wanted, temporaries, problems, strict=True):
                answers.append(problem or self._published(one, folders[one.folder], temporary))
            return answers
        except BaseException:
            self.take_back(answer for answer in answers if isinstance(answer, Placed))
            raise
        finally:
            for job in jobs:
                job.cancel()
            for job in jobs:
                if not job.cancelled():
                    job.exception()  # waits: it must not write any more
            removed = [_removed(temporary) for temporary in temporaries]
            if all(removed):  # what cannot be removed now stays noted, for `clean_up`
                _removed(note)

    def _sync_copies(self, temporaries: Sequence[Path]) -> None:
        try:
            list(self._copiers.map(fsync_path, temporaries))
        except OSError as error:
            raise VaultTrouble.from_os(error, f"sync copies in the vault {self._vault.originals}") from error

    def _await(self, job: Future[NotPlaced | None], temporaries: Sequence[Path]) -> None:
        """A copy may take an hour, and shows life for as long as it grows."""
        size = -1
        while not wait([job], _LOOK).done:
            before, size = size, sum(map(_size_of, temporaries))
            if size != before:
                self.show_life()

    def _published(self, one: Wanted, folder: VaultFolder, temporary: Path) -> Placed | NotPlaced:
        try:
            return self._publish(one, folder, temporary)
        except NameTaken as problem:
            return problem

    def _publish(self, one: Wanted, folder: VaultFolder, temporary: Path) -> Placed:
        try:
            inode = os.lstat(temporary).st_ino
            name = _put(one, folder, lambda target: name_in_one_step(temporary, target))
        except OSError as error:
            raise VaultTrouble.from_os(error, f"file {one.name} in {folder.path}") from error
        folder.add(name, inode, one.sha256)
        return Placed(f"{one.folder}/{name}", folder, name, inode, True, None)

    def _note(self, token: str, folders: list[str]) -> Path:
        """Notes durably where temporary files will be, so that a crash leaves none for ever."""
        notes = self._vault.state / "copying"
        note = notes / f"{token}.json"
        try:
            make_folder(notes, PRIVATE)
            with open(note, "w", encoding="utf-8", opener=private_file) as file:
                json.dump({"folders": folders}, file)
                file.flush()
                os.fsync(file.fileno())
            fsync_folder(notes)
        except OSError as error:
            _removed(note)
            raise VaultTrouble.from_os(error, f"write in {notes}") from error
        return note


def _put(one: Wanted, folder: VaultFolder, put: Callable[[str], None]) -> str:
    """Raises NameTaken where only that one name will do."""
    if not one.only_name:
        return folder.first_free(one.name, put)
    if folder.holder(one.name) is not None:
        raise NameTaken(one.name)
    try:
        put(folder.at(one.name))
    except FileExistsError as error:  # just now
        raise NameTaken(one.name) from error
    return one.name


def _do_nothing() -> None:
    pass


def _size_of(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:  # not begun, or gone already
        return 0


def _noted_folders(note: Path) -> list[str]:
    try:
        folders: list[str] = json.loads(note.read_text())["folders"]
    except ValueError:  # torn: its copies had not begun
        return []
    try:
        for folder in folders:
            checked_path(f"{folder}/{_TEMPORARY}")
    except NotAnOriginal as problem:
        logger.error("the note %s is not believed: %s", note, problem)
        return []
    return folders


def _removed(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _stands_in_its_place(file: IncomingFile) -> bool:
    try:
        state = regular_state_below(file.top, file.path)
    except OSError:
        return False
    return state is not None and state.same_content(file.state)


def _is_taken(file: IncomingFile) -> bool:
    """Whether anything stands where the incoming file stood."""
    try:
        with parent_below(file.top, file.path) as (folder, name):
            os.lstat(name, dir_fd=folder)
    except (OSError, NotARegularFile):
        return False
    return True


def _is_same_file(folder: VaultFolder, name: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(name, dir_fd=folder.fd), status)
    except FileNotFoundError:
        return False


def _is_empty_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size == 0


def _make_read_only(file: str | int, mode: int) -> None:
    """`file`: its path or its descriptor."""
    with contextlib.suppress(OSError):  # not where the filesystem or the owner does not let us
        os.chmod(file, read_only(mode))
