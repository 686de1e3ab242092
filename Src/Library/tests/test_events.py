"""Sealed events: whatever is done to them behind the factory's back is found and named, and no kill, late commit, older
backup or new database makes them say what is not so."""

from __future__ import annotations

import os
import random
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from Src.Library.belonging import Belonging
from Src.Library.custody.manifests.checking import check_manifests
from Src.Library.custody.manifests.events import canonical, sealing
from Src.Library.custody.manifests.events.found import CheckedEvents
from Src.Library.vault import Vault
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.settings import Settings
from Src.Testing.examples import examples
from Src.Testing.filled_vault import fill
from Src.Testing.roles import as_service
from Src.Testing.sealed import Sealed

ROUNDS, EACH = 4, 4  # of sealing, and originals in each
TABLES = ("ingest_events", "overlay_events", "event_seals", "seal_heads", "seal_notes", "unsealed_events")


@pytest.fixture
def sealed(factory_settings: Settings, database: Database) -> Sealed:
    vault = Vault(factory_settings.storage)
    hashes = fill(vault, database, ROUNDS * EACH)
    sealed = Sealed(factory_settings, database, vault)
    for number in range(ROUNDS):
        sealed.add(hashes[number * EACH : (number + 1) * EACH])
        sealed.seal()
    return sealed


def named(found: CheckedEvents, *kinds: str) -> set[str]:
    """The ids of the events in these findings."""
    return {str(one.id) for kind in kinds for one in found.found[kind]}


def numbers(found: CheckedEvents, *kinds: str) -> set[int | None]:
    return {one.number for kind in kinds for one in found.found[kind]}


def test_nothing_is_found_where_nothing_was_done(sealed: Sealed) -> None:
    found = sealed.check()
    assert found.is_well, found.as_json()
    count = 2 * ROUNDS * EACH + 1  # and the note that seals begin
    assert (found.sealed, found.signed, found.waiting, len(found.notes)) == (count, count, 0, 1)
    assert check_manifests(sealed.vault, sealed.database, Belonging(sealed.settings, sealed.vault)).wrong == {}
    # What the services set later is no part of an event.
    sealed.sql("UPDATE overlay_events SET is_mirrored = true, is_in_xmp = true")
    assert sealed.check().is_well


def test_what_is_not_sealed_yet_is_said(sealed: Sealed) -> None:
    sealed.add(["a" * 64])
    found = sealed.check()
    assert found.is_well and found.waiting == 2 and found.waiting_since is not None


# What somebody does to the database


@contextmanager
def kept(sealed: Sealed) -> Iterator[None]:
    """Behind the block the tables are as before it."""
    with sealed.database.session() as session:
        for table in TABLES:
            session.execute(text(f"DROP TABLE IF EXISTS kept_{table}"))
            session.execute(text(f"CREATE TABLE kept_{table} AS TABLE {table}"))
    try:
        yield
    finally:
        with sealed.database.session() as session:
            for table in TABLES:
                session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
                session.execute(text(f"DELETE FROM {table}"))
                identity = "OVERRIDING SYSTEM VALUE" if table in ("overlay_events", "unsealed_events") else ""
                session.execute(text(f"INSERT INTO {table} {identity} SELECT * FROM kept_{table}"))
                session.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


class Tampered:
    """One event that is sealed, and what is done to it; `expected` says what must be named."""

    def __init__(self, sealed: Sealed, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.sql, self.draw = sealed.sql, draw
        self.rows = self.sql("SELECT number, event, event_id FROM event_seals ORDER BY number")
        self.last = self.rows[-1][0]
        self.number, self.event, self.id = draw(st.sampled_from([row for row in self.rows if row[1] != "note"]))
        self.table = canonical.TABLES[self.event]

    def another(self, event: str | None = None) -> Any:
        return self.draw(
            st.sampled_from([row for row in self.rows if row[0] != self.number and event in (None, row[1])])
        )

    def changed(self) -> tuple[tuple[str, ...], set[str]]:
        columns = {
            "fate": ("message = 'b'", "fate = 'duplicate'", "original_name = 'x'", "file_size = 8", "attempts = 2"),
            "decision": ("who = 'eve'", "after = '{}'", "before = 'null'", "field = 'tag'", "undoes = id"),
        }[self.event]
        what = self.draw(st.sampled_from([*columns, "happened_at = happened_at - interval '1 microsecond'"]))
        self.sql(f"UPDATE {self.table} SET {what} WHERE id = :id", id=self.id)
        return ("changed",), {str(self.id)}

    def backdated(self) -> tuple[tuple[str, ...], set[str]]:
        when = self.draw(st.sampled_from(["happened_at - interval '1 year'", "'infinity'", "'-infinity'"]))
        self.sql(f"UPDATE {self.table} SET happened_at = {when} WHERE id = :id", id=self.id)
        return ("changed",), {str(self.id)}

    def dropped(self) -> tuple[tuple[str, ...], set[str]]:
        self.sql(f"DELETE FROM {self.table} WHERE id = :id", id=self.id)
        return ("dropped",), {str(self.id)}

    def inserted(self) -> tuple[tuple[str, ...], set[str]]:
        new = uuid.uuid4()
        columns = {
            "fate": "fate, source, original_name, original_path",
            "decision": "act_id, who, field, after",
        }[self.event]
        self.sql(f"ALTER TABLE {self.table} DISABLE TRIGGER queue_event")
        self.sql(
            f"INSERT INTO {self.table} (id, happened_at, {columns}) SELECT :new, happened_at, {columns} "
            f"FROM {self.table} WHERE id = :id",
            new=new,
            id=self.id,
        )
        self.sql(f"ALTER TABLE {self.table} ENABLE TRIGGER queue_event")
        return ("inserted",), {str(new)}

    def exchanged(self) -> tuple[tuple[str, ...], set[str]]:
        """Two events take each other's place in the order."""
        other = self.another()
        self.sql("UPDATE event_seals SET number = number + 1000000 WHERE number IN (:a, :b)", a=self.number, b=other[0])
        for at, to in ((self.number, other[0]), (other[0], self.number)):
            self.sql("UPDATE event_seals SET number = :to WHERE number = :at", at=at + 1000000, to=to)
        return ("swapped",), {str(self.id), str(other[2])}

    def exchanged_contents(self) -> tuple[tuple[str, ...], set[str]]:
        other = self.another(self.event)
        free = uuid.uuid4()
        for old, new in ((self.id, free), (other[2], self.id), (free, other[2])):
            self.sql(f"UPDATE {self.table} SET id = :new WHERE id = :old", old=old, new=new)
        return ("changed",), {str(self.id), str(other[2])}

    def resealed(self, first: int) -> None:
        """All seals from a number on are made anew, as who knows how does it; and the heads."""
        rows = self.sql(
            f"SELECT number, event, event_id, {canonical.moment('written_at')} FROM event_seals ORDER BY number"
        )
        before = canonical.NOTHING
        for at, (number, event, event_id, written) in enumerate(rows, 1):
            [(line,)] = self.lines(event, event_id)
            before = canonical.seal(before, at, written, canonical.event_hash(line))
            if number >= first:
                self.sql(
                    "UPDATE event_seals SET event_hash = :hash, seal = :seal WHERE number = :n",
                    hash=canonical.event_hash(line),
                    seal=before,
                    n=number,
                )
        self.sql("UPDATE seal_heads AS h SET seal = s.seal FROM event_seals AS s WHERE s.number = h.number")

    def lines(self, event: str, event_id: uuid.UUID) -> list[tuple[str | None]]:
        with self.database.session() as session:
            return [(canonical.lines_of(session, [(event, event_id)]).get(event_id),)]

    database: Database


SEALS_DONE = ("gone", "moved", "anew", "anew_without", "tail", "hash", "seal", "time", "all")
DONE = ("changed", "backdated", "dropped", "inserted", "exchanged", "exchanged_contents")
SOME = {"max_examples": examples(25), "deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("done", DONE)
def test_each_change_of_an_event_is_found_and_named(sealed: Sealed, done: str) -> None:
    @settings(**{**SOME, "max_examples": examples(8)})  # type: ignore[arg-type]
    @given(data=st.data())
    def each(data: st.DataObject) -> None:
        with kept(sealed):
            kinds, ids = getattr(Tampered(sealed, data.draw), done)()
            found = sealed.check()
            assert not found.is_well
            assert named(found, *kinds) == ids, found.as_json()
            others = {kind for kind in found.counts if found.counts[kind]} - set(kinds)
            if done == "exchanged":  # a signed seal may be one of the two
                others.discard("lost")
            assert not others, found.as_json()
        assert sealed.check().is_well

    each()


def test_seals_that_are_gone_moved_or_made_anew_are_found(sealed: Sealed) -> None:
    @settings(**SOME)  # type: ignore[arg-type]
    @given(data=st.data())
    def each(data: st.DataObject) -> None:
        with kept(sealed):
            one = Tampered(sealed, data.draw)
            one.database = sealed.database
            how = data.draw(st.sampled_from(SEALS_DONE))
            last = one.last
            if how == "all":
                for table in TABLES:
                    sealed.sql(f"DELETE FROM {table}")
                assert numbers(sealed.check(), "lost") >= {last}
                return
            if how in ("gone", "moved", "anew_without"):
                sealed.sql(f"DELETE FROM {one.table} WHERE id = :id", id=one.id)
                sealed.sql("DELETE FROM event_seals WHERE number = :n", n=one.number)
            if how in ("moved", "anew_without"):
                sealed.sql("UPDATE event_seals SET number = number + 1000000 WHERE number > :n", n=one.number)
                sealed.sql("UPDATE event_seals SET number = number - 1000001 WHERE number > 1000000")
            if how == "anew":
                one.changed()
            if how in ("anew", "anew_without"):
                sealed.sql("DELETE FROM seal_heads WHERE number > (SELECT max(number) FROM event_seals)")
                one.resealed(one.number)
            if how == "tail":
                sealed.sql("DELETE FROM event_seals WHERE number >= :n", n=one.number)
                sealed.sql("DELETE FROM seal_heads WHERE number >= :n", n=one.number)
                for row in one.rows[one.number - 1 :]:
                    sealed.sql(f"DELETE FROM {canonical.TABLES[row[1]]} WHERE id = :id", id=row[2])
            if how in ("hash", "seal"):
                column = "event_hash" if how == "hash" else "seal"
                other = f"set_byte({column}, 7, (get_byte({column}, 7) + 1) % 256)"
                sealed.sql(f"UPDATE event_seals SET {column} = {other} WHERE number = :n", n=one.number)
            if how == "time":
                sealed.sql(
                    "UPDATE event_seals SET written_at = written_at - interval '1 day' WHERE number = :n", n=one.number
                )
            found = sealed.check()
            assert not found.is_well
            if how == "gone":
                if one.number < last:
                    assert one.number in numbers(found, "dropped"), found.as_json()
                else:
                    assert numbers(found, "lost") == {last}
            elif how in ("anew", "anew_without", "tail"):
                assert last in numbers(found, "lost"), found.as_json()
                assert not any(found.counts[kind] for kind in found.counts if kind != "lost"), found.as_json()
            elif how == "moved":
                assert found.counts["broken"] or one.number == last, found.as_json()
                assert last in numbers(found, "lost")
            else:
                assert one.number in numbers(found, "broken"), found.as_json()
        assert sealed.check().is_well

    each()


def test_an_event_that_comes_with_an_old_date_is_named_until_somebody_accepts_it(sealed: Sealed) -> None:
    [late, _] = sealed.add(["a" * 64])
    sealed.sql("ALTER TABLE ingest_events DISABLE TRIGGER queue_event")
    sealed.sql("UPDATE ingest_events SET happened_at = happened_at - interval '1 year' WHERE id = :id", id=late)
    sealed.sql("ALTER TABLE ingest_events ENABLE TRIGGER queue_event")
    sealed.seal()
    found = sealed.check()
    assert named(found, "backdated") == {str(late)} and not found.is_well
    sealed.accept("the database was away")
    found = sealed.check()
    assert (found.is_well, found.accepted, found.notes[-1]["message"]) == (True, 1, "the database was away")


def test_an_event_that_goes_before_it_is_sealed_is_named(sealed: Sealed) -> None:
    [gone, _] = sealed.add(["a" * 64])
    sealed.sql("DELETE FROM ingest_events WHERE id = :id", id=gone)
    sealed.seal()
    assert named(sealed.check(), "dropped") == {str(gone)}


def test_an_event_that_is_taken_from_the_queue_is_named(sealed: Sealed) -> None:
    [taken, _] = sealed.add(["a" * 64])
    sealed.sql("DELETE FROM unsealed_events WHERE event_id = :id", id=taken)
    sealed.seal()
    assert named(sealed.check(), "inserted") == {str(taken)}


def test_a_list_that_is_changed_or_gone_proves_nothing(sealed: Sealed) -> None:
    [path] = (sealed.settings.storage / "Manifests").glob("*/*.events")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1", b"2"))
    assert list(sealed.check().wrong_lists) == [f"{path.parent.name}/{path.name}"]
    path.unlink()
    assert not sealed.check().is_well
    path.write_bytes(content)
    assert sealed.check().is_well
    # All of the folder is gone: it is written again, from the database.
    for file in path.parent.parent.rglob("*"):
        if file.is_file():
            file.unlink()
    assert sealed.manifests().are_behind()
    sealed.seal()
    assert path.read_bytes() == content and sealed.check().is_well


def test_no_service_may_change_what_is_sealed(sealed: Sealed) -> None:
    database = Database(as_service(sealed.settings, "librarian"))
    try:
        for statement in (
            "UPDATE event_seals SET number = number",
            "DELETE FROM event_seals",
            "DELETE FROM ingest_events",
            "UPDATE ingest_events SET message = NULL",
            "UPDATE overlay_events SET who = who",
            "UPDATE seal_heads SET seal = seal",
            "DELETE FROM seal_notes",
            "INSERT INTO unsealed_events (event, event_id) VALUES ('fate', gen_random_uuid())",
        ):
            with pytest.raises(LedgerUnavailable, match="permission denied"), database.session() as session:
                session.execute(text(statement))
    finally:
        database.close()


# Which order


def test_what_is_committed_late_is_sealed_late(sealed: Sealed) -> None:
    """It has a lower id, an earlier date and a lower place in the queue, and comes after what was committed before."""
    other = Database(sealed.settings)
    late = uuid.UUID(int=1)
    try:
        with other.session() as session:
            session.execute(
                text(
                    "INSERT INTO ingest_events (id, fate, source, original_name, original_path) "
                    "VALUES (:id, 'failed', 'inbox', 'late', 'late')"
                ),
                {"id": late},
            )
            early = sealed.add(["b" * 64])
            sealed.seal()
            assert sealed.check().sealed == 2 * ROUNDS * EACH + 3
        sealed.seal()
    finally:
        other.close()
    order = [row[0] for row in sealed.sql("SELECT event_id FROM event_seals ORDER BY number")]
    assert order[-3:] == [*early, late]
    found = sealed.check()
    assert found.is_well and found.waiting == 0


def test_a_fate_that_is_queued_twice_has_one_seal(sealed: Sealed) -> None:
    [one, _] = sealed.add(["a" * 64])
    sealed.sql("INSERT INTO unsealed_events (event, event_id) SELECT event, event_id FROM unsealed_events")
    sealed.seal()
    sealed.sql("INSERT INTO unsealed_events (event, event_id) VALUES ('fate', :id)", id=one)
    sealed.seal()
    found = sealed.check()
    assert found.is_well and found.sealed == 2 * ROUNDS * EACH + 3 and found.waiting == 0


def test_many_are_sealed_in_bounded_steps(sealed: Sealed) -> None:
    """As after the upgrade of a database that has many already: without a time of writing."""
    with sealed.database.session() as session:
        session.execute(
            text(
                "INSERT INTO ingest_events (id, happened_at, fate, source, original_name, original_path) SELECT "
                "gen_random_uuid(), now() - n * interval '1 day', 'ingested', 'inbox', 'n', 'n' "
                "FROM generate_series(1, 6001) AS n"
            )
        )
        session.execute(text("UPDATE unsealed_events SET written_at = NULL"))
    manifests = sealed.manifests()
    sealed_at_once: list[int] = []
    while manifests.are_behind():
        sealed_at_once.append(manifests.write().sealed)
    assert sum(sealed_at_once) == 6001 and 0 < max(sealed_at_once) <= 5 * sealing.STEP
    found = sealed.check()
    assert found.is_well, found.as_json()
    heads = [row[0] for row in sealed.sql("SELECT number FROM seal_heads ORDER BY number")]
    assert max(after - before for before, after in pairwise(heads)) == sealing.STEP


# A database that is older, or new


def test_a_ledger_from_a_backup_is_behind_the_lists(sealed: Sealed) -> None:
    with kept(sealed):
        sealed.add(["a" * 64, "b" * 64])
        sealed.seal()
        lost = sealed.check().signed
    found = sealed.check()
    assert numbers(found, "lost") == {lost} and not found.is_well
    sealed.add(["c" * 64])
    sealed.seal()
    found = sealed.check()
    assert [note["lost_number"] for note in found.notes] == [None, lost]
    assert numbers(found, "lost") == {lost}
    sealed.add(["d" * 64])
    sealed.seal()
    assert len(sealed.check().notes) == 2  # once is enough
    sealed.accept("the backup of Sunday")
    found = sealed.check()
    assert (found.is_well, found.accepted) == (True, 1), found.as_json()
    # What is lost after that is not what was accepted.
    with kept(sealed):
        sealed.add(["e" * 64])
        sealed.seal()
    assert not sealed.check().is_well


def test_a_new_ledger_begins_a_series_and_says_so(sealed: Sealed) -> None:
    last = sealed.check().signed
    for table in TABLES:
        sealed.sql(f"DELETE FROM {table}")
    found = sealed.check()
    assert last in numbers(found, "lost")
    sealed.add(["a" * 64])
    sealed.seal()
    found = sealed.check()
    assert [(note["kind"], note["lost_number"]) for note in found.notes] == [("began", last)]
    assert found.counts["lost"] == ROUNDS + 1 and not found.is_well
    sealed.accept("the disk was lost")
    found = sealed.check()
    assert (found.is_well, found.accepted) == (True, ROUNDS + 1), found.as_json()


# Kills


def killed_while_sealing(sealed: Sealed, steps: int) -> bool:
    """Seals in another process, which is killed before its step of that number; whether it was."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    try:
        left = steps

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def step(*args: Any, **more: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **more)

            return step

        other = Sealed(sealed.settings, Database(sealed.settings), Vault(sealed.settings.storage))
        manifests = other.manifests()
        from sqlalchemy.orm import Session

        for name in ("commit", "execute", "flush"):
            setattr(Session, name, counted(getattr(Session, name)))
        for name in ("fsync", "write", "rename", "ftruncate", "open", "replace"):
            setattr(os, name, counted(getattr(os, name)))
        while manifests.are_behind() and manifests.write().is_something:
            pass
    except BaseException:
        os._exit(7)
    os._exit(0)


def test_killed_fifty_times_the_seals_still_follow(sealed: Sealed) -> None:
    killed = 0
    for tries in range(50):
        sealed.add([f"{tries:064x}"])
        killed += killed_while_sealing(sealed, random.randrange(60))
        if tries % 10 == 9:
            found = sealed.check()
            assert found.is_well, found.as_json()
    assert killed > 25
    sealed.seal()
    found = sealed.check()
    assert found.is_well, found.as_json()
    assert (found.waiting, found.sealed) == (0, 2 * ROUNDS * EACH + 1 + 100)
    assert found.signed == found.sealed and len(found.notes) == 1
    assert check_manifests(sealed.vault, sealed.database, Belonging(sealed.settings, sealed.vault)).wrong == {}
