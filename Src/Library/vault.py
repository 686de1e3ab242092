"""The vault: `Storage/Originals/YYYY/YYYY-MM-DD/`, written once and never changed.

This module knows where things are in it, whether it is really there, which names are taken, and how to make what was
placed durable. Placing itself is the Librarian's.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from Src.Library.damaged import Damaged
from Src.Library.original_path import checked_path, is_in_trash
from Src.Library.vault_folder import VaultFolder
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Gone, Living, Question, Rotten, Verdict, Verdicts
from Src.Shared.disk.beneath import (
    THROUGH,
    lstat_beneath,
    open_beneath,
    open_folder,
    rename_unless_taken_at,
)
from Src.Shared.disk.locks import holder_of, note_holder, open_lock, take
from Src.Shared.disk.making import PRIVATE, SHARED, make_folder
from Src.Shared.disk.naming import rename_unless_taken
from Src.Shared.disk.syncing import fsync, fsync_folder, fsync_path, syncfs
from Src.Shared.vault_marker import MARKER, change_marker

logger = logging.getLogger(__name__)


def _wait(_holder: str, _seconds: float) -> None:
    pass


class Vault:
    """The originals below one storage root."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.originals = storage / "Originals"
        self.state = storage / ".factory"
        self.patience = math.inf  # seconds to wait for another process that has the vault's lock
        self.while_locked: Callable[[str, float], None] = _wait  # told who has it and for how long; may raise
        self._folders: dict[str, VaultFolder] = {}
        self._verdicts = Verdicts(self.originals)
        self._verdicts_on_trash = Verdicts(storage / "Trash")
        self.damaged = Damaged(storage)

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
        """Makes an empty vault and marks it, for no ledger yet. Only for a factory that has no originals yet."""
        try:
            make_folder(self.originals, SHARED)
            change_marker(self.originals, lambda marker: marker)
            for folder in (self.originals, self.storage, self.storage.parent):
                fsync_folder(folder)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"create the vault {self.originals}") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time decides, places and records; the kernel frees it when that process dies."""
        try:
            os.stat(self.storage)  # never made here: its disk may not be mounted
            make_folder(self.state, PRIVATE)
            fd = open_lock(self.state / "vault.lock")
        except OSError as error:
            raise VaultTrouble.from_os(error, f"write in {self.state}") from error
        try:
            try:
                take(fd, lambda seconds: self._wait_for_lock(fd, seconds))
            except OSError as error:
                raise VaultTrouble.from_os(error, f"lock the vault in {self.state}") from error
            note_holder(fd)
            yield
        finally:
            for folder in self._folders.values():
                folder.close()  # nothing of the vault stays open while nothing is filed: it can be unmounted
            os.close(fd)

    def _wait_for_lock(self, fd: int, seconds: float) -> None:
        """Another process has it. Raises VaultTrouble where the caller should not wait any longer."""
        holder = holder_of(fd) or "another process"
        self.while_locked(holder, seconds)
        if seconds > self.patience:
            raise VaultTrouble(
                f"the vault has been locked by {holder} for {seconds:.0f} s: wait for it, or end it; "
                f"the lock is {self.state / 'vault.lock'}"
            )

    def day_folder(self, day: date) -> str:
        """The folder of a day, relative to the storage root."""
        return f"Originals/{day.year:04d}/{day.isoformat()}"

    def folder(self, relative: str) -> VaultFolder:
        """A folder of the vault or the trash, made where it is missing, with the names taken in it."""
        folder = self._folders.pop(relative, None)
        if folder is None:
            if len(self._folders) >= 256:  # a bound for memory: the one goes that was not asked for longest
                del self._folders[next(iter(self._folders))]
            if is_in_trash(relative):
                folder = VaultFolder(self.storage, relative, PRIVATE)
            else:
                folder = VaultFolder(self.originals, relative.partition("/")[2])
        self._folders[relative] = folder
        folder.refresh()
        return folder

    @contextmanager
    def opened(self, relative: str) -> Iterator[int]:
        """An open folder of the vault, to be listed: no link leads to it. Raises OSError."""
        originals = open_folder(self.originals)
        try:
            fd = open_beneath(originals, relative.partition("/")[2], os.O_RDONLY | os.O_DIRECTORY)
        finally:
            os.close(originals)
        try:
            yield fd
        finally:
            os.close(fd)

    def verdict(self, final_path: str, sha256: str, size: int) -> Verdict:
        """Whether a kept original lives, by its bytes (promise 4). To be asked before the last copy of it is removed.

        What was read is remembered for minutes, and holds while inode, size and times stay the same: to ask twice
        about one path costs a few microseconds. Raises VaultTrouble where the vault cannot be looked into.
        """
        question = Question(final_path, sha256, size)
        if not is_in_trash(final_path):
            return self._verdicts.of(question)
        try:
            os.stat(self.storage / "Trash")
        except FileNotFoundError:  # nothing was ever removed
            return Gone()
        except OSError:  # a refusal is not "gone": what looks into it says so
            pass
        return self._verdicts_on_trash.of(question)

    def verdicts(self, questions: Sequence[Question], threads: int) -> list[Verdict]:
        """`verdict` for many, in order, read in several threads. Raises VaultTrouble."""
        in_trash = [one for one in questions if is_in_trash(one.final_path)]
        if not in_trash:
            return self._verdicts.of_all(questions, threads)
        answers = {one: self.verdict(*one) for one in dict.fromkeys(in_trash)}
        others = [one for one in questions if one not in answers]
        answers |= zip(others, self._verdicts.of_all(others, threads), strict=True)
        return [answers[one] for one in questions]

    def interrupt(self) -> None:
        """From another thread or a signal handler: verdicts under way are given up, and raise VaultTrouble."""
        self._verdicts.interrupt()
        self._verdicts_on_trash.interrupt()

    def looks_kept(self, final_path: str, size: int) -> bool:
        """Whether a regular file of that size stands there, no link on the way.

        Nothing may be removed because of this: see `verdict`. Raises VaultTrouble.
        """
        relative = checked_path(final_path).partition("/")[2]
        try:
            originals = open_folder(self.originals)
            try:
                status = lstat_beneath(originals, relative)
            finally:
                os.close(originals)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return False
            raise VaultTrouble.from_os(error, f"look at {self.storage / final_path}") from error
        return stat.S_ISREG(status.st_mode) and status.st_size == size

    def look_kept(self, asked: Sequence[tuple[str, int]]) -> list[bool]:
        """`looks_kept` for many paths and sizes, in order; each day's folder is opened once. Raises VaultTrouble."""
        kept = [False] * len(asked)
        if not asked:  # before the first photo there need be no vault
            return kept
        open_parent, day = "", -1
        try:
            originals = open_folder(self.originals)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"look into the vault {self.originals}") from error
        try:
            for index in sorted(range(len(asked)), key=lambda one: asked[one][0]):
                path, size = asked[index]
                parent, _, name = checked_path(path).rpartition("/")
                try:
                    if parent != open_parent:
                        if day >= 0:
                            os.close(day)
                        open_parent, day = parent, -1
                        day = open_beneath(originals, parent.partition("/")[2], THROUGH)
                    if day < 0:  # as for the one before
                        continue
                    status = os.stat(name, dir_fd=day, follow_symlinks=False)
                except OSError as error:
                    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                        continue
                    raise VaultTrouble.from_os(error, f"look at {self.storage / path}") from error
                kept[index] = stat.S_ISREG(status.st_mode) and status.st_size == size
        finally:
            if day >= 0:
                os.close(day)
            os.close(originals)
        return kept

    def put_away(self, final_path: str, rotten: Rotten) -> str:
        """Moves what is not the original any more from its place to `damaged`, durably; its new path.

        Under the vault's lock. Raises VaultTrouble, and CannotMoveAside where it stays.
        """
        kept_at = self.damaged.move_aside(final_path, rotten)
        logger.error("%s is damaged: %s. It was moved to %s; look at the disk", final_path, rotten.reason, kept_at)
        self._is_free(final_path, rotten.state.inode)
        return kept_at

    def take_place(self, standing: str, final_path: str) -> bool:
        """Renames a file of the vault durably to the path of the original that it is; whether that path was free.

        Under the vault's lock. Raises VaultTrouble.
        """
        (old_folder, old_name), (parent, name) = os.path.split(standing), os.path.split(checked_path(final_path))
        source, target = self.folder(old_folder), self.folder(parent)
        old = source.at(old_name)
        if target.holder(name) is not None:
            return False
        try:
            inode = os.lstat(old).st_ino
            rename_unless_taken(old, target.at(name))
            for folder in dict.fromkeys((target, source)):
                fsync(folder.fd)
        except FileExistsError:
            return False
        except OSError as error:
            raise VaultTrouble.from_os(error, f"rename {old}") from error
        self._is_free(standing, inode)
        target.add(name, inode)
        target.changed_only_by_us()
        return True

    def take_free_place(self, folder: int, name: str, final_path: str, besides: str | None = None) -> bool:
        """Gives a finished file of an open folder, which is no day's, the path of an original, durably; whether it was
        free. `besides`: a name there that may differ from it in case: the file's own.

        Under the vault's lock. Raises VaultTrouble, and OSError: EXDEV where it is on another filesystem.
        """
        parent, wanted = os.path.split(checked_path(final_path))
        target = self.folder(parent)
        if target.holder(wanted) not in (None, besides):
            return False
        try:
            inode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino
            rename_unless_taken_at(folder, name, target.fd, wanted)
            for way in (".", "..", "../.."):  # a folder that was just made needs its name too
                fsync_path(way, os.O_DIRECTORY, dir_fd=target.fd)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise
            raise VaultTrouble.from_os(error, f"put a file at {final_path}") from error
        target.add(wanted, inode)
        target.changed_only_by_us()
        return True

    def _is_free(self, final_path: str, inode: int) -> None:
        parent, name = os.path.split(final_path)
        folder = self.folder(parent)
        if folder.holder(name) == name:
            folder.remove(name, inode)
        folder.changed_only_by_us()

    def find(self, final_path: str, original_name: str, size: int, sha256: str) -> str | None:
        """Where this content stands: at its path, or under another number of its name (moved, not yet recorded)."""
        if isinstance(self.verdict(final_path, sha256, size), Living):
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
            fsync(folder.fd)  # the row that is written next names the new path
        except OSError as error:
            raise VaultTrouble.from_os(error, f"rename {folder.path / old_name}") from error
        folder.remove(old_name, inode)
        folder.add(name, inode)
        folder.changed_only_by_us()
        return f"{parent}/{name}"

    def rename_unrecorded(self, path: str, name: str) -> bool:
        """Gives an unrecorded file another name in its folder, durably; False: it keeps its own.

        (The name is taken, or the filesystem or the folder refuses: the file is as safe as before.) Raises
        VaultTrouble where nobody knows whether the new name is on disk.
        """
        parent, old_name = os.path.split(path)
        folder = self.folder(parent)
        try:
            inode = os.lstat(folder.at(old_name)).st_ino
            rename_unless_taken(folder.at(old_name), folder.at(name))
        except OSError as error:
            logger.warning("%s keeps its name, it cannot be named %s: %s", path, name, error.strerror)
            return False
        folder.remove(old_name, inode)
        folder.add(name, inode)
        try:
            fsync(folder.fd)  # the row that is written next names the new path
        except OSError as error:
            raise VaultTrouble.from_os(error, f"rename {folder.path / old_name}") from error
        folder.changed_only_by_us()
        return True

    @contextmanager
    def durably(self) -> Iterator[None]:
        """Whatever is written into the vault inside the block is on disk when the block ends.

        One `syncfs` for all of it; opened before, so that a write-back error in between is told to us. (Where that
        does not reach far enough, who placed the files has synced each already.)
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
