"""Copies and what is at each, in the ledger: `copied_files` has rows only of what was read back, and right."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.backed_up import UNKNOWN, set_all_flags, set_flags
from Src.Library.custody.rows import Sessions
from Src.Shared.ledger_text import from_ledger, to_ledger

PAGE = 1000

_COPY = (
    "SELECT id, name, kind, target, is_encrypted, has_own_disk, ran_at, run_result, dump_path, dump_hash, dumped_at, "
    "dump_rows, drilled_at, drill_result FROM copies"
)
# An original is at a copy by its content; where in the copy it stands may be where it stood before.
_AT = (
    f"f.copy_id = :copy AND f.original_hash = a.file_hash AND f.file_hash = a.file_hash AND f.read_back_at > {UNKNOWN}"
)
_FUTURE = "read_back_at > now() + interval '5 minutes'"  # noted by a clock that was wrong: it says nothing
_LEFT = f"media_assets AS a LEFT JOIN copied_files AS f ON {_AT} WHERE (f.path IS NULL OR f.path <> a.final_path)"


class CopyRow(NamedTuple):
    """One copy."""

    id: uuid.UUID
    name: str
    kind: str
    target: str  # ledger text
    is_encrypted: bool
    has_own_disk: bool  # none of the vault's, as the last run knew it; what nobody knows is none
    ran_at: datetime | None
    run_result: dict[str, Any] | None
    dump_path: str | None
    dump_hash: str | None
    dumped_at: datetime | None
    dump_rows: dict[str, int] | None
    drilled_at: datetime | None
    drill_result: dict[str, Any] | None


class Left(NamedTuple):
    """An original that is not at the copy, or stands there at another place than here."""

    sha256: str
    size: int
    path: str  # as on disk, relative to the storage root
    stands_at: str | None  # in the copy


class There(NamedTuple):
    """A file at the copy, as it was last read back."""

    path: str  # as on disk, relative to the copy
    sha256: str
    size: int
    original: str | None  # the hash of the original that it is, or that it belongs to
    stamp: str
    read_back_at: datetime

    @property
    def is_original(self) -> bool:
        return self.original == self.sha256


class Counts(NamedTuple):
    """Of a copy."""

    originals: int  # that are in the vault, and there
    bytes: int
    oldest: datetime | None  # when that of them was read back which was read back longest ago


class CopyRows:
    """The ledger of one vault. Raises LedgerUnavailable and WrongLedger."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    # Copies

    def all(self) -> list[CopyRow]:
        with self._sessions() as session:
            return [CopyRow(*row) for row in session.execute(text(f"{_COPY} ORDER BY lower(name)"))]

    def named(self, name: str) -> CopyRow | None:
        with self._sessions() as session:
            row = session.execute(text(f"{_COPY} WHERE lower(name) = lower(:name)"), {"name": name}).one_or_none()
            return None if row is None else CopyRow(*row)

    def add(self, id_: uuid.UUID, name: str, kind: str, target: str, *, is_encrypted: bool) -> bool:
        """False: the name, or the copy, is there already."""
        with self._sessions() as session:
            added = session.execute(
                text(
                    "INSERT INTO copies (id, name, kind, target, is_encrypted) "
                    "VALUES (:id, :name, :kind, :target, :is_encrypted) ON CONFLICT DO NOTHING RETURNING id"
                ),
                {"id": id_, "name": name, "kind": kind, "target": target, "is_encrypted": is_encrypted},
            )
            return added.one_or_none() is not None

    def moved_to(self, id_: uuid.UUID, target: str) -> None:
        """The same copy is reached elsewhere, as a disk that is mounted at another place."""
        with self._sessions() as session:
            session.execute(text("UPDATE copies SET target = :target WHERE id = :id"), {"id": id_, "target": target})

    def remove(self, id_: uuid.UUID) -> None:
        """Nothing counts as being there any more."""
        with self._sessions() as session:
            session.execute(text("DELETE FROM copies WHERE id = :id"), {"id": id_})  # its files go with it
            set_all_flags(session)

    def has_own_disk(self, id_: uuid.UUID, answer: bool) -> None:
        """Whether it is on no disk of the vault's, as far as is known now."""
        self._note(id_, "has_own_disk = :answer", answer=answer)

    def ran(self, id_: uuid.UUID, result: Mapping[str, Any]) -> None:
        self._note(id_, "ran_at = now(), run_result = CAST(:said AS jsonb)", said=json.dumps(result, default=str))

    def drilled(self, id_: uuid.UUID, result: Mapping[str, Any]) -> None:
        said = json.dumps(result, default=str)
        self._note(id_, "drilled_at = now(), drill_result = CAST(:said AS jsonb)", said=said)

    def dumped(self, id_: uuid.UUID, path: str, sha256: str, rows: Mapping[str, int]) -> None:
        """The newest dump of the database that is there, and was read back."""
        self._note(
            id_,
            "dump_path = :path, dump_hash = :hash, dumped_at = now(), dump_rows = CAST(:said AS jsonb)",
            path=path,
            hash=sha256,
            said=json.dumps(dict(rows)),
        )

    def _note(self, id_: uuid.UUID, what: str, **given: Any) -> None:
        with self._sessions() as session:
            session.execute(text(f"UPDATE copies SET {what} WHERE id = :id"), {"id": id_, **given})

    # What is at a copy

    def originals(self) -> int:
        with self._sessions() as session:
            return int(session.execute(text("SELECT count(*) FROM media_assets")).scalar_one())

    def counts(self, id_: uuid.UUID) -> Counts:
        asked = (
            "SELECT count(DISTINCT a.file_hash), coalesce(sum(a.file_size), 0), min(f.read_back_at) "
            f"FROM media_assets AS a JOIN copied_files AS f ON {_AT}"
        )
        with self._sessions() as session:
            count, size, oldest = session.execute(text(asked), {"copy": id_}).one()
        return Counts(int(count), int(size), oldest)

    def left(self, id_: uuid.UUID) -> tuple[int, int]:
        """How many originals are to be brought there, and their bytes."""
        with self._sessions() as session:
            asked = text(f"SELECT count(*), coalesce(sum(a.file_size), 0) FROM {_LEFT}")
            count, size = session.execute(asked, {"copy": id_}).one()
        return int(count), int(size)

    def originals_left(self, id_: uuid.UUID) -> Iterator[list[Left]]:
        """By path."""
        after = ""
        while True:
            with self._sessions() as session:
                rows = session.execute(
                    text(
                        f"SELECT a.file_hash, a.file_size, a.final_path, f.path FROM {_LEFT} AND a.final_path > :after "
                        "ORDER BY a.final_path LIMIT :page"
                    ),
                    {"copy": id_, "after": after, "page": PAGE},
                ).all()
            if not rows:
                return
            after = rows[-1][2]
            yield [
                Left(sha256, size, from_ledger(path), None if stands_at is None else from_ledger(stands_at))
                for sha256, size, path, stands_at in rows
            ]

    def there(self, id_: uuid.UUID, folder: str = "", before: datetime | None = None) -> Iterator[list[There]]:
        """All files at a copy whose paths begin so, by path; `before`: those that were last read back before, or
        at a time that is still to come."""
        after = ""
        while True:
            with self._sessions() as session:
                rows = session.execute(
                    text(
                        "SELECT path, file_hash, file_size, original_hash, stamp, read_back_at FROM copied_files "
                        "WHERE copy_id = :copy AND path > :after AND starts_with(path, :folder) "
                        f"AND (CAST(:before AS timestamptz) IS NULL OR read_back_at < :before OR {_FUTURE}) "
                        "ORDER BY path LIMIT :page"
                    ),
                    {"copy": id_, "after": after, "folder": to_ledger(folder), "before": before, "page": PAGE},
                ).all()
            if not rows:
                return
            after = rows[-1][0]
            yield [There(from_ledger(row[0]), *row[1:]) for row in rows]

    def at(self, id_: uuid.UUID, path: str) -> There | None:
        with self._sessions() as session:
            row = session.execute(
                text(
                    "SELECT path, file_hash, file_size, original_hash, stamp, read_back_at FROM copied_files "
                    "WHERE copy_id = :copy AND path = :path"
                ),
                {"copy": id_, "path": to_ledger(path)},
            ).one_or_none()
        return None if row is None else There(from_ledger(row[0]), *row[1:])

    def places_of(self, id_: uuid.UUID, sha256: str) -> list[str]:
        """Where at the copy a content stands."""
        with self._sessions() as session:
            asked = text("SELECT path FROM copied_files WHERE copy_id = :copy AND file_hash = :hash ORDER BY path")
            return [from_ledger(path) for path in session.execute(asked, {"copy": id_, "hash": sha256}).scalars()]

    def has_original(self, id_: uuid.UUID, sha256: str) -> bool:
        """Whether this content is an original's that counts as being there."""
        with self._sessions() as session:
            asked = text(
                "SELECT EXISTS (SELECT FROM copied_files WHERE copy_id = :copy AND file_hash = :hash "
                "AND original_hash = :hash)"
            )
            return bool(session.execute(asked, {"copy": id_, "hash": sha256}).scalar_one())

    def companions_left_behind(self, id_: uuid.UUID) -> list[There]:
        """What belongs to an original of the vault, and stands there where nothing of it stands here any more."""
        with self._sessions() as session:
            rows = session.execute(
                text(
                    "SELECT f.path, f.file_hash, f.file_size, f.original_hash, f.stamp, f.read_back_at "
                    "FROM copied_files AS f JOIN media_assets AS a ON a.file_hash = f.original_hash "
                    "WHERE f.copy_id = :copy AND f.file_hash <> f.original_hash "
                    "AND NOT EXISTS (SELECT FROM companions AS c WHERE c.final_path = f.path) ORDER BY f.path"
                ),
                {"copy": id_},
            ).all()
        return [There(from_ledger(row[0]), *row[1:]) for row in rows]

    def folders(self, id_: uuid.UUID) -> list[str]:
        """Folders that together have all files there but those at the top; of the originals each year is one."""
        with self._sessions() as session:
            asked = text(
                "SELECT DISTINCT CASE WHEN starts_with(path, 'Originals/') THEN substr(path, 1, 14) "
                "ELSE split_part(path, '/', 1) END FROM copied_files "
                "WHERE copy_id = :copy AND position('/' IN path) > 0 ORDER BY 1"
            )
            return list(session.execute(asked, {"copy": id_}).scalars())

    def days(self, id_: uuid.UUID) -> list[str]:
        """Folders of days that have originals there."""
        with self._sessions() as session:
            asked = text(
                "SELECT DISTINCT substr(path, 1, 25) FROM copied_files WHERE copy_id = :copy "
                "AND original_hash = file_hash AND path ~ '^Originals/[0-9]{4}/[0-9]{4}-[0-9]{2}-[0-9]{2}/' ORDER BY 1"
            )
            return list(session.execute(asked, {"copy": id_}).scalars())

    def emptied(self, id_: uuid.UUID, before: datetime) -> list[There]:
        """What a person has removed for good here before that moment, and stood there then; nothing that came back."""
        with self._sessions() as session:
            rows = session.execute(
                text(
                    "SELECT f.path, f.file_hash, f.file_size, f.original_hash, f.stamp, f.read_back_at "
                    "FROM copied_files AS f JOIN tombstones AS t ON t.file_hash = f.original_hash "
                    "WHERE f.copy_id = :copy AND t.emptied_at < :before AND f.there_since < t.emptied_at "
                    "AND NOT EXISTS (SELECT FROM media_assets AS a "
                    "WHERE a.file_hash IN (f.original_hash, f.file_hash)) "
                    "AND NOT EXISTS (SELECT FROM trash AS r WHERE r.file_hash IN (f.original_hash, f.file_hash)) "
                    "ORDER BY f.path"
                ),
                {"copy": id_, "before": before},
            ).all()
        return [There(from_ledger(row[0]), *row[1:]) for row in rows]

    # What is written

    def note_there(self, id_: uuid.UUID, files: Sequence[There]) -> None:
        """These were read back from the copy, and right. In one transaction; nothing where the copy was removed."""
        if not files:
            return
        originals = sorted({one.sha256 for one in files if one.is_original})
        with self._sessions() as session:
            if session.execute(text("SELECT id FROM copies WHERE id = :id FOR SHARE"), {"id": id_}).first() is None:
                return
            # Where they stood in the copy before.
            session.execute(
                text(
                    "DELETE FROM copied_files WHERE copy_id = :copy AND file_hash = original_hash "
                    "AND original_hash = ANY (CAST(:hashes AS text[])) AND path <> ALL (CAST(:paths AS text[]))"
                ),
                {"copy": id_, "hashes": originals, "paths": [to_ledger(one.path) for one in files]},
            )
            session.execute(
                text(
                    "INSERT INTO copied_files (copy_id, path, file_hash, file_size, original_hash, stamp, there_since, "
                    "read_back_at) VALUES (:copy, :path, :sha256, :size, :original, :stamp, :at, :at) "
                    "ON CONFLICT (copy_id, path) DO UPDATE SET there_since = CASE WHEN copied_files.file_hash = "
                    "excluded.file_hash THEN copied_files.there_since ELSE excluded.there_since END, "
                    "file_hash = excluded.file_hash, file_size = excluded.file_size, stamp = excluded.stamp, "
                    "original_hash = excluded.original_hash, read_back_at = excluded.read_back_at"
                ),
                [
                    {
                        "copy": id_,
                        "path": to_ledger(one.path),
                        "sha256": one.sha256,
                        "size": one.size,
                        "original": one.original,
                        "stamp": one.stamp,
                        "at": one.read_back_at,
                    }
                    for one in files
                ],
            )
            set_flags(session, originals)

    def forget(self, id_: uuid.UUID, files: Sequence[There]) -> None:
        """These are not there any more, or not right."""
        if not files:
            return
        with self._sessions() as session:
            session.execute(
                text("DELETE FROM copied_files WHERE copy_id = :copy AND path = ANY (CAST(:paths AS text[]))"),
                {"copy": id_, "paths": [to_ledger(one.path) for one in files]},
            )
            set_flags(session, sorted({one.original for one in files if one.original is not None}))

    def set_all_flags(self) -> None:
        """As the copies have it."""
        with self._sessions() as session:
            set_all_flags(session)


def copies_of(session: Session, hashes: Sequence[str], since: datetime) -> dict[str, int]:
    """At how many copies each content is that was read back from there, and right, not before `since`.

    Only copies that are known to be on none of the vault's disks count.
    """
    asked = text(
        "SELECT file_hash, count(DISTINCT copy_id) FROM copied_files JOIN copies ON copies.id = copy_id "
        "WHERE file_hash = ANY (CAST(:hashes AS text[])) AND has_own_disk "
        f"AND read_back_at >= :since AND NOT {_FUTURE} GROUP BY file_hash"
    )
    found = session.execute(asked, {"hashes": list(hashes), "since": since})
    return {sha256: int(count) for sha256, count in found}
