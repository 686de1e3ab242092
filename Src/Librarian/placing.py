"""Place: is it in the vault, complete or not at all?

Same filesystem: a hard link, which is atomic and fails where the name exists. Otherwise a copy under a temporary name
in the target folder, hashed while it is written, which then gets its name in one step. Nothing here removes an
incoming file, and nothing is ever written over.

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
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from Src.Librarian.copying import NotPlaced, copy, read_only, read_trouble, unchanged
from Src.Librarian.filesystem import syncs_by_syncfs
from Src.Librarian.fingerprint import (
    NotARegularFile,
    ReadLease,
    StillChanging,
)
from Src.Librarian.incoming import FileState, IncomingFile
from Src.Librarian.syncing import fsync_folder, fsync_path, sync_incoming
from Src.Librarian.vault import NO_LINK, Vault, name_in_one_step
from Src.Librarian.vault_folder import VaultFolder
from Src.Librarian.vault_trouble import VaultTrouble, vault_trouble
from Src.Shared.models import new_id

logger = logging.getLogger(__name__)

_TEMPORARY = ".factory-copy-"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that shall get a place."""

    file: IncomingFile
    sha256: str
    folder: str  # relative to the storage root
    name: str
    may_link: bool  # a copy import must not share its inode with a file that its owner may still edit


@dataclass(frozen=True, slots=True)
class Placed:
    """A file in the vault. Durable only once `Vault.durably` has ended."""

    final_path: str  # relative to the storage root
    folder: VaultFolder
    name: str
    inode: int
    created: bool  # False: it stood there already, from an earlier run that was cut off
    mode_before: int | None  # of the incoming file, where it shares the inode


class Placer:
    """Puts files into the vault. To be used under the vault's lock."""

    def __init__(self, vault: Vault, threads: int) -> None:
        self._vault = vault
        self._copiers = ThreadPoolExecutor(threads, thread_name_prefix="copy")
        self._interrupted = threading.Event()

    def interrupt(self) -> None:
        """Gives up copies under way: `place` undoes its batch and raises VaultTrouble."""
        self._interrupted.set()

    def close(self) -> None:
        """Ends the copying threads."""
        self.interrupt()
        self._copiers.shutdown()

    def place(self, wanted: Sequence[Wanted]) -> list[Placed | NotPlaced]:
        """Places files, in order; a file's own trouble is its answer.

        Raises VaultTrouble, and then nothing of the batch stays in the vault.
        """
        answers: dict[int, Placed | NotPlaced] = {}
        to_copy: list[int] = []
        folders = {name: self._vault.folder(name) for name in dict.fromkeys(one.folder for one in wanted)}
        by_syncfs = syncs_by_syncfs(self._vault.originals)
        sync_incoming([one.file for one in wanted], self._copiers)
        try:
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
            if not by_syncfs:
                self._sync_each(placed)
            for folder in {one.folder for one in placed}:
                folder.settled()
        except BaseException:
            self.take_back(answer for answer in answers.values() if isinstance(answer, Placed))
            raise
        return [answers[index] for index in range(len(wanted))]

    def take_back(self, placed: Iterable[Placed]) -> None:
        """Undoes placements that shall not stay. What stood there before stays."""
        for one in placed:
            if not one.created:
                continue
            path = one.folder.at(one.name)
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                if status.st_ino == one.inode:
                    if one.mode_before is not None and status.st_nlink < 2:
                        logger.warning("%s stays: its incoming name has gone, this one is the last", path)
                        continue
                    if one.mode_before is not None and stat.S_ISREG(status.st_mode):
                        os.chmod(path, one.mode_before)
                    os.unlink(path)
            one.folder.remove(one.name, one.inode)

    def clean_up(self) -> None:
        """Removes what copies that were cut off have left. Call under the vault's lock. Raises VaultTrouble."""
        notes = self._vault.state / "copying"
        with vault_trouble(f"clean up what is noted in {notes}"):
            for note in [notes / name for name in os.listdir(notes)] if notes.is_dir() else []:
                for folder in _noted_folders(note):
                    self._clean_up_folder(self._vault.storage / folder, f"{_TEMPORARY}{note.stem}-")
                note.unlink(missing_ok=True)

    def _clean_up_folder(self, folder: Path, prefix: str) -> None:
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                # An original is never empty: an empty file is a name reserved by a copy that was cut off.
                if entry.name.startswith(prefix) or _is_empty_file(entry):
                    os.unlink(entry.path)

    def _sync_each(self, placed: Sequence[Placed]) -> None:
        """For a filesystem where `syncfs` is not enough: the files, then all folders that lead to them."""
        copied = [one for one in placed if one.created and one.mode_before is None]  # synced while they were open
        files = [one.folder.at(one.name) for one in placed if one not in copied]
        days = {one.folder.path for one in placed}
        try:
            list(self._copiers.map(fsync_path, files))
            for folder in [*days, *{day.parent for day in days}, self._vault.originals]:
                fsync_folder(folder)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"sync the vault {self._vault.originals}") from error

    # Same filesystem

    def _link(self, one: Wanted, folder: VaultFolder) -> Placed | NotPlaced | None:
        """None: it cannot be linked, it must be copied."""
        try:
            with unchanged(one.file) as (fd, status, lease):
                found = self._standing_already(one, folder, status)
                return found if found is not None or not one.may_link else self._link_open_file(one, folder, fd, lease)
        except (StillChanging, NotARegularFile, FileNotFoundError) as problem:
            return problem
        except OSError as error:
            return read_trouble(error)

    def _link_open_file(self, one: Wanted, folder: VaultFolder, fd: int, lease: ReadLease) -> Placed | None:
        """Raises StillChanging, FileNotFoundError where the incoming file has gone, and VaultTrouble."""
        try:
            name = folder.first_free(one.name, lambda target: os.link(one.file.path, target, follow_symlinks=False))
        except OSError as error:
            if error.errno in NO_LINK:
                return None
            if isinstance(error, FileNotFoundError) and not os.path.lexists(one.file.path):
                raise
            raise VaultTrouble.from_os(error, f"file {one.name} in {folder.path}") from error
        try:
            linked = os.lstat(folder.at(name))
        except OSError as error:  # the next run finds it by its inode
            raise VaultTrouble.from_os(error, f"look at {folder.at(name)}") from error
        folder.add(name, linked.st_ino, one.sha256)
        mode = stat.S_IMODE(linked.st_mode)
        placed = Placed(f"{one.folder}/{name}", folder, name, linked.st_ino, True, mode)
        # What was linked is what stood at the path then, which need not be what was read.
        same = FileState.of(linked).same_content(one.file.state)
        if same:
            _make_read_only(fd, mode)
        # Who wants to write was let in before it was read-only, and goes on as soon as the lease is given back.
        if not same or not FileState.of(os.fstat(fd)).same_content(one.file.state) or lease.somebody_waits():
            self.take_back([placed])
            raise StillChanging(one.file.path)
        return placed

    def _standing_already(self, one: Wanted, folder: VaultFolder, status: os.stat_result) -> Placed | None:
        """The same content, placed here by a run that was cut off before it was recorded."""
        name = folder.name_of(status.st_ino) if one.may_link and status.st_nlink > 1 else None
        if name is None or not _is_same_file(folder.at(name), status):
            standing = folder.standing(one.name, status.st_size, one.sha256)
            if standing is None:
                return None
            name = standing[0]
        path = folder.at(name)
        found = os.lstat(path)
        if found.st_mode & 0o222:  # cut off before it was made read-only
            _make_read_only(path, found.st_mode)
        return Placed(f"{one.folder}/{name}", folder, name, found.st_ino, False, None)

    # Another filesystem, or one without hard links

    def _copy_all(
        self, wanted: Sequence[Wanted], folders: Mapping[str, VaultFolder], *, sync_each: bool
    ) -> list[Placed | NotPlaced]:
        token = new_id().hex
        note = self._note(token, sorted({one.folder for one in wanted}))
        temporaries = [
            self._vault.storage / one.folder / f"{_TEMPORARY}{token}-{index}" for index, one in enumerate(wanted)
        ]
        answers: list[Placed | NotPlaced] = []
        problems: list[NotPlaced | None] = []
        jobs = [
            self._copiers.submit(copy, one.file, one.sha256, temporary, self._interrupted, sync=sync_each)
            for one, temporary in zip(wanted, temporaries, strict=True)
        ]
        try:
            for job in jobs:
                problems.append(job.result())
            if not sync_each:
                self._vault.sync()
            for one, temporary, problem in zip(wanted, temporaries, problems, strict=True):
                answers.append(problem or self._publish(one, folders[one.folder], temporary))
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

    def _publish(self, one: Wanted, folder: VaultFolder, temporary: Path) -> Placed:
        try:
            inode = os.lstat(temporary).st_ino
            name = folder.first_free(one.name, lambda target: name_in_one_step(temporary, target))
        except OSError as error:
            raise VaultTrouble.from_os(error, f"file {one.name} in {folder.path}") from error
        folder.add(name, inode, one.sha256)
        return Placed(f"{one.folder}/{name}", folder, name, inode, True, None)

    def _note(self, token: str, folders: list[str]) -> Path:
        """Notes durably where temporary files will be, so that a crash leaves none for ever."""
        notes = self._vault.state / "copying"
        note = notes / f"{token}.json"
        try:
            notes.mkdir(exist_ok=True)
            with open(note, "w", encoding="utf-8") as file:
                json.dump({"folders": folders}, file)
                file.flush()
                os.fsync(file.fileno())
            fsync_folder(notes)
        except OSError as error:
            _removed(note)
            raise VaultTrouble.from_os(error, f"write in {notes}") from error
        return note


def _noted_folders(note: Path) -> list[str]:
    try:
        folders: list[str] = json.loads(note.read_text())["folders"]
    except ValueError:  # torn: its copies had not begun
        return []
    return folders


def _removed(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _is_same_file(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), status)
    except FileNotFoundError:
        return False


def _is_empty_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size == 0


def _make_read_only(file: str | int, mode: int) -> None:
    """`file`: its path or its descriptor."""
    with contextlib.suppress(OSError):  # not where the filesystem or the owner does not let us
        os.chmod(file, read_only(mode))
