"""The vault: `Storage/Originals/YYYY/YYYY-MM-DD/`, written once and never changed.

This module knows where things are in it, whether it is really there, which names are taken, and how to make what was
placed durable. Placing itself is `placing.py`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import itertools
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from Src.Librarian.fingerprint import NotARegularFile, open_regular, sha256_of
from Src.Librarian.syncing import fsync_folder, syncfs

MARKER = ".photo-factory-vault"
MARKER_TEXT = (
    "This file marks the vault of a Photo Factory. An empty mount point does not have it,\n"
    "so nothing is ever filed into a folder whose disk is missing. Keep it with the originals.\n"
)

_NAME_REFUSED = (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG, errno.ENOENT)  # ENOENT: exfat-fuse says so
NO_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
_NOT_PORTABLE = re.compile('[\0-\x1f<>:"|?*\\\\\ud800-\udfff]')
_RENAME_NOREPLACE = 1  # renameat2(2)
_AT_FDCWD = -100

_libc = ctypes.CDLL(None, use_errno=True)


class VaultTrouble(Exception):
    """The vault cannot take files now. Not the files' fault: they wait, and work resumes by itself.

    The message is one line: what, where, what to do.
    """

    @classmethod
    def from_os(cls, error: OSError, doing: str) -> VaultTrouble:
        reasons = {
            errno.ENOSPC: "the disk is full; free some space",
            errno.EDQUOT: "the disk quota is used up; free some space",
            errno.EROFS: "the filesystem is read-only; remount it writable (after an error, check the disk)",
            errno.EACCES: "permission denied; let this user write there",
            errno.EPERM: "not permitted; let this user write there",
            errno.EIO: "input/output error; check the disk",
        }
        why = reasons.get(error.errno or 0, error.strerror or str(error))
        return cls(f"cannot {doing}: {why}")


@contextmanager
def vault_trouble(doing: str) -> Iterator[None]:
    """Any OSError inside the block is the vault's trouble, not a file's."""
    try:
        yield
    except OSError as error:
        raise VaultTrouble.from_os(error, doing) from error


class Vault:
    """The originals below one storage root."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.originals = storage / "Originals"
        self.state = storage / ".factory"
        self._folders: dict[str, VaultFolder] = {}

    def is_marked(self) -> bool:
        """Whether the vault is really here, and not only the place where it should be mounted.

        Raises VaultTrouble where that cannot be told.
        """
        try:
            return (self.originals / MARKER).is_file()
        except OSError as error:
            raise VaultTrouble.from_os(error, f"look into the vault {self.originals}") from error

    def check(self) -> None:
        """Raises VaultTrouble where the vault is not here."""
        if not self.is_marked():
            raise VaultTrouble(
                f"the vault is not at {self.originals}: its marker file {MARKER} is missing; mount the disk, "
                "or, if these are your originals after a move, create the marker as an empty file"
            )

    def create(self) -> None:
        """Makes an empty vault and marks it. Only for a factory that has no originals yet."""
        try:
            self.originals.mkdir(parents=True, exist_ok=True)
            marker = self.originals / MARKER
            with open(marker, "w", encoding="utf-8") as file:
                file.write(MARKER_TEXT)
                file.flush()
                os.fsync(file.fileno())
            for folder in (self.originals, self.storage, self.storage.parent):
                fsync_folder(folder)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"create the vault {self.originals}") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time decides, places and records; the kernel frees it when that process dies."""
        try:
            self.state.mkdir(mode=0o755, exist_ok=True)
            fd = os.open(self.state / "vault.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"write in {self.state}") from error
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as error:
                raise VaultTrouble.from_os(error, f"lock the vault in {self.state}") from error
            yield
        finally:
            os.close(fd)

    def day_folder(self, day: date) -> str:
        """The folder of a day, relative to the storage root."""
        return f"Originals/{day.year:04d}/{day.isoformat()}"

    def folder(self, relative: str) -> VaultFolder:
        """A folder of the vault, made where it is missing, with the names taken in it."""
        folder = self._folders.get(relative)
        if folder is None:
            if len(self._folders) >= 256:  # a bound for memory; a batch touches few days
                self._folders.clear()
            folder = self._folders[relative] = VaultFolder(self.storage / relative)
        folder.refresh()
        return folder

    def holds(self, final_path: str, size: int) -> bool:
        """Whether a kept original lives: a regular file with the right size (promise 4)."""
        try:
            status = os.lstat(self.storage / final_path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return False
            raise VaultTrouble.from_os(error, f"look at {self.storage / final_path}") from error
        return stat.S_ISREG(status.st_mode) and status.st_size == size

    def find(self, final_path: str, original_name: str, size: int, sha256: str) -> str | None:
        """Where this content stands: at its path, or under another number of its name (moved, not yet recorded)."""
        if self.holds(final_path, size):
            return final_path
        parent = os.path.dirname(final_path)
        standing = self.folder(parent).standing(original_name, size, sha256)
        return f"{parent}/{standing[0]}" if standing is not None else None

    def move_aside(self, final_path: str, original_name: str, refused: set[str]) -> str:
        """Gives an unrecorded file the next name that is free and not refused; returns its new path."""
        parent, old_name = os.path.split(final_path)
        folder = self.folder(parent)
        refused.add(old_name)
        try:
            inode = os.lstat(folder.at(old_name)).st_ino
            name = folder.first_free(
                original_name, lambda target: rename_unless_taken(folder.at(old_name), target), refused
            )
            fsync_folder(folder.path)  # the row that is written next names the new path
        except OSError as error:
            raise VaultTrouble.from_os(error, f"rename {folder.at(old_name)}") from error
        folder.remove(old_name, inode)
        folder.add(name, inode)
        folder.settled()
        return f"{parent}/{name}"

    @contextmanager
    def durably(self) -> Iterator[None]:
        """Whatever is written into the vault inside the block is on disk when the block ends.

        One `syncfs` for all of it; opened before, so that a write-back error in between is told to us. (Where that
        does not reach far enough, `placing.py` has synced each file already.)
        """
        try:
            fd = os.open(self.originals, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"open the vault {self.originals}") from error
        try:
            yield
            self._sync(fd)
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Brings to disk what was written into the vault so far. Raises VaultTrouble."""
        with self.durably():
            pass

    def _sync(self, fd: int) -> None:
        try:
            syncfs(fd)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"sync the vault {self.originals}") from error


class VaultFolder:
    """One day's folder and the names taken in it, whoever wrote them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._prefix = f"{path}/"
        self._holders: dict[str, str] = {}  # key of a name -> the name on disk
        self._by_inode: dict[int, str] = {}
        self._seen_mtime_ns = -1

    def at(self, name: str) -> str:
        """The path of a name here."""
        return self._prefix + name

    def refresh(self) -> None:
        """Reads the folder where it has changed since; makes it where it is missing. Raises VaultTrouble."""
        try:
            mtime_ns = _made_day_folder(self.path).st_mtime_ns
            if mtime_ns == self._seen_mtime_ns:
                return
            with os.scandir(self.path) as entries:
                found = [(entry.name, entry.inode()) for entry in entries]
        except OSError as error:
            raise VaultTrouble.from_os(error, f"use the folder {self.path}") from error
        self._holders = {name_key(name): name for name, _ in found}
        self._by_inode = {inode: name for name, inode in found}
        self._seen_mtime_ns = mtime_ns

    def add(self, name: str, inode: int) -> None:
        """Notes a name that was just placed here, or found taken."""
        self._holders[name_key(name)] = name
        self._by_inode[inode] = name

    def remove(self, name: str, inode: int) -> None:
        """Notes a name that we have just taken back."""
        self._holders.pop(name_key(name), None)
        self._by_inode.pop(inode, None)

    def settled(self) -> None:
        """All changes since `refresh` were our own: what is known still stands. Raises VaultTrouble."""
        try:
            self._seen_mtime_ns = os.stat(self.path).st_mtime_ns
        except OSError as error:
            raise VaultTrouble.from_os(error, f"use the folder {self.path}") from error

    def holder(self, name: str) -> str | None:
        """The name on disk that is this name or differs from it only in case or Unicode form."""
        return self._holders.get(name_key(name))

    def standing(self, name: str, size: int, sha256: str) -> tuple[str, int] | None:
        """The name and inode of a file that holds these bytes under this name or a number of it."""
        for wanted in dict.fromkeys((name, portable_name(name))):
            for candidate in numbered_names(wanted):
                holder = self.holder(candidate)
                if holder is None:
                    break
                inode = _inode_if_same(self.at(holder), size, sha256)
                if inode is not None:
                    return holder, inode
        return None

    def first_free(self, name: str, put: Callable[[str], None], refused: set[str] | None = None) -> str:
        """Puts a file under the first free name, which it returns; `put` raises FileExistsError where one is taken.

        Where the filesystem refuses the name itself (exFAT, SMB), the nearest that any will take is used.
        """
        try:
            return self._first_free(name, put, refused)
        except OSError as error:
            if error.errno not in _NAME_REFUSED or portable_name(name) == name:
                raise
        return self._first_free(portable_name(name), put, refused)

    def _first_free(self, name: str, put: Callable[[str], None], refused: set[str] | None) -> str:
        for candidate in numbered_names(name):
            if self.holder(candidate) is not None or (refused and candidate in refused):
                continue
            try:
                put(self.at(candidate))
            except FileExistsError:
                self.add(candidate, 0)  # somebody else's, just now
            else:
                return candidate
        raise AssertionError("numbered names never end")

    def name_of(self, inode: int) -> str | None:
        """The name under which an inode stands here already."""
        return self._by_inode.get(inode)


def _made_day_folder(path: Path) -> os.stat_result:
    """A day's folder, made if need be with its year's; never what should be there: the vault may be unmounted."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            return status
    except FileNotFoundError:
        pass
    path.parent.mkdir(exist_ok=True)
    path.mkdir(exist_ok=True)
    return os.stat(path)


def name_key(name: str) -> str:
    """Equal for names that Windows or macOS may take for one: case, Unicode form, trailing dots and spaces."""
    if name.isascii():
        return name.lower().rstrip(". ") or name
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", folded).rstrip(". ") or name


def numbered_names(name: str, longest: int = 255) -> Iterator[str]:
    """`name.jpg`, `name_1.jpg`, `name_2.jpg`, …, each at most `longest` bytes; a long stem is cut at a character."""
    stem, dot, ending = name.rpartition(".")
    if not stem or _size(ending) > 16:  # a dot in front, or no ending at all
        stem, dot, ending = name, "", ""
    first = _cut(stem, longest - _size(dot + ending)) + dot + ending
    yield first
    for number in itertools.count(1):
        tail = f"_{number}{dot}{ending}"
        numbered = _cut(stem, longest - _size(tail)) + tail
        if numbered != first:  # as it is where a long name ends in a number itself
            yield numbered


def portable_name(name: str) -> str:
    """A name that Windows, macOS and encrypting filesystems take too."""
    clean = _NOT_PORTABLE.sub("_", name)
    return next(numbered_names(clean.rstrip(". ") or "_", longest=140))


def _cut(stem: str, size: int) -> str:
    while _size(stem) > size:
        stem = stem[:-1]
    return stem


def _size(name: str) -> int:
    """Bytes on disk."""
    return len(name) if name.isascii() else len(os.fsencode(name))


def name_in_one_step(temporary: Path, target: str) -> None:
    """Gives a finished file its name; raises FileExistsError where it is taken. The temporary name may stay."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        rename_unless_taken(temporary, target)


def rename_unless_taken(source: str | Path, target: str | Path) -> None:
    """Renames; raises FileExistsError where the target exists, instead of replacing it."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), str(target))
    # A filesystem that knows no rename which spares: reserve the name, then rename over the reservation.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        os.replace(source, target)
    except OSError:
        os.unlink(target)
        raise


def _inode_if_same(path: str, size: int, sha256: str) -> int | None:
    try:
        fd = open_regular(path)
    except (OSError, NotARegularFile):
        return None
    try:
        status = os.fstat(fd)
        return status.st_ino if status.st_size == size and sha256_of(fd) == sha256 else None
    except OSError:  # what cannot be read is not known to be the same
        return None
    finally:
        os.close(fd)
