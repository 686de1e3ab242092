"""What the ledger knows of originals that came from one folder, and of what they are to each other."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Table, Text, any_, func, literal, select, text, true
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from Src.Librarian.passage import LedgerEntry
from Src.Library.move_plan import claims
from Src.Media.relations import Item, Relation, beginnings
from Src.Media.relations import relations as relations_of
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import AssetRelation, MediaAsset

_ASSETS = cast(Table, MediaAsset.__table__)
_FILED = ("ingested", "duplicate", "restored")
_MOST_ALIKE = 50  # originals of one content identifier: a Live Photo has four with its edited copies
_RELATIONS = cast(Table, AssetRelation.__table__)
# Whoever shares a beginning is found by the index on names: nothing else may stand between it and "(", "-" or ".".
# (OFFSET keeps the planner from reading all names, and comparing each with all beginnings.)
_CAME = text(
    """
    SELECT DISTINCT came.source, came.original_path, came.file_hash
    FROM (SELECT DISTINCT lower(begun) AS begun FROM unnest(CAST(:beginnings AS text[])) AS begun) AS asked
    CROSS JOIN LATERAL (
        SELECT e.source, e.original_path, e.file_hash FROM ingest_events e
        WHERE lower(e.original_name) ~>=~ (asked.begun || '(') AND lower(e.original_name) ~<~ (asked.begun || '/')
            AND e.fate IN ('ingested', 'duplicate', 'restored') AND e.file_hash IS NOT NULL
        OFFSET 0
    ) AS came
    """
)

# What stands or stood under these stems: "/" comes after "." in all usual collations, so an index finds it. (To ask for
# each stem with each of fifty endings takes several times as long.)
_OF_STEMS = text(
    """
    SELECT there.final_path FROM unnest(CAST(:stems AS text[])) AS stem CROSS JOIN LATERAL (
        SELECT final_path FROM media_assets WHERE final_path >= stem || '.' AND final_path < stem || '/' OFFSET 0
    ) AS there
    UNION ALL
    SELECT there.final_path FROM unnest(CAST(:stems AS text[])) AS stem CROSS JOIN LATERAL (
        SELECT final_path FROM left_paths WHERE final_path >= stem || '.' AND final_path < stem || '/' OFFSET 0
    ) AS there
    WHERE EXISTS (SELECT FROM left_paths)
    """
)


class Neighbour(NamedTuple):
    """An original, and one of the paths under which it came."""

    source: str
    folder: str
    item: Item
    final_path: str


Key = tuple[str, str, str]
_COLUMNS = (
    _ASSETS.c.file_hash,
    _ASSETS.c.media_kind,
    _ASSETS.c.captured_at,
    _ASSETS.c.camera_model,
    _ASSETS.c.content_id,
    _ASSETS.c.final_path,
)


def keys(one: Neighbour) -> list[Key]:
    """One of them is equal for two that may be related."""
    found = [(one.source, one.folder, beginnings(one.item.name)[0])]
    return [*found, ("", "", one.item.content_id)] if one.item.content_id else found


def neighbours(session: Session, here: Sequence[Neighbour]) -> list[Neighbour]:
    """All originals that came under names which begin as those of these, or have their content identifiers."""
    starts = {to_ledger(start) for one in here for start in beginnings(one.item.name)}
    came = session.execute(_CAME, {"beginnings": sorted(starts)}).all() if starts else []
    rows = {row[0]: row[1:] for row in _assets(session, _ASSETS.c.file_hash, {sha256 for _, _, sha256 in came})}
    found = []
    for source, path, sha256 in came:
        if sha256 in rows:
            found.append(_neighbour(source, from_ledger(path), sha256, *rows[sha256]))
    ids = {one.item.content_id for one in here if one.item.content_id}
    for *asset, path in _alike(session, ids):
        found.append(_neighbour("", from_ledger(path), *asset))
    return found


def _assets(session: Session, column: Any, among: Collection[str], *more: Any) -> Sequence[Sequence[Any]]:
    if not among:
        return []
    asked = select(*_COLUMNS, *more).where(column == any_(literal(list(among), ARRAY(Text))))
    return session.execute(asked).all()


def _alike(session: Session, content_ids: Collection[str]) -> Sequence[Sequence[Any]]:
    """Originals with these content identifiers, of each so many that `between` sees where they are too many."""
    if not content_ids:
        return []
    asked = (
        func.unnest(literal(list(content_ids), ARRAY(Text))).table_valued("content_id", name="asked").render_derived()
    )
    some = (
        select(*_COLUMNS, _ASSETS.c.original_path)
        .where(_ASSETS.c.content_id == asked.c.content_id)
        .limit(_MOST_ALIKE + 1)
        .lateral("some")
    )
    return session.execute(select(some).select_from(asked.join(some, true()))).all()


def _neighbour(
    source: str,
    path: str,
    sha256: str,
    kind: str,
    captured_at: datetime,
    camera: str | None,
    content_id: str | None,
    final_path: str,
) -> Neighbour:
    folder, name = os.path.split(path)
    item = Item(sha256, name, kind, captured_at, camera, content_id)
    return Neighbour(source, folder, item, from_ledger(final_path))


def of_others(session: Session, ours: Mapping[str, Collection[str]], halves: Mapping[str, Collection[str]]) -> set[str]:
    """The paths that are, or ever were, another original's, whether its file stands there or has gone.

    `ours`: the contents that are to stand at each path. `halves`: with what more is to come, by path without ending.
    """
    found = {from_ledger(path): whose for path, whose in claims(session, [to_ledger(path) for path in ours]).items()}
    others = {path for path, whose in found.items() if whose.difference(ours[path])}
    asked = {"stems": [to_ledger(stem) for stem in halves]}
    for path in map(from_ledger, session.execute(_OF_STEMS, asked).scalars() if halves else ()):
        stem, ending = os.path.splitext(path)
        if path not in ours and ending.lower() in halves.get(stem, ()):
            others.add(path)
    return others


def by_key(known: Iterable[Neighbour]) -> Mapping[Key, Sequence[Neighbour]]:
    """The same by what is equal for those that may be related."""
    found: defaultdict[Key, list[Neighbour]] = defaultdict(list)
    for one in known:
        for key in keys(one):
            found[key].append(one)
    return found


def between(here: Sequence[Neighbour], known: Mapping[Key, Sequence[Neighbour]]) -> list[Relation]:
    """What these are to each other and to those that are known."""
    together: defaultdict[Key, set[Item]] = defaultdict(set)
    for key, some in by_key(here).items():
        together[key] = {one.item for one in (*some, *known.get(key, ()))}
    return sorted(
        {
            relation
            for one in here
            for key in keys(one)
            if len(together[key]) <= _MOST_ALIKE or key[2] != one.item.content_id
            for other in together[key]
            for relation in relations_of(one.item, other)
        }
    )


def relate(session: Session, entries: Sequence[LedgerEntry]) -> None:
    """Records what originals are to each other and to what came before, of which the ledger hears late."""
    came = [
        (event["source"], from_ledger(event["original_path"]), event["file_hash"])
        for entry in entries
        if (event := entry.event)["fate"] in _FILED and event["file_hash"] is not None
    ]
    rows = {row[0]: row[1:] for row in _assets(session, _ASSETS.c.file_hash, {sha256 for _, _, sha256 in came})}
    here = [_neighbour(source, path, sha256, *rows[sha256]) for source, path, sha256 in came if sha256 in rows]
    if here:
        add(session, between(here, by_key(neighbours(session, here))))


def add(session: Session, relations: Sequence[Relation]) -> bool:
    """Records relations, known ones too."""
    if relations:
        rows = [relation._asdict() for relation in dict.fromkeys(relations)]
        session.execute(insert(_RELATIONS).on_conflict_do_nothing(), rows)
    return True
