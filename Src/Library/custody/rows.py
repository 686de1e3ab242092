"""What the ledger says stands in the vault, in the order in which it is verified; and what verifying writes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Table, Text, and_, any_, bindparam, exists, func, literal, or_, select, text, tuple_
from sqlalchemy import cast as cast_
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, UUID
from sqlalchemy.orm import Session

from Src.Library.custody.item import Item
from Src.Library.finding_rows import (
    SPEAKS_OF_MODE,
    KnownTime,
    Wrong,
    note_right,
    note_times,
    note_wrong,
    times_when_filed,
)
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import Companion, FileMove, MediaAsset, OriginalFinding, OriginalLook

PAGE = 1000

_ASSETS = cast(Table, MediaAsset.__table__)
_COMPANIONS = cast(Table, Companion.__table__)
_FINDINGS = cast(Table, OriginalFinding.__table__)
_LOOKS = cast(Table, OriginalLook.__table__)

_KNOWN_TIME = and_(_LOOKS.c.asset_id == _ASSETS.c.id, _LOOKS.c.ingested_at == _ASSETS.c.ingested_at)
_ORIGINAL_COLUMNS = (
    *(_ASSETS.c[name] for name in ("id", "final_path", "file_size", "file_hash", "ingested_at")),
    *(_LOOKS.c.mtime_ns, _ASSETS.c.verified_at, _FINDINGS.c.finding),
)
_COMPANION_SIZE = func.coalesce(_COMPANIONS.c.standing_size, _COMPANIONS.c.companion_size)
_COMPANION_HASH = func.coalesce(_COMPANIONS.c.standing_hash, _COMPANIONS.c.companion_hash)  # last seen, or as it came
_COMPANION_COLUMNS = (
    *(_COMPANIONS.c[name] for name in ("id", "kind", "final_path")),
    _COMPANION_SIZE,
    _COMPANION_HASH,
    _COMPANIONS.c.filed_at,
    _COMPANIONS.c.standing_mtime_ns,
)
_STANDS = _COMPANIONS.c.final_path.is_not(None) & _COMPANIONS.c.filed_at.is_not(None)
_NEVER = literal("-infinity").cast(TIMESTAMP(timezone=True))
_LAST_READ = func.coalesce(_ASSETS.c.verified_at, _NEVER)
_VERIFIED = text(
    "UPDATE media_assets AS a SET verified_at = :moment FROM unnest(CAST(:ids AS uuid[]), CAST(:hashes AS text[]), "
    "CAST(:paths AS text[])) AS v(id, file_hash, final_path) "
    "WHERE a.id = v.id AND a.file_hash = v.file_hash AND a.final_path = v.final_path"
)

_CALLED = text(
    "SELECT n.name, a.final_path, a.file_size FROM unnest(CAST(:names AS text[])) AS n(name) "
    "JOIN media_assets AS a ON lower(a.original_name) = lower(n.name) ORDER BY a.id"
)

Sessions = Callable[[], AbstractContextManager[Session]]


class Total(NamedTuple):
    """Files of the vault that the ledger knows."""

    files: int
    bytes: int


class Readback(NamedTuple):
    """How much was read back, and since when."""

    originals: int
    never: int  # that were never read back, and right, since they came
    right: int  # that were, and of which nothing that was found since says otherwise
    since: datetime | None  # the oldest look at those


class Called(NamedTuple):
    """An original that came in under some name."""

    path: str
    size: int


class Rows:
    """The ledger of one vault. Raises LedgerUnavailable, and WrongLedger, wherever it is asked."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def total(self) -> Total:
        with self._sessions() as session:
            files, size = session.execute(select(func.count(), func.coalesce(func.sum(_ASSETS.c.file_size), 0))).one()
            sums = select(func.count(), func.coalesce(func.sum(_COMPANION_SIZE), 0)).where(_STANDS)
            more, more_size = session.execute(sums).one()
        return Total(int(files + more), int(size + more_size))

    def read_back(self) -> Readback:
        with self._sessions() as session:
            is_right = _ASSETS.c.verified_at.is_not(None) & ~exists().where(
                _FINDINGS.c.asset_id == _ASSETS.c.id, _FINDINGS.c.finding != SPEAKS_OF_MODE
            )
            asked = select(func.count(), func.count(_ASSETS.c.verified_at))
            count, read = session.execute(asked).one()
            asked_right = select(func.count(), func.min(_ASSETS.c.verified_at)).where(is_right)
            right, since = session.execute(asked_right).one()
        return Readback(int(count), int(count - read), int(right), since)

    # In order

    def all(self) -> Iterator[list[Item]]:
        """Everything, by path: originals, then what stands beside them."""
        after = ""
        while True:
            page = self._originals(_ASSETS.c.final_path > after, _ASSETS.c.final_path)
            yield page
            if len(page) < PAGE:
                break
            after = page[-1].text
        after = ""
        while True:
            page = self._companions(_COMPANIONS.c.final_path > after)
            yield page
            if len(page) < PAGE:
                return
            after = page[-1].text

    def companions_and_originals(self) -> Iterator[tuple[Item, str | None]]:
        """What stands beside originals, by path, each with the hash of the original that it belongs to."""
        after = ""
        while True:
            page = self._companions(_COMPANIONS.c.final_path > after)
            asked = select(_COMPANIONS.c.id, _COMPANIONS.c.original_hash).where(
                _COMPANIONS.c.id == any_(literal([one.id for one in page], ARRAY(UUID)))
            )
            with self._sessions() as session:
                of: dict[uuid.UUID, str | None] = dict(map(tuple, session.execute(asked)))
            yield from ((one, of.get(one.id)) for one in page)
            if len(page) < PAGE:
                return
            after = page[-1].text

    def oldest_look_first(self, began: datetime) -> Iterator[list[Item]]:
        """Originals that were not read since `began`, each page followed by what stands beside them."""
        order = tuple_(_LAST_READ, _ASSETS.c.id)
        after: Any = None
        while True:
            which = or_(_ASSETS.c.verified_at.is_(None), _ASSETS.c.verified_at < began)
            if after is not None:
                which = and_(which, order > after)
            page = self._originals(which, order)
            yield page
            yield self.beside(page)
            if len(page) < PAGE:
                return
            last = page[-1]
            known = _NEVER if last.verified_at is None else literal(last.verified_at, TIMESTAMP(timezone=True))
            after = tuple_(known, literal(last.id, UUID(as_uuid=True)))

    def sample(self, count: int) -> Iterator[list[Item]]:
        """So many originals by chance, each as likely as any other, with what stands beside them."""
        with self._sessions() as session:
            ids = list(session.execute(select(_ASSETS.c.id).order_by(func.random()).limit(count)).scalars())
        for page in self.these(ids):
            yield page
            yield self.beside(page)

    def these(self, ids: Sequence[uuid.UUID]) -> Iterator[list[Item]]:
        """Originals by their ids."""
        for start in range(0, len(ids), PAGE):
            yield self.originals(ids[start : start + PAGE])

    # By what is known of them

    def originals(self, ids: Sequence[uuid.UUID]) -> list[Item]:
        return self._originals(_ASSETS.c.id == any_(literal(list(ids), ARRAY(UUID))), _ASSETS.c.final_path)

    def companions(self, ids: Sequence[uuid.UUID]) -> list[Item]:
        return self._companions(_COMPANIONS.c.id == any_(literal(list(ids), ARRAY(UUID))))

    def named(self, paths: Sequence[str]) -> set[str]:
        """Which of these paths (as on disk) a row names: where something stands, is about to, or was a moment ago."""
        asked = {"paths": [to_ledger(path) for path in paths]}
        among = any_(cast_(bindparam("paths", type_=ARRAY(Text)), ARRAY(Text)))
        with self._sessions() as session:
            found = set(
                session.execute(select(_ASSETS.c.final_path).where(_ASSETS.c.final_path == among), asked).scalars()
            )
            for name in ("final_path", "left_path"):
                column = _COMPANIONS.c[name]
                found |= set(session.execute(select(column).where(column == among), asked).scalars())
        return {from_ledger(one) for one in found}

    def is_moving(self, sha256: str, path: str) -> bool:
        """Whether an act that is not done yet moves the original of that hash, or something from or to that path."""
        asked = exists().where(
            or_(
                FileMove.file_hash == sha256,
                FileMove.from_path == to_ledger(path),
                FileMove.to_path == to_ledger(path),
            )
        )
        with self._sessions() as session:
            return bool(session.execute(select(asked)).scalar())

    def has_more_of_year(self, item: Item) -> bool:
        """Whether another original than this one has its place in the same year's folder."""
        year = "/".join(item.text.split("/")[:2]) + "/"
        asked = exists().where(func.starts_with(_ASSETS.c.final_path, year), _ASSETS.c.final_path != item.text)
        with self._sessions() as session:
            return bool(session.execute(select(asked)).scalar())

    def with_hashes(self, hashes: Sequence[str]) -> list[Item]:
        """Originals with these bytes, by their rows."""
        return self._originals(_ASSETS.c.file_hash == any_(literal(list(hashes), ARRAY(Text))), _ASSETS.c.id, None)

    def companions_with_hashes(self, hashes: Sequence[str]) -> list[Item]:
        """Files that belong to originals and stand beside them with these bytes, by their rows."""
        return self._companions(any_(literal(list(hashes), ARRAY(Text))) == _COMPANION_HASH, None)

    def called(self, names: Sequence[str]) -> dict[str, list[Called]]:
        """Originals that came in under these names (as on disk), whatever their capitals, by the name."""
        found: dict[str, list[Called]] = {}
        with self._sessions() as session:
            for name, path, size in session.execute(_CALLED, {"names": [to_ledger(name) for name in names]}):
                found.setdefault(from_ledger(name), []).append(Called(from_ledger(path), size))
        return found

    def of_originals(self, paths: Sequence[str]) -> set[str]:
        """Which of these paths (as on disk) an original has."""
        if not paths:
            return set()
        asked = {"paths": [to_ledger(path) for path in paths]}
        among = any_(cast_(bindparam("paths", type_=ARRAY(Text)), ARRAY(Text)))
        with self._sessions() as session:
            found = session.execute(select(_ASSETS.c.final_path).where(_ASSETS.c.final_path == among), asked).scalars()
            return {from_ledger(one) for one in found}

    def beside(self, page: Sequence[Item]) -> list[Item]:
        """What stands beside these originals and belongs to them."""
        if not page:
            return []
        return self._companions(
            _COMPANIONS.c.original_hash == any_(literal([one.sha256 for one in page], ARRAY(Text))), limit=None
        )

    def _originals(self, which: Any, order: Any, limit: int | None = PAGE) -> list[Item]:
        asked = select(*_ORIGINAL_COLUMNS).outerjoin(_LOOKS, _KNOWN_TIME)
        asked = asked.outerjoin(_FINDINGS, _FINDINGS.c.asset_id == _ASSETS.c.id)
        with self._sessions() as session:
            rows = session.execute(asked.where(which).order_by(order).limit(limit)).all()
            filed = times_when_filed(session, [row.file_hash for row in rows if row.mtime_ns is None])
        return [
            Item(
                *(row.id, None, row.final_path, from_ledger(row.final_path), row.file_size, row.file_hash),
                row.ingested_at,
                row.mtime_ns if row.mtime_ns is not None else filed.get((row.file_hash, row.final_path)),
                row.verified_at,
                row.finding,
            )
            for row in rows
        ]

    def _companions(self, which: Any, limit: int | None = PAGE) -> list[Item]:
        asked = select(*_COMPANION_COLUMNS).where(_STANDS, which).order_by(_COMPANIONS.c.final_path).limit(limit)
        with self._sessions() as session:
            rows = session.execute(asked).all()
        return [
            Item(id_, kind, path, from_ledger(path), size, sha256, filed_at, mtime_ns)
            for id_, kind, path, size, sha256, filed_at, mtime_ns in rows
        ]

    # What is written

    def write(
        self,
        read: Sequence[Item],
        began: datetime,
        *,
        wrong: Sequence[Wrong],
        right: Sequence[uuid.UUID],
        times: Sequence[KnownTime],
    ) -> None:
        """In one transaction. `read`: originals whose bytes were read, not before `began`, and right."""
        with self._sessions() as session:
            note_wrong(session, wrong)
            note_right(session, right)
            note_times(session, times)
            if read:
                columns = {"ids": [str(one.id) for one in read], "hashes": [one.sha256 for one in read]}
                session.execute(_VERIFIED, {**columns, "paths": [one.text for one in read], "moment": began})
