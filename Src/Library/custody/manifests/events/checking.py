"""Are the events those that were sealed, in their order, and do the signed lists say so? Changes nothing.

The lists are read before the ledger: each seal in them was committed before. All of the ledger is read as it was at one
moment, which begins before the lists may change again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.custody.manifests import days
from Src.Library.custody.manifests.chain import LOG
from Src.Library.custody.manifests.events import canonical, heads, sealing
from Src.Library.custody.manifests.events.accepting import NO_HEAD, Seen, seen_by
from Src.Library.custody.manifests.events.canonical import NOTHING, event_hash, lines_of, moment
from Src.Library.custody.manifests.events.found import MOST, CheckedEvents, Wrong
from Src.Library.custody.manifests.events.sealing import Head
from Src.Library.custody.manifests.events.signed import SignedHeads, signed_heads
from Src.Library.custody.manifests.events.times import Timed, Times
from Src.Library.vault import Vault
from Src.Shared.database import Database

_AT_ONCE = 2000  # seals
_FEW = 50  # of broken ones: among more nobody looks for two that were exchanged
_NAMES = {"fate": "original_path", "decision": "field", "note": "kind"}  # what is shown of each
_SEALS = text(f"""
    SELECT number, event, event_id, {moment("written_at")}, event_hash, seal,
        CAST(extract(epoch FROM written_at) AS float8)
    FROM event_seals WHERE number > :after ORDER BY number LIMIT :limit
""")
_TIMES = {
    kind: text(
        f"SELECT id, CAST(extract(epoch FROM happened_at) AS float8), {moment('happened_at')}, {name} "
        f"FROM {canonical.TABLES[kind]} WHERE id = ANY (:ids)"
    )
    for kind, name in _NAMES.items()
}
_INSERTED = """
    SELECT id, {name}, count(*) OVER () FROM {table} AS e
    WHERE NOT EXISTS (SELECT FROM event_seals AS s WHERE s.event_id = e.id AND s.event = '{kind}')
    AND NOT EXISTS (SELECT FROM unsealed_events AS q WHERE q.event_id = e.id AND q.event = '{kind}')
    ORDER BY id LIMIT {most}
"""


class _Seal(NamedTuple):
    number: int
    event: str
    event_id: uuid.UUID
    written: str | None
    event_hash: bytes
    seal: bytes
    written_at: float | None  # seconds since 1970; a hostile one may be infinite


class _Said(NamedTuple):
    """What an event says of itself."""

    happened_at: float
    happened: str | None
    name: str | None


def check_events(
    vault: Vault,
    database: Database,
    belonging: Belonging,
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    stopped: Callable[[], bool] = lambda: False,
) -> CheckedEvents:
    """Raises LedgerUnavailable, WrongLedger, and VaultTrouble, which may be BeingWritten: to be tried again."""
    belonging.establish(database)
    with database.session() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        with signed_heads(vault) as signed:
            known_head = days.known_head(session)  # the first question: all others are of this moment
        belonging.check(session)
        if known_head is not None and not signed.is_there:
            signed.wrong[LOG] = "it is gone; ./factory verify says more"
        check = _Check(session, signed, progress, stopped)
        check.run()
    return check.found


class _Check:
    def __init__(
        self,
        session: Session,
        signed: SignedHeads,
        progress: Callable[[int, int], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._session = session
        self._signed = signed
        self._progress = progress
        self._stopped = stopped
        self._listed = {head: at for at, (_, head) in enumerate(signed.heads)}
        self._heads = {head.number for head in self._listed}
        self._standing: dict[int, bytes] = {}  # the ledger's seals under the numbers of those heads
        self._broken: list[_Seal] = []
        self._before: dict[int, bytes] = {}  # by number of a broken one: the seal before it
        self._times = Times()
        self._accepted = 0  # up to which number a person has accepted what was late
        self._known = -1  # the index in the heads of the lists up to which they have accepted what was lost
        listed = signed.heads[-1][1] if signed.heads else None
        self.found = CheckedEvents(lists=signed.lists, wrong_lists=dict(signed.wrong), listed=listed)

    def run(self) -> None:
        self._read_notes()
        self._walk()
        if self._stopped():
            return
        self._name_broken()
        self._name_inserted()
        self._name_lost()
        self._look_at_head_rows()
        waiting = self._session.execute(text("SELECT count(*), min(written_at) FROM unsealed_events")).one()
        self.found.waiting, self.found.waiting_since = waiting

    # Each seal follows the one before, and is of the event as it stands there

    def _walk(self) -> None:
        last = _Seal(0, "", uuid.UUID(int=0), None, NOTHING, NOTHING, None)
        [(number_of_all,)] = self._session.execute(text("SELECT count(*) FROM event_seals")).all()
        for page in self._pages():
            lines = lines_of(self._session, [(one.event, one.event_id) for one in page])
            said = self._said(page)
            for one in page:
                self._look_at_number(last, one)
                if _seal_of(one, last.seal, one.number) != one.seal:
                    self._note_broken(last, one)
                self._look_at_event(one, lines.get(one.event_id), said.get(one.event_id))
                self._times.note_seal(one.written_at)
                if one.number in self._heads:
                    self._standing[one.number] = one.seal
                last = one
                self.found.sealed += 1
            self._progress(self.found.sealed, number_of_all)
        if last.number:
            self.found.head = (last.number, last.seal.hex())

    def _pages(self) -> Iterator[list[_Seal]]:
        after = 0
        while not self._stopped():
            rows = self._session.execute(_SEALS, {"after": after, "limit": _AT_ONCE}).all()
            if not rows:
                return
            page = [
                _Seal(number, event, event_id, written, bytes(hash_), bytes(seal), written_at)
                for number, event, event_id, written, hash_, seal, written_at in rows
            ]
            after = page[-1].number
            yield page

    def _said(self, page: Sequence[_Seal]) -> dict[uuid.UUID, _Said]:
        """By id."""
        found: dict[uuid.UUID, _Said] = {}
        for kind, asked in _TIMES.items():
            ids = [one.event_id for one in page if one.event == kind]
            if ids:
                for row_id, *values in self._session.execute(asked, {"ids": ids}):
                    found[row_id] = _Said(*values)
        return found

    def _look_at_number(self, last: _Seal, one: _Seal) -> None:
        if one.number == last.number + 2:
            self._add("dropped", "its seal is gone, and with it what event it was", number=one.number - 1)
        elif one.number > last.number + 2:
            gone = f"the seals {last.number + 1} to {one.number - 1} are gone, and with them what events they were"
            self._add("dropped", gone, number=last.number + 1)

    def _look_at_event(self, one: _Seal, line: str | None, said: _Said | None) -> None:
        name = said.name if said is not None else None
        if line is None:
            early = one.event_hash == NOTHING
            why = "it was gone before it was sealed" if early else "it was sealed, and is not there any more"
            self._add("dropped", why, one, name)
        elif event_hash(line) != one.event_hash:
            self._add("changed", "it does not say what it said when it was sealed", one, name)
            said = None
        if one.event != "note":
            happened_at, happened = (None, None) if said is None else (said.happened_at, said.happened)
            trouble = self._times.trouble(Timed(happened_at, happened, one.written_at, one.written))
            if trouble is not None and trouble[0] == "backdated" and one.number <= self._accepted:
                self.found.accepted += 1
            elif trouble is not None:
                self._add(*trouble, one, name)

    def _add(self, kind: str, why: str, one: _Seal | None = None, name: str | None = None, *, number: int = 0) -> None:
        if one is None:
            self.found.add(kind, Wrong(why, number))
        else:
            self.found.add(kind, Wrong(why, one.number, one.event, str(one.event_id), name))

    # What does not follow

    def _note_broken(self, last: _Seal, one: _Seal) -> None:
        if len(self._broken) >= _FEW:
            self._add_broken(one)
            return
        self._broken.append(one)
        self._before[one.number] = last.seal

    def _add_broken(self, one: _Seal) -> None:
        self._add("broken", "its seal does not follow from the one before it: one of the two was changed", one)

    def _name_broken(self) -> None:
        """Two that were exchanged are named so: each is right at the other's place."""
        places = {one.number: self._place_of(one) for one in self._broken}
        in_place = {place: one.seal for one in self._broken if (place := places[one.number]) is not None}
        for one in self._broken:
            place, before = places[one.number], in_place.get(one.number - 1)
            if place is not None:
                self._add("swapped", f"its place is {place}, by its seal", one)
            elif before is None or _seal_of(one, before, one.number) != one.seal:  # else it only follows such a one
                self._add_broken(one)

    def _place_of(self, one: _Seal) -> int | None:
        befores = {*self._before.values(), *(other.seal for other in self._broken)}
        for number in self._before.keys() - {one.number}:
            if any(_seal_of(one, before, number) == one.seal for before in befores):
                return number
        return None

    def _name_inserted(self) -> None:
        for kind, name in _NAMES.items():
            asked = text(_INSERTED.format(name=name, table=canonical.TABLES[kind], kind=kind, most=MOST))
            rows = self._session.execute(asked).all()
            for row_id, about, _ in rows:
                why = "it has no seal and waits for none: it did not come as events come"
                self.found.add("inserted", Wrong(why, None, kind, str(row_id), about))
            if rows:
                self.found.counts["inserted"] += rows[0][2] - len(rows)

    # What the signed lists have and the ledger has not

    def _read_notes(self) -> None:
        """And what a person has accepted: as far as they have seen it, and signed that."""
        asked = text(
            "SELECT s.number, n.happened_at, n.who, n.kind, n.lost_number, n.lost_seal, n.message, n.signature "
            "FROM seal_notes AS n JOIN event_seals AS s ON s.event_id = n.id AND s.event = 'note' ORDER BY s.number"
        )
        names = ("number", "happened_at", "who", "kind", "lost_number", "lost_seal", "message")
        for *row, signature in self._session.execute(asked):
            note = dict(zip(names, row, strict=True))
            self.found.notes.append(note)
            if note["kind"] == "accepted":
                seen = seen_by(self._signed.public, note["who"], note["message"], signature)
                note["is_signed"] = seen is not None and self._take(seen)

    def _take(self, seen: Seen) -> bool:
        """Whether it is about this database."""
        if seen.sealed != NO_HEAD and not sealing.has(self._session, seen.sealed):
            return False
        self._accepted = max(self._accepted, seen.sealed.number)
        self._known = max(self._known, self._listed.get(seen.listed, -1))
        return True

    def _name_lost(self) -> None:
        good = 0
        for at, (path, head) in enumerate(self._signed.heads):
            standing = self._standing.get(head.number)
            if standing == head.seal:
                good = max(good, head.number)
                self.found.signed = good
            elif at <= self._known:
                self.found.accepted += 1
            else:
                self._add_lost(path, head, standing, good)

    def _add_lost(self, path: str, head: Head, standing: bytes | None, good: int) -> None:
        what = "has none" if standing is None else "has another one"
        why = (
            f"Storage/Manifests/{path} has the seal {head.seal.hex()[:12]}… for it, and the database {what}: something "
            f"after {good} was changed, added or removed, or the database is older than the list"
        )
        self.found.add("lost", Wrong(why, head.number))

    def _look_at_head_rows(self) -> None:
        """Heads that were signed and stand in no list now; those whose row is gone; rows that came by hand."""
        missed = {head: path for path, head in self._signed.heads if self._standing.get(head.number) == head.seal}
        asked = text(
            f"SELECT number, seal, is_signed, to_char(timezone('UTC', sealed_at), '{sealing.DAY}'), "
            "isfinite(sealed_at), EXISTS (SELECT FROM event_seals AS s WHERE s.number = h.number AND s.seal = h.seal) "
            "FROM seal_heads AS h"
        )
        for number, seal, is_signed, day, is_day, is_sealed in self._session.execute(asked):
            head = Head(number, bytes(seal))
            missed.pop(head, None)
            if is_signed and head not in self._listed:
                path = heads.path_of(day) if is_day else LOG
                self.found.wrong_lists.setdefault(path, f"it lacks the seal {number}, which the database has signed")
            elif not is_signed and not (is_sealed and is_day):
                why = "its row in seal_heads says that it is the last of a step, and the seals, or its time, do not"
                self.found.add("inserted", Wrong(why, number))
        for head, path in missed.items():
            why = f"Storage/Manifests/{path} has this seal, and its row in seal_heads is gone or says another"
            self.found.add("dropped", Wrong(why, head.number))


def _seal_of(one: _Seal, before: bytes, number: int) -> bytes:
    return canonical.seal(before, number, one.written, one.event_hash)
