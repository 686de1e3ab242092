"""The hashes of files that have not changed since they were read: those need not be read again.

Two levels: the latest entries in memory, all in the ledger's table `hash_cache`. A file is taken for what it was where
filesystem, inode, size, mtime, ctime and path are the same: every write gives it another ctime. Where inodes and ctime
say nothing (FAT, exFAT, network shares) only path, size and mtime are left, which any program can set as it likes; such
an entry is good enough to pass a source over, and never to verify anything.

A file that was written shortly before it was read could be written once more within the same tick of the filesystem's
clock, and show the same times with other bytes. Its hash is not remembered (as git does not believe an entry as young
as its index). Nor does this say anything of bytes that a disk lost by itself, or that someone changes in mapped memory
and the kernel has not written yet. So no decision to remove anything, and no verdict on an original, may rest on it.
"""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

from psycopg2.errors import UndefinedTable
from sqlalchemy import ColumnElement, Table, Text, any_, bindparam, delete, func, select, update
from sqlalchemy import cast as cast_
from sqlalchemy.dialects.postgresql import ARRAY, UUID, insert
from sqlalchemy.exc import ProgrammingError

from Src.Library.held_files import path_id, path_key
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.disk.files import FileState
from Src.Shared.disk.filesystem_id import FilesystemId, filesystem_id
from Src.Shared.ledger_text import int8, to_ledger
from Src.Shared.models import HashCacheEntry

COARSEST_CLOCK = 3.0  # seconds: FAT's tick of two, and one for the reading of clocks
_SEEN_AGAIN = timedelta(days=1)  # until an entry that is of use is written anew
_IN_MEMORY = 20_000  # entries; some 10 MB

_CACHE = cast(Table, HashCacheEntry.__table__)
_KEY = ("filesystem", "inode", "file_size", "mtime_ns", "ctime_ns")
# A row's key goes to the ledger as text, and its path comes back: making UUIDs and times would take as long as all
# the rest.
_ASKED = select(
    _CACHE.c.original_path,
    *(_CACHE.c[name] for name in _KEY),
    _CACHE.c.file_hash,
    _CACHE.c.seen_at < func.now() - _SEEN_AGAIN,
).where(_CACHE.c.path_id == any_(cast_(bindparam("ids", type_=ARRAY(Text)), ARRAY(UUID))))


class CachedFile(NamedTuple):
    """A file to be known again. `path` is absolute, as `os.fsdecode` gives it."""

    path: str
    state: FileState


class _Key(NamedTuple):
    """What must be the same. Without inode and ctime where they say nothing."""

    filesystem: str
    inode: int | None
    file_size: int
    mtime_ns: int
    ctime_ns: int | None


@dataclass(slots=True)
class CacheUse:
    """How often it was asked, and what for."""

    hits: int = 0
    misses: int = 0

    @property
    def rate(self) -> float:
        """Share of hits; 0 where nothing was asked."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0

    def as_json(self) -> dict[str, float]:
        return {"hits": self.hits, "misses": self.misses, "rate": round(self.rate, 4)}


class HashCache:
    """Of one process. While the ledger is away, or has no such table yet, only what is in memory is known."""

    def __init__(
        self,
        database: Database,
        *,
        only_look: bool = False,
        filesystem_of: Callable[[Path], FilesystemId] = filesystem_id,
    ) -> None:
        """`only_look`: nothing in the ledger is changed."""
        self._database = database
        self._only_look = only_look
        self._filesystem_of = filesystem_of
        self._filesystems: dict[int, FilesystemId] = {}  # by device, for as long as we run
        self._memory: OrderedDict[str, tuple[_Key, str]] = OrderedDict()
        self.use = CacheUse()

    def hashes(self, files: Iterable[CachedFile], *, to_verify: bool = False) -> dict[str, str]:
        """SHA-256 by path, of those that are as they were. One question to the ledger.

        `to_verify`: only where inode and ctime say so. Entries of files that have changed are dropped.
        """
        found: dict[str, str] = {}
        asked: dict[str, tuple[str, _Key]] = {}  # by the path as ledger text
        for path, state in files:
            key = self._key(path, state)
            if key is None or (to_verify and key.inode is None):
                self.use.misses += 1
                continue
            known = self._memory.get(path)
            if known is not None and known[0] == key:
                self._memory.move_to_end(path)
                found[path] = known[1]
            else:
                asked[to_ledger(path)] = path, key
        for path, known_key, sha256 in self._ask(asked):
            found[path] = sha256
            self._keep(path, known_key, sha256)
        self.use.hits += len(found)
        self.use.misses += sum(path not in found for path, _ in asked.values())
        return found

    def stand(self, files: Iterable[CachedFile]) -> dict[str, str | None]:
        """By path, of those that were read before: the SHA-256 where they are as they were then, else None.

        Only where inode and ctime say so. Nothing in the ledger is changed.
        """
        asked: dict[str, tuple[str, _Key]] = {}
        for path, state in files:
            key = self._key(path, state)
            if key is not None and key.inode is not None:
                asked[to_ledger(path)] = path, key
        if not asked:
            return {}
        found: dict[str, str | None] = {}
        with suppress(LedgerUnavailable), self._database.session() as session:
            for text_, *known, sha256, _ in session.execute(_ASKED, {"ids": [path_key(text_) for text_ in asked]}):
                path, key = asked[text_]
                found[path] = sha256 if tuple(known) == tuple(key) else None
        return found

    def remember(self, files: Sequence[tuple[CachedFile, str]], *, read_since: float) -> None:
        """What they hashed to. `read_since` (as `time.time`): none of them was read before that.

        They were then as their states say, and they were that again when they had been read.
        """
        old_enough = int((read_since - COARSEST_CLOCK) * 1e9)
        rows = []
        for (path, state), sha256 in files:
            key = self._key(path, state)
            if key is None or max(state.mtime_ns if key.ctime_ns is None else 0, state.ctime_ns) >= old_enough:
                continue
            self._keep(path, key, sha256)
            values = {"path_id": path_id(path), "original_path": to_ledger(path), "file_hash": sha256}
            rows.append({**values, **key._asdict(), "seen_at": datetime.now(UTC)})
        if not rows or self._only_look:
            return
        add = insert(_CACHE)
        replaced = {column.name: add.excluded[column.name] for column in _CACHE.c if column.name != "path_id"}
        statement = add.on_conflict_do_update(index_elements=["path_id"], set_=replaced)
        try:
            with self._database.session() as session:
                session.execute(statement.returning(_CACHE.c.path_id), rows)  # else SQLAlchemy sends each row by itself
        except LedgerUnavailable:
            pass  # they are read again next time

    def _ask(self, asked: dict[str, tuple[str, _Key]]) -> list[tuple[str, _Key, str]]:
        if not asked:
            return []
        found = list[tuple[str, _Key, str]]()
        stale, seen = list[str](), list[str]()
        try:
            with self._database.session() as session:
                ids = {"ids": [path_key(text_) for text_ in asked]}
                rows: Sequence[Any] = session.execute(_ASKED, ids).all()
                for text_, filesystem, inode, size, mtime_ns, ctime_ns, sha256, is_old in rows:
                    path, key = asked[text_]
                    if (filesystem, inode, size, mtime_ns, ctime_ns) != tuple(key):
                        stale.append(text_)
                        continue
                    found.append((path, key, sha256))
                    if is_old:
                        seen.append(text_)
                if stale and not self._only_look:
                    session.execute(delete(_CACHE).where(_among(stale)))
                if seen and not self._only_look:
                    now = {"seen_at": datetime.now(UTC)}
                    session.execute(update(_CACHE).where(_among(seen)).values(**now))
        except LedgerUnavailable:
            return []
        except ProgrammingError as error:
            if not isinstance(error.orig, UndefinedTable):  # a look at a ledger that was not brought up to date yet
                raise
            return []
        return found

    def _key(self, path: str, state: FileState) -> _Key | None:
        """None: the file's filesystem cannot be asked any more."""
        filesystem = self._filesystems.get(state.device)
        if filesystem is None:
            try:
                folder = Path(os.path.dirname(path))
                filesystem = self._filesystem_of(folder)
                if os.stat(folder).st_dev == state.device:
                    self._filesystems[state.device] = filesystem
            except OSError:
                return None
        size, mtime_ns = state.size, int8(state.mtime_ns)
        if not filesystem.keeps_numbers:
            return _Key(filesystem.uuid, None, size, mtime_ns, None)
        inode = state.inode - 2**64 if state.inode >= 2**63 else state.inode  # 64 bits, the ledger has a sign
        return _Key(filesystem.uuid, inode, size, mtime_ns, int8(state.ctime_ns))

    def _keep(self, path: str, key: _Key, sha256: str) -> None:
        self._memory[path] = key, sha256
        self._memory.move_to_end(path)
        if len(self._memory) > _IN_MEMORY:
            self._memory.popitem(last=False)


def _among(paths: Sequence[str]) -> ColumnElement[bool]:
    return _CACHE.c.path_id.in_([uuid.UUID(path_key(path)) for path in paths])
