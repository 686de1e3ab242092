"""What stands in the vault, and no row names it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from Src.Library.custody.item import Item
from Src.Library.custody.past_cache import sha256_past_cache
from Src.Library.custody.repair.staging import RESTORING
from Src.Library.custody.rows import PAGE, Rows
from Src.Library.damaged import DAMAGED
from Src.Library.original_path import is_path
from Src.Library.tree import File, Odd, walk
from Src.Library.xmp.looking import Beside, is_foreign_xmp
from Src.Media.companions import MOST_BYTES
from Src.Shared.disk.beneath import lstat_beneath, open_beneath
from Src.Shared.disk.files import OPEN_FLAGS
from Src.Shared.vault_marker import MARKER


class Stranger(NamedTuple):
    """A file, or what is none, without a row; or a folder into which nobody can look."""

    path: str  # as on disk, relative to the storage root
    why: str
    size: int | None = None  # of a file
    is_unreadable: bool = False


class Strangers:
    """Looks for them below one open folder of originals."""

    def __init__(self, root: int, rows: Rows, journaled: Callable[[], set[str]], go_on: Callable[[], None]) -> None:
        """`journaled`: the paths of originals whose rows are still to come. `go_on` may raise to give up."""
        self._root = root
        self._rows = rows
        self._journaled = journaled
        self._go_on = go_on

    def found(self) -> Iterator[list[Stranger]]:
        """Some at a time. Raises LedgerUnavailable."""
        things = walk(self._root, passed_over=_is_the_factorys)
        standing = (found for found in things if isinstance(found, File | Odd))
        while some := list(islice(standing, PAGE)):
            self._go_on()
            strangers = [_stranger(one) for one in some]
            named = self._rows.named([one.path for one in strangers])
            yield [one for one in strangers if one.path not in named]

    def still_there(self, some: Sequence[Stranger]) -> list[Stranger]:
        """Those of them that are no file under way: to be asked under the vault's lock."""
        if not some:
            return []
        named = self._rows.named([one.path for one in some]) | self._journaled()
        return [one for one in some if one.path not in named and (one.is_unreadable or self._stands(one.path))]

    def beside_originals(self, strangers: Sequence[Stranger]) -> set[str]:
        """XMP files that are named after an original of their folder: other programs make them there.

        The Librarian takes them over between two batches. One that is too large it never would.
        """
        folders: dict[str, list[str]] = {}
        for one in strangers:
            folder, _, name = one.path.rpartition("/")
            if one.size is not None and one.size <= MOST_BYTES and is_path(one.path) and is_foreign_xmp(name):
                folders.setdefault(folder, []).append(one.path)
        found: set[str] = set()
        for folder, paths in folders.items():
            try:
                beside = Beside(self._names(folder))
            except OSError:  # nothing is known of it
                continue
            of = {path: [f"{folder}/{one}" for one in beside.originals(os.path.basename(path))] for path in paths}
            known = self._rows.of_originals([one for others in of.values() for one in others])
            found |= {path for path, others in of.items() if not known.isdisjoint(others)}
        return found

    def _names(self, folder: str) -> list[str]:
        fd = open_beneath(self._root, folder.partition("/")[2], os.O_RDONLY | os.O_DIRECTORY)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)

    def moved(self, lost: Sequence[Item], strangers: Sequence[Stranger]) -> dict[str, str]:
        """By the path at which a file is missing: that of a stranger that has its bytes. Those are read."""
        of_size: dict[int, list[Item]] = {}
        for item in lost:
            of_size.setdefault(item.size, []).append(item)
        moved: dict[str, str] = {}
        for one in strangers:
            missing = of_size.get(one.size, []) if one.size is not None else []
            if not missing:
                continue
            sha256 = self._hash(one.path)
            for item in missing:
                if item.sha256 == sha256 and item.path not in moved:
                    moved[item.path] = one.path
                    break
        return moved

    def _stands(self, path: str) -> bool:
        try:
            lstat_beneath(self._root, path.partition("/")[2])
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            pass  # a refusal does not say that it has gone
        return True

    def _hash(self, path: str) -> str | None:
        with suppress(OSError):
            fd = open_beneath(self._root, path.partition("/")[2], OPEN_FLAGS)
            try:
                return sha256_past_cache(fd, self._go_on)[0]
            finally:
                os.close(fd)
        return None


def _is_the_factorys(name: str, parent: str, is_folder: bool) -> bool:
    """The marker, and what was moved aside or is under way where the originals are on a filesystem of their own."""
    return not parent and name in ((DAMAGED, RESTORING) if is_folder else (MARKER,))


def _stranger(found: File | Odd) -> Stranger:
    path = f"Originals/{found.path}" if found.path else "Originals"
    if isinstance(found, Odd):
        return Stranger(path, found.reason, is_unreadable=found.kind == "unreadable")
    why = "the database does not know it" if is_path(path) else "it stands in no day's folder"
    return Stranger(path, why, found.state.size)
