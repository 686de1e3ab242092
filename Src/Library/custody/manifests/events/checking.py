"""Are the events those that were sealed, in their order, and do the signed lists say so? Changes nothing.

The lists are read before the ledger: each seal in them was committed before. All of the ledger is read as it was at one
moment, while others write.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.custody.manifests.events import canonical
from Src.Library.custody.manifests.events.canonical import NOTHING, event_hash, lines_of, moment
from Src.Library.custody.manifests.events.found import MOST, CheckedEvents, Wrong
from Src.Library.custody.manifests.events.sealing import Head
from Src.Library.custody.manifests.events.signed import SignedHeads, read_signed_heads
from Src.Library.vault import Vault
from Src.Shared.database import Database

LATE = 3600.0  # seconds between what an event says and when it was written: a batch and two clocks have room in it

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
    """Raises LedgerUnavailable, WrongLedger, VaultTrouble."""
    belonging.establish(database)
    signed = read_signed_heads(vault)
    with database.session() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        belonging.check(session)
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
        self._heads = {head.number for _, head in signed.heads}
        self._standing: dict[int, bytes] = {}  # the ledger's seals under the numbers of those heads
        self._broken: list[_Seal] = []
        self._before: dict[int, bytes] = {}  # by number of a broken one: the seal before it
        self._late: list[tuple[int, Wrong]] = []
        self.found = CheckedEvents(lists=signed.lists, wrong_lists=dict(signed.wrong))

    def run(self) -> None:
        self._walk()
        if self._stopped():
            return
        self._name_broken()
        self._name_inserted()
        accepted = self._read_notes()
        self._name_lost(accepted)
        for number, wrong in self._late:
            if number < accepted:
                self.found.accepted += 1
            else:
                self.found.add("backdated", wrong)
        waiting = self._session.execute(text("SELECT count(*), min(written_at) FROM unsealed_events")).one()
        self.found.waiting, self.found.waiting_since = waiting

    # Each seal follows the one before, and is of the event as it stands there

    def _walk(self) -> None:
        last = _Seal(0, "", uuid.UUID(int=0), None, NOTHING, NOTHING, None)
        [(number_of_all,)] = self._session.execute(text("SELECT count(*) FROM event_seals")).all()
        for page in self._pages():
            lines = lines_of(self._session, [(one.event, one.event_id) for one in page])
            said = self._times(page)
            for one in page:
                self._look_at_number(last, one)
                if _seal_of(one, last.seal, one.number) != one.seal:
                    self._note_broken(last, one)
                self._look_at_event(one, lines.get(one.event_id), said.get(one.event_id))
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

    def _times(self, page: Sequence[_Seal]) -> dict[uuid.UUID, _Said]:
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
        elif said is not None and one.written_at is not None and one.event != "note":
            late = one.written_at - said.happened_at
            if abs(late) > LATE:
                side = "before" if late > 0 else "after"
                why = f"it says {said.happened}, more than an hour {side} it was written ({one.written})"
                self._late.append((one.number, Wrong(why, one.number, one.event, str(one.event_id), name)))

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

    def _read_notes(self) -> int:
        """Up to which number a person has accepted what was lost; 0: none has."""
        asked = text(
            "SELECT s.number, n.happened_at, n.who, n.kind, n.lost_number, n.lost_seal, n.message FROM seal_notes AS n "
            "JOIN event_seals AS s ON s.event_id = n.id AND s.event = 'note' ORDER BY s.number"
        )
        names = ("number", "happened_at", "who", "kind", "lost_number", "lost_seal", "message")
        self.found.notes = [dict(zip(names, row, strict=True)) for row in self._session.execute(asked)]
        return max((one["number"] for one in self.found.notes if one["kind"] == "accepted"), default=0)

    def _name_lost(self, accepted: int) -> None:
        """A person's word covers the heads above the first one that was signed after it."""
        until = -1
        for at, (_, head) in enumerate(self._signed.heads):
            if self._standing.get(head.number) == head.seal:
                self.found.signed = max(self.found.signed, head.number)
                if accepted and head.number >= accepted and until < 0:
                    until = at
        good = 0
        for at, (path, head) in enumerate(self._signed.heads):
            standing = self._standing.get(head.number)
            if standing == head.seal:
                good = max(good, head.number)
            elif at < until:
                self.found.accepted += 1
            else:
                self._add_lost(path, head, standing, good)
        self._look_at_signed()

    def _add_lost(self, path: str, head: Head, standing: bytes | None, good: int) -> None:
        what = "has none" if standing is None else "has another one"
        why = (
            f"Storage/Manifests/{path} has the seal {head.seal.hex()[:12]}… for it, and the database {what}: something "
            f"after {good} was changed, added or removed, or the database is older than the list"
        )
        self.found.add("lost", Wrong(why, head.number))

    def _look_at_signed(self) -> None:
        """Heads that were signed, and that no list has now."""
        in_lists = {(head.number, head.seal) for _, head in self._signed.heads}
        day_of_head = "to_char(timezone('UTC', sealed_at), 'YYYY-MM-DD')"
        asked = text(f"SELECT number, seal, {day_of_head} FROM seal_heads WHERE is_signed")
        for number, seal, day in self._session.execute(asked):
            if (number, bytes(seal)) not in in_lists:
                path = f"{day[:4]}/{day}.events"
                self.found.wrong_lists.setdefault(path, f"it lacks the seal {number}, which the database has signed")


def _seal_of(one: _Seal, before: bytes, number: int) -> bytes:
    return canonical.seal(before, number, one.written, one.event_hash)
