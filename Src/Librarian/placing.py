"""Place: is it in the vault, complete or not at all?

Same filesystem: a hard link, which is atomic and fails where the name exists. Otherwise a copy under a temporary name
in the target folder, hashed while it is written, which then gets its name in one step. Nothing here removes an
incoming file, and nothing is ever written over.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from Src.Librarian.filesystem import syncs_by_syncfs
from Src.Librarian.fingerprint import (
    NotARegularFile,
    StillChanging,
    open_for_writing_elsewhere,
    open_regular,
)
from Src.Librarian.incoming import FileState, IncomingFile
from Src.Librarian.vault import (
    NO_LINK,
    Vault,
    VaultFolder,
    VaultTrouble,
    fsync_folder,
    fsync_path,
    name_in_one_step,
    vault_trouble,
)
from Src.Shared.models import new_id

logger = logging.getLogger(__name__)

_CHUNK = 1024 * 1024
_FICLONE = 0x40049409  # ioctl_ficlonerange(2)
_TIMES_REFUSED = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_TEMPORARY = ".factory-copy-"


class ReadTrouble(Exception):
    """An incoming file could not be read, or the vault can hold none of its kind. The message says why."""


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


# Why a file was not placed: it changed, is gone or no regular file any more, or could not be read.
NotPlaced = StillChanging | NotARegularFile | FileNotFoundError | ReadTrouble


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
            with _unchanged(one.file) as (fd, status):
                found = self._standing_already(one, folder, status)
                return found if found is not None or not one.may_link else self._link_open_file(one, folder, fd)
        except (StillChanging, NotARegularFile, FileNotFoundError) as problem:
            return problem
        except OSError as error:
            return _read_trouble(error)

    def _link_open_file(self, one: Wanted, folder: VaultFolder, fd: int) -> Placed | None:
        """Raises StillChanging, FileNotFoundError where the incoming file has gone, and VaultTrouble."""
        try:
            name = folder.first_free(one.name, lambda target: os.link(one.file.path, target, follow_symlinks=False))
            linked = os.lstat(folder.at(name))
        except OSError as error:
            if error.errno in NO_LINK:
                return None
            if isinstance(error, FileNotFoundError) and not os.path.lexists(one.file.path):
                raise
            raise VaultTrouble.from_os(error, f"file {one.name} in {folder.path}") from error
        folder.add(name, linked.st_ino)
        mode = stat.S_IMODE(linked.st_mode)
        placed = Placed(f"{one.folder}/{name}", folder, name, linked.st_ino, True, mode)
        # What was linked is what stood at the path then, which need not be what was read.
        same = FileState.of(linked).same_content(one.file.state)
        if same:
            _make_read_only(fd, mode)
        # Who opened it for writing before it was read-only is seen now.
        if not same or not FileState.of(os.fstat(fd)).same_content(one.file.state) or open_for_writing_elsewhere(fd):
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
        jobs = [
            self._copiers.submit(_copy, one, temporary, self._interrupted, sync_each)
            for one, temporary in zip(wanted, temporaries, strict=True)
        ]
        try:
            for one, temporary, job in zip(wanted, temporaries, jobs, strict=True):
                problem = job.result()
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
        folder.add(name, inode)
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
            raise VaultTrouble.from_os(error, f"write in {notes}") from error
        return note


def _copy(one: Wanted, temporary: Path, interrupted: threading.Event, sync: bool) -> NotPlaced | None:
    """Copies a file and checks what was written against its fingerprint. Runs in a thread."""
    try:
        with _unchanged(one.file) as (source, status):
            try:
                _write_copy(source, status, one.sha256, temporary, interrupted, sync)
            except _Unreadable as error:
                changed = FileState.of(os.fstat(source)) != one.file.state
                return StillChanging(one.file.path) if changed else ReadTrouble(str(error))
            except OSError as error:
                if error.errno == errno.EFBIG:
                    return ReadTrouble("it is too large for the vault's filesystem")
                raise VaultTrouble.from_os(error, f"copy {one.name} to {temporary.parent}") from error
            if FileState.of(os.fstat(source)) != one.file.state or open_for_writing_elsewhere(source):
                return StillChanging(one.file.path)
    except (StillChanging, NotARegularFile, FileNotFoundError) as problem:
        return problem
    except OSError as error:
        return _read_trouble(error)
    return None


class _Unreadable(Exception):
    """Reading, not writing, failed."""


def _write_copy(
    source: int, status: os.stat_result, sha256: str, temporary: Path, interrupted: threading.Event, sync: bool
) -> None:
    target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.ioctl(target, _FICLONE, source)  # shares the very blocks that were read
        except OSError:
            if _copy_bytes(source, target, interrupted) != sha256:
                raise _Unreadable("two readings of the file differ; check the disk and the memory") from None
        try:
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        except OSError as error:
            if error.errno not in _TIMES_REFUSED:
                raise
        with contextlib.suppress(OSError):
            os.fchmod(target, _read_only(status.st_mode))
        if sync:
            os.fsync(target)
    finally:
        os.close(target)


def _copy_bytes(source: int, target: int, interrupted: threading.Event) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    os.lseek(source, 0, os.SEEK_SET)
    while True:
        if interrupted.is_set():
            raise VaultTrouble("stopped while copying; nothing of it stays")
        try:
            count = os.readv(source, [buffer])
        except OSError as error:
            raise _Unreadable(f"cannot be read: {error.strerror}") from error
        if not count:
            return digest.hexdigest()
        chunk = memoryview(buffer)[:count]
        digest.update(chunk)
        while chunk:
            chunk = chunk[os.write(target, chunk) :]


@contextlib.contextmanager
def _unchanged(file: IncomingFile) -> Iterator[tuple[int, os.stat_result]]:
    """An incoming file, opened, in the state in which it was read, and with nobody writing to it."""
    fd = open_regular(file.path)
    try:
        status = os.fstat(fd)
        if FileState.of(status) != file.state or open_for_writing_elsewhere(fd):
            raise StillChanging(file.path)
        yield fd, status
    finally:
        os.close(fd)


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
        os.chmod(file, _read_only(mode))


def _read_only(mode: int) -> int:
    return (mode & 0o777 & ~0o222) | 0o400


def _read_trouble(error: OSError) -> ReadTrouble:
    return ReadTrouble(f"cannot be read: {error.strerror}")
