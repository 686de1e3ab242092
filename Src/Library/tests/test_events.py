"""Sealed events: whatever is done to them behind the factory's back is found and named, and no kill, late commit, older
backup or new database makes them say what is not so."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.custody.manifests import checking, days
from Src.Library.custody.manifests.checking import check_manifests
from Src.Library.custody.manifests.events import canonical, sealing, signed
from Src.Library.custody.manifests.events.accepting import NO_HEAD, Seen, accepted
from Src.Library.custody.manifests.events.found import CheckedEvents
from Src.Library.custody.manifests.events.sealing import Head, Note
from Src.Library.custody.manifests.folder import ManifestFolder
from Src.Library.custody.manifests.minisign import SecretKey
from Src.Library.custody.manifests.store import BeingWritten, lock_of_manifests, signing_key
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


def timed(sealed: Sealed, happened: str | None, written: str | None, sha256: str = "a" * 64) -> uuid.UUID:
    """Seals a fate (and a decision) that happened, and was written, so long from now; the fate's id."""
    ids = sealed.add([sha256])
    with untriggered(sealed):
        for table in ("ingest_events", "overlay_events"):
            sealed.sql(
                f"UPDATE {table} SET happened_at = now() + CAST(:at AS interval) WHERE id = ANY (:ids)",
                at=happened or written,
                ids=ids,
            )
    sealed.sql("UPDATE unsealed_events SET written_at = now() + CAST(:at AS interval)", at=written)
    sealed.seal()
    return ids[0]


@contextmanager
def untriggered(sealed: Sealed) -> Iterator[None]:
    for table in ("ingest_events", "overlay_events"):
        sealed.sql(f"ALTER TABLE {table} DISABLE TRIGGER queue_event")
    yield
    for table in ("ingest_events", "overlay_events"):
        sealed.sql(f"ALTER TABLE {table} ENABLE TRIGGER queue_event")


def fates(found: CheckedEvents, kind: str) -> set[str | None]:
    return {one.id for one in found.found[kind] if one.event == "fate"}


def test_what_comes_late_is_named_and_an_older_date_is_wrong_until_somebody_accepts_it(sealed: Sealed) -> None:
    late = timed(sealed, "2 hours", "9 hours")
    found = sealed.check()
    assert fates(found, "late") == {str(late)} and found.is_well, found.as_json()
    older = timed(sealed, "-1 year", "12 hours")
    unknown = timed(sealed, "12 hours", None)
    back = timed(sealed, "10 hours", "10 hours")
    found = sealed.check()
    assert fates(found, "backdated") == {str(older), str(unknown), str(back)} and not found.is_well
    assert found.counts["backdated"] == 5  # the clock went back once, of two events
    # Somebody signs what they have seen: not what comes between.
    between = timed(sealed, "-1 year", "10 hours")
    sealed.accept("the clock was wrong", found)
    found = sealed.check()
    assert fates(found, "backdated") == {str(between)} and found.accepted == 5, found.as_json()
    sealed.accept("and again")
    found = sealed.check()
    assert found.is_well and [note["message"] for note in found.notes[1:]] == ["the clock was wrong", "and again"]
    timed(sealed, "-1 year", "10 hours")
    assert not sealed.check().is_well


def test_an_acceptance_that_nobody_signed_covers_nothing(sealed: Sealed) -> None:
    timed(sealed, "2 hours", "2 hours")
    timed(sealed, "-1 year", "5 hours")
    wrong = sealed.check().counts["backdated"]
    assert wrong == 2
    # Without a signature, and with one that is of something else.
    other = accepted(SecretKey.new(), "ada", "by hand", Seen(NO_HEAD, NO_HEAD))
    ours = accepted(signing_key(sealed.vault), "ada", "of another", Seen(Head(1, bytes(32)), NO_HEAD))
    moved = ours._replace(message="by hand")
    for note in (Note("accepted", "ada", "by hand"), other, ours, moved):
        sealed.manifests().write(1, note)
    found = sealed.check()
    assert (found.counts["backdated"], found.accepted) == (wrong, 0)
    assert [note["is_signed"] for note in found.notes[1:]] == [False] * 4


def test_a_row_that_somebody_adds_to_the_heads_gets_no_signature(sealed: Sealed) -> None:
    [path] = (sealed.settings.storage / "Manifests").glob("*/*.events")
    before, last = path.read_bytes(), sealed.check().signed
    librarian = Database(as_service(sealed.settings, "librarian"))
    forged = bytes.fromhex("ab" * 32)
    try:
        with librarian.session() as session:
            for number, at, is_signed in (
                (last + 1, "now()", False),  # where the next one comes
                (last + 50, "'infinity'", False),
                (last + 60, "'0044-03-15 BC'", False),
                (last - 1, "now()", False),
                (last + 70, "now()", True),
                (last + 80, "'-infinity'", True),
            ):
                session.execute(
                    text(f"INSERT INTO seal_heads VALUES (:number, :seal, {at}, :is_signed)"),
                    {"number": number, "seal": forged, "is_signed": is_signed},
                )
    finally:
        librarian.close()
    manifests = sealed.seal()
    assert path.read_bytes() == before and "is not signed" in str(manifests.trouble)
    assert not manifests.are_behind()
    found = sealed.check()
    assert numbers(found, "inserted") == {last + 1, last + 50, last + 60, last - 1} and not found.is_well
    sealed.add(["a" * 64])
    sealed.add(["b" * 64])
    sealed.sql("DELETE FROM seal_heads WHERE number = :n", n=last + 2)
    sealed.seal()
    assert forged.hex() not in path.read_text() and len(path.read_bytes()) > len(before)
    assert sealed.check().signed == last + 4


def test_a_seal_that_somebody_adds_is_not_signed(sealed: Sealed) -> None:
    """Nor any that comes after it."""
    [path] = (sealed.settings.storage / "Manifests").glob("*/*.events")
    before, last = path.read_bytes(), sealed.check().signed
    forged = bytes.fromhex("ab" * 32)
    sealed.sql("INSERT INTO event_seals VALUES (:n, 'fate', gen_random_uuid(), now(), :s, :s)", n=last + 1, s=forged)
    sealed.sql("INSERT INTO seal_heads VALUES (:n, :s, now())", n=last + 1, s=forged)
    sealed.add(["a" * 64])
    manifests = sealed.seal()
    assert path.read_bytes() == before and manifests.trouble is not None
    assert last + 1 in numbers(sealed.check(), "broken")


def test_a_head_whose_row_is_gone_is_named(sealed: Sealed) -> None:
    last = sealed.check().signed
    sealed.sql("DELETE FROM seal_heads WHERE number = :n", n=last)
    assert numbers(sealed.check(), "dropped") == {last}


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


def test_a_key_without_lists_is_no_loss(factory_settings: Settings, database: Database) -> None:
    vault = Vault(factory_settings.storage)
    fill(vault, database, 1)
    sealed = Sealed(factory_settings, database, vault)
    sealed.add(["a" * 64])
    signing_key(vault)
    found = sealed.check()
    assert found.is_well and found.wrong_lists == {}
    sealed.seal()
    for path in (factory_settings.storage / "Manifests").glob("chain.log*"):
        path.unlink()
    assert sealed.check().wrong_lists["chain.log"].startswith("it is gone")
    shutil.rmtree(factory_settings.storage / "Manifests")
    assert not sealed.check().is_well


def test_the_ledger_is_read_as_of_a_moment_at_which_nobody_writes_lists(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = days.known_head, []

    def known_head(session: Session) -> str | None:
        with pytest.raises(BeingWritten), lock_of_manifests(sealed.vault, patience=0.0):
            pass
        asked.append(session.execute(text("SHOW transaction_isolation")).scalar_one())
        return real(session)

    monkeypatch.setattr(days, "known_head", known_head)
    assert sealed.check().is_well and asked == ["repeatable read"]


def test_while_somebody_writes_nothing_is_called_wrong(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def taken(_vault: Vault) -> Iterator[None]:
        raise BeingWritten("for 30 s")
        yield

    monkeypatch.setattr(signed, "lock_of_manifests", taken)
    monkeypatch.setattr(checking, "lock_of_manifests", taken)
    with pytest.raises(BeingWritten, match="try again"):
        sealed.check()
    [path] = (sealed.settings.storage / "Manifests").glob("*/*.events")
    path.write_bytes(b"")
    wrong = check_manifests(sealed.vault, sealed.database, Belonging(sealed.settings, sealed.vault)).wrong
    assert [why for why in wrong.values() if "try again" not in why] == [] and wrong


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


def test_many_are_sealed_in_bounded_steps(factory_settings: Settings, database: Database) -> None:
    """As after the upgrade of a database that has many already: without a time of writing."""
    vault = Vault(factory_settings.storage)
    fill(vault, database, 1)
    sealed = Sealed(factory_settings, database, vault)
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
    assert sum(sealed_at_once) == 6002 and 0 < max(sealed_at_once) <= 5 * sealing.STEP + 1
    found = sealed.check()
    assert found.is_well, found.as_json()
    heads = [row[0] for row in sealed.sql("SELECT number FROM seal_heads ORDER BY number")]
    assert max(after - before for before, after in pairwise(heads)) == sealing.STEP


def test_no_two_moments_have_the_same_bytes(database: Database) -> None:
    moments = ["NULL", "'infinity'", "'-infinity'", "'0044-03-15'", "'0044-03-15 BC'", "'10044-03-15'", "'2024-01-01'"]
    asked = ", ".join(canonical.moment(f"CAST({one} AS timestamptz)") for one in moments)
    with database.session() as session:
        found = session.execute(text(f"SELECT {asked}")).one()
    assert len(set(found)) == len(moments)
    assert list(found)[:3] == [None, "infinity", "-infinity"] and found[4] == "0044-03-15T00:00:00.000000Z BC"


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
        for name in ("commit", "execute", "flush"):
            setattr(Session, name, counted(getattr(Session, name)))
        for name in ("fsync", "write", "rename", "ftruncate", "open", "replace"):
            setattr(os, name, counted(getattr(os, name)))
        while manifests.are_behind() and manifests.write().is_something:
            pass
    except BaseException:
        os._exit(7)
    os._exit(0)


def test_killed_between_the_lists_and_their_chain_nothing_is_wrong(sealed: Sealed) -> None:
    # A list that changes, one of another day that comes, and one that goes.
    fill(sealed.vault, sealed.database, 1, names=["new.jpg"])
    fill(sealed.vault, sealed.database, 1, first=datetime(2023, 1, 1))
    sealed.sql("DELETE FROM media_assets WHERE final_path LIKE 'Originals/2024/2024-07-02/%'")
    shutil.rmtree(sealed.vault.originals / "2024" / "2024-07-02")
    sealed.add(["a" * 64])
    child = os.fork()
    if not child:
        try:
            other = Sealed(sealed.settings, Database(sealed.settings), Vault(sealed.settings.storage))
            ManifestFolder.append = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
            other.seal()
        finally:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    found = sealed.check()
    assert found.is_well, found.as_json()
    assert check_manifests(sealed.vault, sealed.database, Belonging(sealed.settings, sealed.vault)).wrong == {}
    sealed.seal()
    assert sealed.check().is_well


def test_killed_fifty_times_the_seals_still_follow(sealed: Sealed) -> None:
    killed = 0
    for tries in range(50):
        sealed.add([f"{tries:064x}"])
        killed += killed_while_sealing(sealed, tries * 7 % 60)
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
