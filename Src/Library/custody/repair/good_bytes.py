"""Where good bytes are fetched from: a source is asked for the bytes of an item, and never believed.

A folder of files is one; a copy elsewhere can be another. Whoever fetches hashes what was written, by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from Src.Library.custody.item import Item
from Src.Library.tree import File, Odd, walk
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.disk.beneath import open_beneath
from Src.Shared.disk.files import OPEN_FLAGS
from Src.Shared.disk.top import Top, open_top
from Src.Shared.errors import FactoryError
from Src.Shared.words import counted

GoOn = Callable[[], None]  # called now and then; it may raise to give up
_CHUNK = 1024 * 1024


class SourceTrouble(FactoryError):
    """A source as a whole gives nothing: it is not there any more, or cannot be reached. The message is one line."""

    about = "verify"


class Fetched(NamedTuple):
    """What is known of the file whose bytes were fetched, beside them."""

    where: str  # its path there, as `os.fsdecode` gives it, or its address: for events and people
    mtime_ns: int | None = None
    mode: int | None = None


class GoodBytes(Protocol):
    """A source."""

    @property
    def name(self) -> str:
        """As a person gave it."""

    @property
    def trouble(self) -> str:
        """What of it could not be looked at so far, as one line; empty where there was no such thing."""

    def look(self, wanted: Sequence[Item], go_on: GoOn) -> None:
        """Finds out what it may have of these; once, before anything is fetched. Raises SourceTrouble."""

    def fetch(self, item: Item, into: int, go_on: GoOn) -> Fetched | None:
        """Writes an item's bytes into an open, empty file, which is private to the caller; None: it has none of them.

        Raises SourceTrouble, and VaultTrouble where the file cannot be written.
        """


class BytesByHash:
    """What is asked by hash, a file at a time, as a copy elsewhere."""

    def __init__(
        self,
        name: str,
        fetch: Callable[[str, int], object],
        *,
        has_none: type[Exception],
        trouble: type[Exception],
    ) -> None:
        """`fetch`: writes the bytes of a SHA-256 into an open file; it raises `has_none` where it has none of these,
        `trouble` where it cannot be reached, and OSError where the file cannot be written."""
        self.name = name
        self.trouble = ""
        self._fetch = fetch
        self._has_none = has_none
        self._trouble = trouble

    def look(self, wanted: Sequence[Item], go_on: GoOn) -> None:
        pass  # it knows what it has

    def fetch(self, item: Item, into: int, go_on: GoOn) -> Fetched | None:
        go_on()
        try:
            self._fetch(item.sha256, into)
        except self._has_none as problem:
            self.trouble = str(problem)
            return None
        except self._trouble as problem:
            raise SourceTrouble(f"--restore-from {self.name}: {problem}") from problem
        except OSError as error:
            raise VaultTrouble.from_os(error, "write good bytes into the vault's storage") from error
        return Fetched(f"the copy {self.name}")


class FolderOfBytes:
    """A folder with any files in it: a mirror of the vault, an old disk, a backup in which they have other names.

    It may be a stranger's: links are not followed, and only regular files are opened.
    """

    def __init__(self, folder: Path) -> None:
        """Raises SourceTrouble where it is no folder that can be opened."""
        self.name = str(folder)
        try:
            self._top = Top.of(folder)
        except OSError as error:
            raise SourceTrouble(f"--restore-from {folder}: {error.strerror}") from error
        self._of_size: dict[int, _OfSize] = {}
        self._unread: dict[str, None] = {}

    @property
    def trouble(self) -> str:
        if not self._unread:
            return ""
        what = counted(len(self._unread), "entry", "entries")
        return f"{what} of {self.name} could not be looked at or read, the first is {next(iter(self._unread))}"

    def look(self, wanted: Sequence[Item], go_on: GoOn) -> None:
        self._of_size = {item.size: _OfSize() for item in wanted}
        root = self._open()
        try:
            for found in walk(root, passed_over=lambda *_: None):
                go_on()
                if isinstance(found, File) and found.state.size in self._of_size:
                    self._of_size[found.state.size].add(found.path)
                elif isinstance(found, Odd) and found.kind == "unreadable":
                    self._unread[found.path or "."] = None
        finally:
            os.close(root)

    def fetch(self, item: Item, into: int, go_on: GoOn) -> Fetched | None:
        """By name first, as in a mirror: what has it is copied at once. Each other file is hashed at most once."""
        alike = self._of_size.get(item.size)
        if alike is None:
            return None
        root = self._open()
        try:
            for path in alike.named(item):
                found = self._copy(root, path, item, into, go_on)
                if found is not None:
                    return found
            for path in alike.unread():
                if self._hash(root, path, item.size, go_on) == item.sha256:
                    found = self._copy(root, path, item, into, go_on)
                    if found is not None:
                        return found
        finally:
            os.close(root)
        return None

    def _open(self) -> int:
        try:
            return open_top(self._top)
        except OSError as error:
            raise SourceTrouble(f"--restore-from {self.name}: {error.strerror}") from error

    def _copy(self, root: int, path: str, item: Item, into: int, go_on: GoOn) -> Fetched | None:
        """None: it is something else, or cannot be read. Raises VaultTrouble."""
        with self._opened(root, path, item.size) as fd:
            if fd is None:
                return None
            status = os.fstat(fd)
            sha256 = _read(fd, item.size, into, go_on)
            self._of_size[item.size].was_read(path, sha256)
            if sha256 != item.sha256:
                return None
            return Fetched(os.path.join(self._top.path, path), status.st_mtime_ns, status.st_mode)
        return None

    def _hash(self, root: int, path: str, size: int, go_on: GoOn) -> str | None:
        with self._opened(root, path, size) as fd:
            sha256 = None if fd is None else _read(fd, size, None, go_on)
            self._of_size[size].was_read(path, sha256)
            return sha256
        self._of_size[size].was_read(path, None)
        return None

    @contextlib.contextmanager
    def _opened(self, root: int, path: str, size: int) -> Iterator[int | None]:
        """None where it is no regular file of that size any more. One that cannot be read is noted, and ends the block:
        others may be readable."""
        try:
            fd = open_beneath(root, path, OPEN_FLAGS)
        except OSError:
            self._unread[path] = None
            yield None
            return
        try:
            status = os.fstat(fd)
            yield fd if stat.S_ISREG(status.st_mode) and status.st_size == size else None
        except OSError:
            self._unread[path] = None
        finally:
            os.close(fd)


class _OfSize:
    """The files of one size: many, where a camera gives all raw photos the same one. None is asked for twice."""

    def __init__(self) -> None:
        self._named: dict[str, list[str]] = {}
        self._unread: dict[str, None] = {}
        self._by_hash: dict[str, list[str]] = {}

    def add(self, path: str) -> None:
        self._named.setdefault(_name(path), []).append(path)
        self._unread[path] = None

    def was_read(self, path: str, sha256: str | None) -> None:
        """`sha256`: None where it could not be read."""
        if path in self._unread:
            del self._unread[path]
            if sha256 is not None:
                self._by_hash.setdefault(sha256, []).append(path)

    def named(self, item: Item) -> list[str]:
        """What may be it: what has its bytes, then what has its name: the one that stands as in the vault first."""
        place = "/" + item.path.partition("/")[2]
        same = sorted(self._named.get(_name(item.path), ()), key=lambda one: not _ends(one, place))
        return [*self._by_hash.get(item.sha256, ()), *(one for one in same if one in self._unread)]

    def unread(self) -> list[str]:
        return list(self._unread)


def _name(path: str) -> str:
    return os.path.basename(path).casefold()


def _ends(path: str, place: str) -> bool:
    return f"/{path}".endswith(place)


def _read(fd: int, size: int, into: int | None, go_on: GoOn) -> str:
    """SHA-256 of an open file, no further than its size and one byte; `into`: what is copied there, from its beginning.

    Raises OSError where it cannot be read, VaultTrouble where that cannot be written.
    """
    digest = hashlib.sha256()
    os.lseek(fd, 0, os.SEEK_SET)
    if into is not None:
        os.ftruncate(into, 0)
        os.lseek(into, 0, os.SEEK_SET)
    left = size + 1
    while left > 0 and (chunk := os.read(fd, min(_CHUNK, left))):
        left -= len(chunk)
        digest.update(chunk)
        if into is not None:
            _write(into, memoryview(chunk))
        go_on()
    return digest.hexdigest()


def _write(into: int, chunk: memoryview) -> None:
    try:
        while chunk:
            chunk = chunk[os.write(into, chunk) :]
    except OSError as error:
        raise VaultTrouble.from_os(error, "write good bytes into the vault's storage") from error
