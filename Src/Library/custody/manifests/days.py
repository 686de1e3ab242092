"""What the ledger says about days: which manifests are out of date, and what is to stand in one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from sqlalchemy import (
    BigInteger,
    Table,
    Text,
    any_,
    delete,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy import update as update_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from Src.Library.original_path import is_path
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import Companion, ManifestMark, MediaAsset, Tombstone, TrashItem, VaultRow

_ASSETS = cast(Table, MediaAsset.__table__)
_COMPANIONS = cast(Table, Companion.__table__)
_MARKS = cast(Table, ManifestMark.__table__)
_TRASH = cast(Table, TrashItem.__table__)
_TOMBSTONES = cast(Table, Tombstone.__table__)
_VAULT = cast(Table, VaultRow.__table__)
# As the indexes have it: a parameter in it would be another expression.
_DAY = literal_column("substr(final_path, 16, 10)", Text)
_IS_DAY = re.compile(r"(\d{4})-\d\d-\d\d", re.ASCII)
_ALL_DAYS = text("""
    INSERT INTO manifest_marks (day)
    SELECT day FROM (
        SELECT substr(final_path, 16, 10) AS day FROM media_assets
        UNION SELECT substr(final_path, 16, 10) FROM companions WHERE final_path IS NOT NULL
        UNION SELECT unnest(CAST(:days AS text[]))
    ) AS found ORDER BY day
""")


class Day(NamedTuple):
    """The files of one day's folder: SHA-256 by path, relative to the originals, as on disk."""

    files: dict[str, str]
    sidecars: dict[str, str]


def is_day(day: str) -> bool:
    return _IS_DAY.fullmatch(day) is not None


def manifests_of(day: str) -> tuple[str, str]:
    """The paths of its two manifests, relative to their folder."""
    return f"{day[:4]}/{day}.sha256", f"{day[:4]}/{day}.sidecars.sha256"


def day_of(path: str) -> str | None:
    """Whose manifest a file is; None where it is none."""
    day = path[5:15]
    return day if is_day(day) and path in manifests_of(day) else None


def known_head(session: Session) -> str | None:
    """The head of the chain with which all days were written that are not marked."""
    return session.execute(select(_VAULT.c.manifest_head)).scalar()


def are_marked(session: Session) -> bool:
    return session.execute(select(_MARKS.c.seq).limit(1)).first() is not None


def number_marked(session: Session) -> int:
    return session.execute(select(func.count(_MARKS.c.day.distinct()))).scalar_one()


def marked(session: Session, limit: int | None, without: Sequence[str] = ()) -> dict[str, list[int]]:
    """The days that are out of date, those first that have waited longest; with the marks that say so."""
    asked = select(_MARKS.c.day, func.array_agg(_MARKS.c.seq, type_=ARRAY(BigInteger)))
    if without:
        asked = asked.where(_MARKS.c.day != func.all(literal(list(without), ARRAY(Text))))
    asked = asked.group_by(_MARKS.c.day).order_by(func.min(_MARKS.c.seq)).limit(limit)
    return {row[0]: list(row[1]) for row in session.execute(asked)}


def all_days(session: Session) -> list[str]:
    """The days in whose folders originals stand, as far as rows are believed."""
    days = session.execute(select(_DAY).select_from(_ASSETS).distinct()).scalars()
    return sorted(day for day in days if is_day(day))


def mark_all(session: Session, more: Sequence[str]) -> None:
    """`more`: days of which nothing may be left."""
    session.execute(_ALL_DAYS, {"days": list(more)})


def note_written(session: Session, marks: Sequence[int], head: str) -> None:
    session.execute(delete(_MARKS).where(_MARKS.c.seq == any_(literal(list(marks), ARRAY(BigInteger)))))
    session.execute(update_(_VAULT).values(manifest_head=head))


def files_of(session: Session, days: Sequence[str]) -> dict[str, Day]:
    """What stands in the folders of days."""
    found = {day: Day({}, {}) for day in days}
    of_these = any_(literal(list(days), ARRAY(Text))) == _DAY
    asked = select(_DAY, _ASSETS.c.final_path, _ASSETS.c.file_hash).where(of_these)
    for day, path, sha256 in session.execute(asked):
        _add(found[day].files, path, sha256)
    hash_ = func.coalesce(_COMPANIONS.c.standing_hash, _COMPANIONS.c.companion_hash)
    asked_ = select(_DAY, _COMPANIONS.c.final_path, hash_, _COMPANIONS.c.kind).where(
        of_these, _COMPANIONS.c.final_path.is_not(None), _COMPANIONS.c.filed_at.is_not(None)
    )
    for day, path, sha256, kind in session.execute(asked_):
        _add(found[day].sidecars if kind == "xmp" else found[day].files, path, sha256)
    return found


def with_other_bytes(session: Session, listed: Mapping[str, str], rows: Mapping[str, str]) -> list[str]:
    """Files that a list of what never changes names, and to which rows give other bytes.

    Not those whose listed bytes the ledger has elsewhere, or knows as removed: another file has come in their place.
    """
    other = sorted(name for name, sha256 in rows.items() if listed.get(name, sha256) != sha256)
    if not other:
        return []
    these = any_(literal([listed[name] for name in other], ARRAY(Text)))
    removed = union_all(select(_TRASH.c.file_hash), select(_TOMBSTONES.c.file_hash))
    belongs = or_(_COMPANIONS.c.final_path.is_not(None), _COMPANIONS.c.original_hash.in_(removed))
    known = session.execute(
        union_all(
            select(_ASSETS.c.file_hash, _ASSETS.c.final_path).where(_ASSETS.c.file_hash == these),
            *(
                select(column, _COMPANIONS.c.final_path).where(column == these, belongs)
                for column in (_COMPANIONS.c.companion_hash, _COMPANIONS.c.standing_hash)
            ),
            *(select(table.c.file_hash, null()).where(table.c.file_hash == these) for table in (_TRASH, _TOMBSTONES)),
        )
    )
    places: dict[str, set[str | None]] = {}
    for sha256, path in known:
        places.setdefault(sha256, set()).add(path)
    return [name for name in other if not places.get(listed[name], set()) - {to_ledger(f"Originals/{name}")}]


def are_marked_within(session: Session, seconds: float) -> bool:
    """Whether any day was marked in the last seconds and is so still."""
    since = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    return session.execute(select(_MARKS.c.seq).where(_MARKS.c.marked_at >= since).limit(1)).first() is not None


def about_to_go(session: Session, paths: Sequence[str]) -> set[str]:
    """Which of these paths (relative to the originals) a move leaves, or a companion comes to."""
    asked = literal([to_ledger(f"Originals/{path}") for path in paths], ARRAY(Text))
    columns = [_COMPANIONS.c[name] for name in ("left_path", "moved_from", "final_path")]
    rows = session.execute(select(*columns).where(or_(*(column == any_(asked) for column in columns))))
    return {from_ledger(path).partition("/")[2] for row in rows for path in row if path is not None}


def _add(files: dict[str, str], path: str, sha256: str) -> None:
    name = from_ledger(path)
    if is_path(name):  # a row that is not believed has no file
        files[name.partition("/")[2]] = sha256
