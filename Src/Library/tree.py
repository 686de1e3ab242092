"""What lies below a folder: files, folders, and what stays there because nobody can file it. No link is followed.

The walk goes by descriptors, so a path may be of any length, and a folder that is swapped for a link meanwhile leads
nowhere. Of a folder only some thousand names are in memory at once, however many it has.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from typing import Literal, NamedTuple

from Src.Shared.disk.beneath import open_beneath
from Src.Shared.disk.files import FileState

OddKind = Literal["unreadable", "link", "special"]

_TO_LIST = os.O_RDONLY | os.O_DIRECTORY
_AT_ONCE = 16_384  # entries of one folder that are sorted in memory
_MOST_PARTS = 8  # a folder is read about as often: what is larger has larger parts
_EACH = 64  # every so manieth name says where parts end
# Gone, or swapped for something else, since its name was read.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class File(NamedTuple):
    """A regular file."""

    path: str  # relative to the top, as all paths here
    state: FileState


class Folder(NamedTuple):
    """A folder below the top, before what is in it."""

    path: str
    state: FileState


class Odd(NamedTuple):
    """What cannot be filed as it is: a folder or file that cannot be looked at, a link, a FIFO, a device, a socket."""

    path: str
    kind: OddKind
    reason: str
    state: FileState | None  # of the thing itself, where that could be looked at


class Skipped(NamedTuple):
    """What is not looked at: anything but a folder, or a folder that cannot be read, with the reason."""

    path: str
    reason: str


Why = str | bool | None  # the reason for not looking at something; False or None: it is looked at


def walk(
    root: int,
    start: str = "",
    *,
    passed_over: Callable[[str, str, bool], Why],
    closed: Callable[[int, Iterator[str]], Why] | None = None,
) -> Generator[File | Folder | Odd, None, None]:
    """Everything at and below a folder, folder by folder, each by its names; `root` is the open top.

    `passed_over`: why something is not looked at, by its name, its folder's name, and whether it is a folder
    itself. `closed`: why a folder is not entered, by its descriptor and the names in it, in no order. A start that is
    not there, or no folder, has nothing below it.

    A folder of more than some 16,000 entries is read in parts, so what is renamed in it meanwhile may be left out:
    who needs all of it must look again.
    """
    for found in _walk(root, start, passed_over, closed, all_of_it=False):
        if not isinstance(found, Skipped):
            yield found


def walk_all(
    root: int,
    *,
    passed_over: Callable[[str, str, bool], Why],
    closed: Callable[[int, Iterator[str]], Why] | None = None,
) -> Generator[File | Folder | Odd | Skipped, None, None]:
    """As `walk`, with every entry of what is not looked at, however deep."""
    yield from _walk(root, "", passed_over, closed, all_of_it=True)


def _walk(
    root: int,
    start: str,
    passed_over: Callable[[str, str, bool], Why],
    closed: Callable[[int, Iterator[str]], Why] | None,
    *,
    all_of_it: bool,
) -> Generator[File | Folder | Odd | Skipped, None, None]:
    folders: list[tuple[str, Why]] = [(start, None)]
    while folders:
        path, why = folders.pop()
        try:
            fd = open_beneath(root, path, _TO_LIST)
        except OSError as error:
            if why and error.errno not in _NOT_THERE:
                yield Skipped(path, str(why))
            elif error.errno not in _NOT_THERE:
                yield Odd(path, "unreadable", f"cannot be read: {error.strerror}", _state_at(root, path))
            continue
        inner: list[tuple[str, Why]] = []
        try:
            if why:
                yield from _skipped(fd, path, why, inner)
            else:
                yield from _listed(fd, path, inner, passed_over, closed)
        finally:
            os.close(fd)
        folders += reversed(inner if all_of_it else [one for one in inner if not one[1]])


def _skipped(fd: int, path: str, why: Why, inner: list[tuple[str, Why]]) -> Iterator[Skipped]:
    """Nothing is asked of what is in there but which are folders."""
    prefix = f"{path}/" if path else ""
    try:
        with os.scandir(fd) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    inner.append((prefix + entry.name, why))
                else:
                    yield Skipped(prefix + entry.name, str(why))
    except OSError:
        yield Skipped(path, str(why))


def _listed(
    fd: int,
    path: str,
    inner: list[tuple[str, Why]],
    passed_over: Callable[[str, str, bool], Why],
    closed: Callable[[int, Iterator[str]], Why] | None,
) -> Iterator[File | Folder | Odd | Skipped]:
    own = FileState.of(os.fstat(fd))
    try:
        entries, borders = _begun(fd)
        if closed is not None and (why := _why_closed(fd, closed, entries, borders)):
            inner.append((path, why))
            return
    except OSError as error:
        yield Odd(path, "unreadable", f"cannot be read: {error.strerror}", own)
        return
    if path:
        yield Folder(path, own)
    prefix, parent = f"{path}/" if path else "", os.path.basename(path)
    while entries or len(borders) > 1:
        if not entries:
            try:
                entries = _part(fd, borders.pop(0), borders[0])
            except OSError as error:
                yield Odd(path, "unreadable", f"cannot be read: {error.strerror}", own)
                return
            continue
        entry = entries.pop()  # an entry keeps what its stat returned, some 0.9 KB: it is let go here
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            why = passed_over(entry.name, parent, is_folder)
            if is_folder:
                inner.append((prefix + entry.name, why))
                continue
            if why:
                yield Skipped(prefix + entry.name, str(why))
                continue
            state = FileState.of(status := entry.stat(follow_symlinks=False))
        except FileNotFoundError:
            continue
        except PermissionError as error:  # none of the files here can be looked at: said once
            yield Odd(path, "unreadable", f"its files cannot be looked at: {error.strerror}", own)
            inner.clear()
            return
        except OSError as error:
            yield Odd(prefix + entry.name, "unreadable", f"cannot be looked at: {error.strerror}", None)
            continue
        if stat.S_ISREG(status.st_mode):
            yield File(prefix + entry.name, state)
        else:
            yield odd(prefix + entry.name, status)


def _begun(fd: int) -> tuple[list[os.DirEntry[str]], list[str]]:
    """The first part of a folder's entries, the last name first, and the names before which parts end.

    The last part ends before no name: there it is empty. Raises OSError.
    """
    with os.scandir(fd) as found:
        entries = list(islice(found, _AT_ONCE))
        some, count = [entry.name for entry in entries[::_EACH]], len(entries)
        for entry in found:
            count += 1
            if count % _EACH == 0:
                some.append(entry.name)
    if count <= _AT_ONCE:
        return sorted(entries, key=_name_of, reverse=True), [""]
    del entries
    some.sort()
    parts = min(-(-count // _AT_ONCE), _MOST_PARTS)
    borders = [*(some[len(some) * part // parts] for part in range(1, parts)), ""]
    return _part(fd, "", borders[0]), borders


def _part(fd: int, first: str, end: str) -> list[os.DirEntry[str]]:
    """The entries from one name on, before another one, the last name first. Raises OSError."""
    with os.scandir(fd) as found:
        some = [entry for entry in found if first <= entry.name and (not end or entry.name < end)]
    some.sort(key=_name_of, reverse=True)
    return some


def _why_closed(
    fd: int, closed: Callable[[int, Iterator[str]], Why], entries: list[os.DirEntry[str]], borders: list[str]
) -> Why:
    """Raises OSError."""
    if len(borders) == 1:  # all are there
        return closed(fd, (entry.name for entry in entries))
    with os.scandir(fd) as found:
        return closed(fd, (entry.name for entry in found))


def odd(path: str, status: os.stat_result) -> Odd:
    """What is neither a regular file nor a folder."""
    if stat.S_ISLNK(status.st_mode):
        return Odd(path, "link", "a symbolic link; links are not followed", FileState.of(status))
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(status.st_mode), "a device")
    return Odd(path, "special", f"{kind}; it holds no photo", FileState.of(status))


def _state_at(root: int, path: str) -> FileState | None:
    try:
        fd = open_beneath(root, path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        return FileState.of(os.fstat(fd))
    finally:
        os.close(fd)


def _name_of(entry: os.DirEntry[str]) -> str:
    return entry.name
