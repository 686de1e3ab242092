"""Acts and their events, as they stand in the ledger."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from Src.Library.overlay import acts
from Src.Library.overlay.events import Change, record
from Src.Shared.database import Database
from Src.Shared.models import Act, OverlayEvent

A, B = "a" * 64, "b" * 64


def test_an_act_and_what_it_changed_are_written_together(database: Database) -> None:
    with database.session() as session:
        act = acts.begin(session, "rate", "ada", selection="name:a*", parameters={"rating": 5})
        assert record(session, act, [Change(A, "rating", None, 5), Change(B, "rating", 3, 5)]) == 2
    with database.session() as session:
        stored = session.scalars(select(Act)).one()
        assert (stored.who, stored.kind, stored.selection, stored.parameters) == (
            "ada",
            "rate",
            "name:a*",
            {"rating": 5},
        )
        assert (stored.status, stored.undoes, stored.happened_at.tzinfo is None) == ("done", None, False)
        events = session.scalars(select(OverlayEvent).order_by(OverlayEvent.seq)).all()
        assert [(one.file_hash, one.field, one.before, one.after) for one in events] == [
            (A, "rating", None, 5),
            (B, "rating", 3, 5),
        ]
        assert {one.act_id for one in events} == {stored.id}
        assert {(one.who, one.is_mirrored, one.undoes) for one in events} == {("ada", False, None)}


def test_an_act_whose_transaction_fails_is_none(database: Database) -> None:
    never = Change(A, "no such field", None, 5)
    with pytest.raises(IntegrityError, match="ck_overlay_events_field"), database.session() as session:
        record(session, acts.begin(session, "rate", "ada"), [Change(A, "rating", None, 5), never])
    with database.session() as session:
        assert session.scalars(select(Act)).all() == []
        assert session.scalars(select(OverlayEvent)).all() == []


def test_what_does_not_change_is_no_event(database: Database) -> None:
    same = [Change(A, "rating", 5, 5), Change(A, "location", {"lat": 1.0, "lon": 2.0}, {"lon": 2.0, "lat": 1.0})]
    with database.session() as session:
        assert record(session, acts.begin(session, "rate", "ada"), same) == 0
        assert session.scalars(select(OverlayEvent)).all() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden", False),
        ("rotation", 0),
        ("title", 'Ä \U0001f4f7 \\ " \n'),
        ("location", {"lat": -33.8568, "lon": 151.2153}),
        ("captured_at", {"captured_at": "2024-05-01T12:00:00", "captured_at_offset": None}),
    ],
)
def test_values_come_back_as_they_were(database: Database, field: str, value: Any) -> None:
    with database.session() as session:
        record(session, acts.begin(session, "x", "ada"), [Change(A, field, None, value), Change(B, field, value, None)])
    with database.session() as session:
        first, second = session.scalars(select(OverlayEvent).order_by(OverlayEvent.seq))
        assert (first.before, first.after, second.before, second.after) == (None, value, value, None)


def test_many_events_have_the_order_in_which_they_were_given(database: Database) -> None:
    hashes = [f"{number:064x}" for number in range(12_001)]
    with database.session() as session:
        record(session, acts.begin(session, "hide", "ada"), (Change(one, "hidden", False, True) for one in hashes))
        assert session.scalars(select(OverlayEvent.file_hash).order_by(OverlayEvent.seq)).all() == hashes


def test_an_act_is_finished_by_whoever_has_it(database: Database) -> None:
    with database.session() as session:
        act = acts.begin(session, "redate", "ada", status="pending")
    with database.session() as session:
        acts.finish(session, act, "failed", "the disk is full\0")
        assert (act.status, act.message) == ("failed", "the disk is full")
    with database.session() as session:
        stored = session.scalars(select(Act)).one()
        assert (stored.status, stored.message) == ("failed", "the disk is full")
        acts.finish(session, stored, "done")
    with database.session() as session:
        assert session.scalars(select(Act.status)).one() == "done"
