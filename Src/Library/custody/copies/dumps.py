"""Backups of the database at a copy: brought there, read back, and the old ones removed.

One counts only while it was read back right, as all else there; only those that do make an older one needless.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from Src.Library.custody.copies.done import CopyDone
from Src.Library.custody.copies.retention import FOLDER, moment_of, to_remove
from Src.Library.custody.copies.rows import CopyRow, CopyRows, There
from Src.Library.custody.copies.target import PIECE, Target, content_at, sha256_at
from Src.Library.custody.copies.trouble import FileRefused, NotThere

logger = logging.getLogger(__name__)

_HASH = re.compile("[0-9a-f]{64}")
_LONGEST = 1 << 12  # bytes of a file with a hash


class Dump(NamedTuple):
    """A dump of the database, on this machine."""

    file: Path
    rows: dict[str, int]


class DumpsThere:
    """Those of one copy, in one run. All raise CopyTrouble."""

    def __init__(
        self, rows: CopyRows, row: CopyRow, target: Target, done: CopyDone, aside: str, check: Callable[[], None]
    ) -> None:
        """`aside`: the folder there for what is damaged. `check` raises where the copy is gone, or another one."""
        self._rows, self._row, self._target = rows, row, target
        self._done, self._aside, self._check = done, aside, check

    def bring(self, dump: Dump) -> None:
        """What is wrong there goes aside at once: nothing is kept or removed for it."""
        path = f"{FOLDER}/{dump.file.name}"
        digest = hashlib.sha256()
        try:
            with open(dump.file, "rb") as file:
                while piece := file.read(PIECE):
                    digest.update(piece)
                file.seek(0)
                self._target.put(path, iter(lambda: file.read(PIECE), b""))
            sha256 = digest.hexdigest()
            self._target.put(f"{path}.sha256", [f"{sha256}  {dump.file.name}\n".encode()], replaces=True)
            self._target.settle()
            is_right = self._is_right(path, sha256)
        except (FileRefused, NotThere, OSError) as error:
            self._fail(path, str(error) or "it is not there, where it was just written")
            return
        if not is_right:
            self._put_aside(path)
            self._fail(path, "what was written there reads back as other bytes; check that disk")
            return
        self._rows.dumped(self._row.id, path, sha256, dump.rows)
        self._done.database = path

    def remove_old(self) -> None:
        """Those that need not stay beside others that are right."""
        good = []
        try:
            standing = sorted(path for path, _ in self._target.files(FOLDER))
        except FileRefused:
            return
        for path in standing:
            name = path.removeprefix(f"{FOLDER}/")
            if moment_of(name) is not None and self._is_good(path):
                good.append(name)
        for name in to_remove(good, datetime.now(UTC)):
            self._check()
            path = f"{FOLDER}/{name}"
            self._forget(path)
            with suppress(FileRefused):
                self._target.remove(path)
                self._target.remove(f"{path}.sha256")

    def _is_good(self, path: str) -> bool:
        """Whether it was read back, and right, or is so now, by the file with its hash."""
        if self._rows.at(self._row.id, path) is not None:  # this run has looked whether it may have been written to
            return True
        try:
            content = content_at(self._target, f"{path}.sha256", _LONGEST) or b""
            noted = _HASH.match(content.decode(errors="replace"))
            if noted is None:
                return False
            is_right = self._is_right(path, noted[0])
        except NotThere:
            return False
        except FileRefused as error:
            self._done.wrong[path] = str(error)
            return False
        if not is_right:
            self._put_aside(path)
            self._done.wrong[path] = f"it had other bytes there; it is in {self._aside}"
        return is_right

    def _is_right(self, path: str, sha256: str) -> bool:
        """By reading it; where it is, it counts from now on. Raises NotThere, FileRefused."""
        stored = self._target.stored(path)
        if stored is None:
            raise NotThere
        found, size = sha256_at(self._target, path)
        self._check()
        if found != sha256:
            return False
        there = There(path, sha256, size, None, stored.stamp, datetime.now(UTC))
        self._rows.note_there(self._row.id, [there])
        return True

    def _put_aside(self, path: str) -> None:
        self._forget(path)
        logger.warning("%s: %s: it has other bytes there; it goes to %s", self._row.name, path, self._aside)
        for one in (path, f"{path}.sha256"):
            with suppress(FileRefused):
                self._target.move(one, f"{self._aside}/{one}")

    def _forget(self, path: str) -> None:
        there = self._rows.at(self._row.id, path)
        if there is not None:
            self._rows.forget(self._row.id, [there])

    def _fail(self, path: str, why: str) -> None:
        logger.warning("%s: %s: not copied: %s", self._row.name, path, why)
        self._done.failed[path] = why
