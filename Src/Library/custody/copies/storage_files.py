"""What stands beside originals and around them in the storage, and goes into a copy too."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator

from Src.Library.custody.copies.wanted import NotHere, Wanted, as_it_is
from Src.Library.custody.rows import Rows
from Src.Shared.disk.beneath import open_beneath

Fail = Callable[[str, str], None]  # a path, and why it is not copied
_TO_LIST = os.O_RDONLY | os.O_DIRECTORY


def log_like(path: str) -> bool:
    """Whether a file only ever grows at its end."""
    return path.endswith(".jsonl") or path == "Manifests/chain.log"


def begins_with(whole: Iterator[bytes], start: Iterable[bytes]) -> bool:
    """Whether content begins with other content, piece by piece: no more is read of either than is needed."""
    held = b""
    for piece in start:
        while len(held) < len(piece):
            more = next(whole, None)
            if more is None:
                return False
            held += more
        if held[: len(piece)] != piece:
            return False
        held = held[len(piece) :]
    return True


def companions(rows: Rows, storage: int, fail: Fail) -> Iterator[Wanted]:
    """What belongs to originals and stands beside them."""
    for item, original in rows.companions_and_originals():
        if not item.may_change:
            yield Wanted(item.path, item.sha256, item.size, original)
            continue
        try:
            yield as_it_is(storage, item.path, original)
        except NotHere as error:
            fail(item.path, str(error))


def decisions_and_lists(storage: int, fail: Fail) -> Iterator[Wanted]:
    """What people have decided, and then the signed lists: of these, the head of the chain comes last."""
    last: list[str] = []
    for top in ("Overlay", "Manifests"):
        for path in _files(storage, top, fail):
            if path.startswith("Manifests/chain."):
                last.append(path)
                continue
            with _failing(path, fail):
                yield as_it_is(storage, path)
    for path in last:
        with _failing(path, fail):
            yield as_it_is(storage, path)


@contextlib.contextmanager
def _failing(path: str, fail: Fail) -> Iterator[None]:
    try:
        yield
    except NotHere as error:
        fail(path, str(error))


def _files(storage: int, top: str, fail: Fail) -> Iterator[str]:
    """By path; hidden ones are what is being written."""
    try:
        fd = open_beneath(storage, top, _TO_LIST)
    except FileNotFoundError:
        return
    except OSError as error:
        fail(top, f"it cannot be listed here: {error.strerror}")
        return
    try:
        with os.scandir(fd) as entries:
            found = sorted((one.name, one.is_dir(follow_symlinks=False)) for one in entries)
    except OSError as error:
        fail(top, f"it cannot be listed here: {error.strerror}")
        return
    finally:
        os.close(fd)
    for name, is_folder in found:
        if name.startswith("."):
            continue
        if is_folder:
            yield from _files(storage, f"{top}/{name}", fail)
        else:
            yield f"{top}/{name}"
