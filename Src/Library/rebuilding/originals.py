"""The originals of a rebuild, put beside those of the ledger: compared row by row, and put in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.original_path import is_path
from Src.Library.rebuilding.beside import Beside, decided_since, digest
from Src.Library.rebuilding.columns import COMPARED, TAGS_OF, Row, merge
from Src.Library.rebuilding.differences import Difference, What
from Src.Library.rebuilding.kept import Kept
from Src.Library.rebuilding.standing import make_read_only, stands
from Src.Library.vault import Vault
from Src.Library.verdict import Gone, Living, Question, Rotten, Verdict
from Src.Shared.ledger_text import from_ledger
from Src.Shared.models import IngestEvent

PAGE = 1000
# Where no original can stand: for the moment between two statements, while originals exchange their paths.
PARKED_DAY = "0001-01-01"
PARKED = f"Originals/0001/{PARKED_DAY}/"

_COLUMNS = ", ".join(COMPARED)
_OF_FATE = [column.name for column in IngestEvent.__table__.columns]
_FATE = ", ".join(_OF_FATE)
_FATE_NOW = ", ".join("now()" if name == "happened_at" else name for name in _OF_FATE)


@dataclass(frozen=True, slots=True)
class _Pair:
    """One content: its row made anew, and the ledger's."""

    new: Row
    old: Row | None
    new_tags: tuple[str, ...]
    old_tags: tuple[str, ...]
    was_there: bool  # when the rebuild began
    is_changed: bool  # the ledger's row is another than it was then, or people have decided about it since
    decided: tuple[str, ...]  # fields of which events speak that say more than a file can


def doubtful(session: Session, beside: Beside) -> list[Question]:
    """The originals whose row names a path at which the rebuild found no such original: their bytes are to be read."""
    live, new = beside.live, beside.name
    asked = (
        f"SELECT o.final_path, o.file_hash, o.file_size FROM {live}.media_assets AS o "
        f"JOIN {new}.was AS w ON w.kind = 'original' AND w.key = o.file_hash WHERE NOT EXISTS "
        f"(SELECT FROM {new}.media_assets AS n WHERE (n.file_hash, n.final_path) = (o.file_hash, o.final_path))"
    )
    rows = [(from_ledger(path), sha256, size) for path, sha256, size in session.execute(text(asked))]
    return [Question(*row) for row in rows if is_path(row[0])]


class Originals:
    """To be used in one transaction, under the vault's lock."""

    def __init__(
        self,
        session: Session,
        beside: Beside,
        vault: Vault,
        kept: Kept,
        is_noted: Callable[[Sequence[str]], Collection[str]],
        verdicts: Mapping[Question, Verdict],
    ) -> None:
        """`is_noted`: of these hashes, those that wait in the journal: their rows are to come. `verdicts`: what was
        read of the `doubtful` before the lock was taken."""
        self._session = session
        self._live, self._beside = beside.live, beside.name
        self._decided = decided_since(beside, "e.file_hash = {}")
        self._verdicts = verdicts
        self._vault = vault
        self._kept = kept
        self._is_noted = is_noted
        self._said: set[str] = set()  # paths at which other bytes stand
        self._parked: dict[str, str] = {}  # by hash: the path that the ledger's row named

    def compare(self, *, place: bool) -> Iterator[Difference]:
        """All differences. `place`: what the rebuild knows better is written into the ledger."""
        moving = self._moving(lock=place)
        if place:
            self._park(moving)
        after = ""
        while hashes := self._differing(after):
            after = hashes[-1]
            for pair in self._pairs(hashes, lock=place):
                yield from self._judge(pair, moving, place)
            self._write()
        yield from self._only_in_ledger()
        if self._parked:
            self._run("DELETE FROM manifest_marks WHERE day = :day", day=PARKED_DAY)

    # Which rows differ

    def _differing(self, after: str) -> list[str]:
        """The next hashes whose row here differs from the ledger's, or is in it not at all."""
        tags = [TAGS_OF.format(schema=schema, row=row) for schema, row in ((self._beside, "n"), (self._live, "o"))]
        new, old = (", ".join(f"{row}.{column}" for column in COMPARED) for row in ("n", "o"))
        return list(
            self._run(
                f"SELECT n.file_hash FROM {self._beside}.media_assets AS n "
                f"LEFT JOIN {self._live}.media_assets AS o ON o.file_hash = n.file_hash "
                f"WHERE n.file_hash > :after AND (o.id IS NULL OR ({new}) IS DISTINCT FROM ({old}) "
                f"OR {tags[0]} <> {tags[1]}) "
                f"ORDER BY n.file_hash LIMIT {PAGE}",
                after=after,
            ).scalars()
        )

    def _pairs(self, hashes: Sequence[str], *, lock: bool) -> list[_Pair]:
        if lock:  # a decision about one of them waits for this, or this for it
            self._run(
                "SELECT id FROM media_assets WHERE file_hash = ANY (CAST(:hashes AS text[])) ORDER BY id FOR UPDATE",
                hashes=list(hashes),
            )
        tags = [
            f"ARRAY(SELECT tag FROM {schema}.asset_tags WHERE asset_id = {row}.id ORDER BY tag)"
            for schema, row in ((self._beside, "n"), (self._live, "o"))
        ]
        found = self._run(
            f"SELECT to_jsonb(n), to_jsonb(o), {', '.join(tags)}, w.digest, "
            f"CASE WHEN o.id IS NOT NULL THEN {digest('o', self._live)} END, {self._decided.format('n.file_hash')}, "
            f"ARRAY(SELECT DISTINCT e.field FROM {self._beside}.overlay_events AS e WHERE e.file_hash = n.file_hash "
            "AND e.field IN ('hidden', 'rotation')) "
            f"FROM {self._beside}.media_assets AS n "
            f"LEFT JOIN {self._live}.media_assets AS o ON o.file_hash = n.file_hash "
            f"LEFT JOIN {self._beside}.was AS w ON w.kind = 'original' AND w.key = n.file_hash "
            "WHERE n.file_hash = ANY (CAST(:hashes AS text[])) ORDER BY n.file_hash",
            hashes=list(hashes),
        )
        pairs = []
        for new, old, new_tags, old_tags, was, now, is_decided, decided in found:
            parked = old is not None and self._parked.get(old["file_hash"])
            if parked:
                old["final_path"] = parked  # (and nobody else could change the row since)
            is_changed = not parked and (is_decided or (old is not None and was != now))
            words = tuple(new_tags), tuple(old_tags)
            pairs.append(_Pair(new, old, *words, was is not None, is_changed, tuple(decided)))
        return pairs

    # Where files are

    def _moving(self, *, lock: bool) -> dict[str, tuple[str, str]]:
        """By hash: from which path to which a row goes. Where both are right, it stays; and where bytes stand now of
        which the ledger never knew, they may be what became of the original: its row is the only witness."""
        known = (
            f"EXISTS (SELECT FROM {self._live}.media_assets AS k WHERE k.file_hash = x.file_hash) OR EXISTS "
            f"(SELECT FROM {self._beside}.was AS k WHERE k.kind = 'original' AND k.key = x.file_hash) OR EXISTS "
            f"(SELECT FROM {self._live}.ingest_events AS k WHERE k.file_hash = x.file_hash "
            "AND k.fate IN ('ingested', 'duplicate', 'restored'))"
        )
        rows = self._run(
            f"SELECT n.file_hash, n.file_size, o.final_path, n.final_path, "
            f"(SELECT {known} FROM {self._beside}.media_assets AS x WHERE x.final_path = o.final_path) "
            f"FROM {self._beside}.media_assets AS n JOIN {self._live}.media_assets AS o ON o.file_hash = n.file_hash "
            f"JOIN {self._beside}.was AS w ON w.kind = 'original' AND w.key = o.file_hash "
            f"WHERE n.final_path <> o.final_path AND w.digest = {digest('o', self._live)} "
            f"AND NOT {self._decided.format('o.file_hash')} ORDER BY o.id {'FOR UPDATE OF o' if lock else ''}"
        ).all()
        moving = {
            sha256: (old, new)
            for sha256, size, old, new, is_anothers in rows  # None: nothing that a row could be made of stands there
            if self._stands(new, size) and (is_anothers or (is_anothers is None and self._stands(old, size) is False))
        }
        while True:  # a path that another row holds, which stays, is not free
            holders = self._holders([new for _, new in moving.values()])
            held = [sha256 for sha256, (_, new) in moving.items() if holders.get(new, sha256) not in moving]
            if not held:
                return moving
            for sha256 in held:
                del moving[sha256]

    def _park(self, moving: Mapping[str, tuple[str, str]]) -> None:
        if moving:
            self._run(
                "UPDATE media_assets SET final_path = :place || file_hash "
                "WHERE file_hash = ANY (CAST(:hashes AS text[]))",
                place=PARKED,
                hashes=list(moving),
            )
            self._parked = {sha256: old for sha256, (old, _) in moving.items()}

    def _holders(self, paths: Sequence[str]) -> dict[str, str]:
        asked = "SELECT final_path, file_hash FROM media_assets WHERE final_path = ANY (CAST(:paths AS text[]))"
        return dict(self._run(asked, paths=list(paths)).all())

    def _stands(self, path: str, size: int) -> bool | None:
        return stands(self._vault, path, size)

    # What becomes of each

    def _judge(self, pair: _Pair, moving: Mapping[str, tuple[str, str]], place: bool) -> Iterator[Difference]:
        new, old = pair.new, pair.old
        name = new["final_path"]
        if old is None:
            yield self._judge_missing(pair, moving, place)
            return
        if pair.is_changed:  # since the rebuild began: that change is newer
            yield Difference("meanwhile", "original", old["final_path"])
            return
        merged = merge(old, new, pair.decided)
        taken = dict(merged.taken)
        if new["file_hash"] in moving:
            taken["final_path"] = new["final_path"]
        elif new["final_path"] != old["final_path"]:
            name = old["final_path"]
            what = self._what_of(name, new["file_hash"], old["file_size"], living="twice")
            yield Difference(what, "original", name, None, {"final_path": new["final_path"]})
        if taken:
            before = {column: old[column] for column in taken}
            yield Difference("corrected", "original", name, before, taken)
            if place:
                self._kept.originals.append((new["file_hash"], before, taken))
                self._kept.rows.append(
                    {**{column: old[column] for column in COMPARED}, **taken, "file_hash": new["file_hash"]}
                )
        if merged.stays:
            before = {column: old[column] for column in merged.stays}
            yield Difference("stays", "original", name, before, merged.stays)
        old_words, new_words = ({tag.lower(): tag for tag in tags} for tags in (pair.old_tags, pair.new_tags))
        for word in sorted(new_words.keys() - old_words):
            yield Difference("added", "word", name, None, {"tag": new_words[word]})
            if place:
                self._kept.tags.append((new["file_hash"], old["id"], new_words[word]))
        for word in sorted(old_words.keys() - new_words):
            yield Difference("stays", "word", name, {"tag": old_words[word]})

    def _judge_missing(self, pair: _Pair, moving: Mapping[str, tuple[str, str]], place: bool) -> Difference:
        """What stands in the vault, and the ledger has no row for it."""
        new, sha256 = pair.new, pair.new["file_hash"]
        name = new["final_path"]
        holder = self._holders([name]).get(name)
        if holder is not None and holder not in moving:  # its row says what stood there; its bytes are others now
            self._said.add(name)
            return Difference("other bytes", "original", name, {"file_hash": holder}, {"file_hash": sha256})
        is_there = self._stands(name, new["file_size"])
        if pair.was_there or pair.is_changed or self._is_to_come(sha256, name) or is_there is False:
            return Difference("meanwhile", "original", name)
        if is_there is None:
            return Difference("stays", "original", name, None, {"file_hash": sha256})
        if self._is_removed(sha256):
            return Difference("removed", "original", name, None, {"file_hash": sha256})
        if place:
            self._kept.new.append((new, pair.new_tags))
        return Difference("added", "original", name, None, {column: new[column] for column in ("file_hash", *COMPARED)})

    def _is_to_come(self, sha256: str, path: str) -> bool:
        """Whether an act is about to move it, or its row is to come."""
        asked = "SELECT EXISTS (SELECT FROM file_moves WHERE file_hash = :sha256 OR :path IN (from_path, to_path))"
        return bool(self._run(asked, sha256=sha256, path=path).scalar()) or bool(self._is_noted([sha256]))

    def _is_removed(self, sha256: str) -> bool:
        """Whether a person has removed that content, and it does not come back by itself."""
        asked = " OR ".join(f"EXISTS (SELECT FROM {of} WHERE file_hash = :sha256)" for of in ("trash", "tombstones"))
        return bool(self._run(f"SELECT {asked}", sha256=sha256).scalar())

    def _only_in_ledger(self) -> Iterator[Difference]:
        """Rows that were there when the rebuild began, and of whose bytes it found none."""
        after = ""
        asked = (
            "SELECT o.file_hash, o.final_path, o.file_size, "
            f"w.digest IS DISTINCT FROM {digest('o', self._live)} OR {self._decided.format('o.file_hash')} "
            f"FROM {self._live}.media_assets AS o "
            f"JOIN {self._beside}.was AS w ON w.kind = 'original' AND w.key = o.file_hash "
            f"WHERE o.file_hash > :after "
            f"AND NOT EXISTS (SELECT FROM {self._beside}.media_assets AS n WHERE n.file_hash = o.file_hash) "
            f"ORDER BY o.file_hash LIMIT {PAGE}"
        )
        while rows := self._run(asked, after=after).all():
            after = rows[-1][0]
            for sha256, path, size, is_changed in rows:
                if path not in self._said:
                    what = self._what_of(path, sha256, size, living="meanwhile" if is_changed else "stays")
                    yield Difference(what, "original", path, {"file_hash": sha256})

    def _what_of(self, path: str, sha256: str, size: int, *, living: What) -> What:
        """What is to be said of a row whose path the rebuild has not found right. `living`: where it is."""
        question = Question(from_ledger(path), sha256, size)
        if not is_path(question.final_path):
            return "gone"
        match self._verdicts.get(question) or self._vault.verdict(*question):
            case Gone():
                return "gone"
            case Rotten():
                return "other bytes"
            case Living():
                return living
            case _:  # it could not be read
                return "stays"

    # Writing

    def _write(self) -> None:
        kept = self._kept
        if kept.rows:
            self._run(
                f"UPDATE media_assets AS a SET ({_COLUMNS}) = ROW({', '.join(f'n.{column}' for column in COMPARED)}), "
                "is_geocoded = a.is_geocoded AND a.location IS NOT DISTINCT FROM n.location "
                "FROM json_populate_recordset(CAST(NULL AS media_assets), CAST(:rows AS json)) AS n "
                "WHERE a.file_hash = n.file_hash",
                rows=json.dumps(kept.rows),
            )
        if kept.new:
            self._run(
                "INSERT INTO media_assets SELECT * FROM json_populate_recordset(CAST(NULL AS media_assets), "
                "CAST(:rows AS json))",
                rows=json.dumps([row for row, _ in kept.new]),
            )
            # It happens now: while it is sealed with a time long before, somebody would look for who has backdated it.
            self._run(
                f"INSERT INTO ingest_events ({_FATE}) SELECT {_FATE_NOW} FROM {self._beside}.ingest_events AS e "
                "WHERE fate = 'rebuilt' AND file_hash = ANY (CAST(:hashes AS text[])) ON CONFLICT DO NOTHING",
                hashes=[row["file_hash"] for row, _ in kept.new],
            )
        tags = [(id_, tag) for _, id_, tag in kept.tags]
        tags += [(row["id"], tag) for row, words in kept.new for tag in words]
        if tags:
            self._run(
                "INSERT INTO asset_tags (asset_id, tag) SELECT CAST(x.id AS uuid), x.tag FROM unnest("
                "CAST(:ids AS text[]), CAST(:tags AS text[])) AS x (id, tag) ON CONFLICT DO NOTHING",
                ids=[id_ for id_, _ in tags],
                tags=[tag for _, tag in tags],
            )
        for row, _ in kept.new:
            make_read_only(self._vault, row["final_path"])
        kept.note_page()

    def _run(self, statement: str, **values: Any) -> Any:
        return self._session.execute(text(statement), values)
