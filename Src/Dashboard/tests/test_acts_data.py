"""What a page does to originals: as the dashboard's own role, on a real ledger, with what the Librarian makes of it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import select, text

from Src.Dashboard import resources
from Src.Dashboard.data import acts
from Src.Dashboard.data.acts import NotDone
from Src.Dashboard.data.standing import Standing, Submitted
from Src.Dashboard.ledger import Ledger
from Src.Dashboard.resources import connect_to_write
from Src.Dashboard.tests.acting import HOSTILE, Librarian, ids_of
from Src.Library.file_acts import FileActs
from Src.Library.vault import Vault
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.models import Act, AssetTag, MediaAsset, OverlayEvent, Tombstone, TrashItem
from Src.Shared.settings import Settings


def _row(database: Database, id_: uuid.UUID) -> MediaAsset | None:
    with database.session() as session:
        return session.get(MediaAsset, id_)


def _there(database: Database, id_: uuid.UUID) -> MediaAsset:
    found = _row(database, id_)
    assert found is not None
    return found


def _standing(submitted: Submitted) -> Standing:
    assert submitted.id is not None
    found = acts.standing(submitted.id)
    assert found is not None
    return found


def test_these_pages_are_the_dashboards_own_role(ids: list[uuid.UUID]) -> None:
    with connect_to_write() as session:
        assert session.scalar(text("SELECT current_user")) == "pf_dashboard"
    assert acts.refusal() is None


def test_what_touches_only_the_ledger_is_done_at_once_and_is_undone(ids: list[uuid.UUID], database: Database) -> None:
    done = [
        acts.rate(ids[:3], 4),
        acts.title(ids[:1], "The lake"),
        acts.describe(ids[:1], "At noon.\nIt rained."),
        acts.place(ids[:1], -33.8568, 151.2153),
        acts.rotate(ids[:1], 90),
        acts.hide(ids[:1]),
        acts.tag(ids, ["Grandma", "lake"]),
        acts.add_to_album(ids[:2], "Summer 2019"),
        acts.favourite(ids[:1]),
    ]
    assert [(one.meant, one.changed, one.gone) for one in done[:2]] == [(3, 3, 0), (1, 1, 0)]
    for one in done:
        found = _standing(one)
        assert (found.state, found.who, found.can_undo) == ("done", "dashboard", True)
    first = _there(database, ids[0])
    assert (first.rating, first.title, first.is_hidden, first.rotation) == (5, "The lake", True, 90)
    assert first.location == {"lat": -33.8568, "lon": 151.2153}
    assert acts.remove_from_album(ids[:1], "summer 2019").changed == 1
    for one in reversed(done):
        assert one.id is not None
        back = acts.undo(one.id)
        assert _standing(back).of == _standing(one).kind
        assert _standing(one).state == "undone"
    first = _there(database, ids[0])
    assert (first.rating, first.title, first.is_hidden, first.rotation) == (None, None, False, 0)


def test_who_acts_is_the_login_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert acts.who() == "dashboard"
    monkeypatch.setattr(resources, "sessions", object())
    assert acts.who() == "owner"
    monkeypatch.setattr("streamlit.user", {"is_logged_in": True, "email": "ada@example.org"})
    assert acts.who() == "ada@example.org"


def test_what_is_so_already_is_no_act(ids: list[uuid.UUID]) -> None:
    acts.rate(ids, 3)
    again = acts.rate(ids, 3)
    assert (again.standing, again.meant, again.changed) == (None, 5, 0)


def test_an_undo_is_taken_back_too(ids: list[uuid.UUID], database: Database) -> None:
    act = acts.rate(ids, 3).id
    assert act is not None
    back = acts.undo(act).id
    assert back is not None and _there(database, ids[0]).rating is None
    acts.undo(back)
    assert _there(database, ids[0]).rating == 3
    with pytest.raises(NotDone, match="taken back already"):
        acts.undo(back)


def test_dates_wait_for_the_librarian_and_are_undone(
    ids: list[uuid.UUID], database: Database, librarian: Librarian
) -> None:
    before = _there(database, ids[0]).captured_at
    asked = acts.redate_by(ids, "-1:0:00:00")
    assert (_standing(asked).state, _standing(asked).meant, asked.changed) == ("waiting", 5, 0)
    assert [one.id for one in acts.open_acts()] == [asked.id]
    assert _there(database, ids[0]).captured_at == before
    librarian()
    done = _standing(asked)
    assert (done.state, done.meant, done.changed, done.can_undo) == ("done", 5, 5, True)
    assert _there(database, ids[0]).final_path.startswith("Originals/2024/2024-06-30/")
    back = acts.undo(done.id)
    assert _standing(back).state == "waiting" and _standing(back).of == "redate"
    with pytest.raises(NotDone, match="already"):
        acts.undo(done.id)  # the other browser
    librarian()
    assert _standing(back).state == "done" and _standing(asked).state == "undone"
    assert _there(database, ids[0]).captured_at == before


def test_a_sequence_of_dates_has_the_order_in_which_they_were_taken(
    ids: list[uuid.UUID], database: Database, librarian: Librarian
) -> None:
    acts.redate_to(ids[::-1], "2019-07-04 12:30:00", "60")
    librarian()
    assert [f"{_there(database, one).captured_at:%H:%M}" for one in ids] == [
        "12:30",
        "12:31",
        "12:32",
        "12:33",
        "12:34",
    ]


def test_removed_restored_emptied(ids: list[uuid.UUID], database: Database, vault: Vault, librarian: Librarian) -> None:
    hashes = [_there(database, one).file_hash for one in ids]
    removed = acts.remove(ids[:3])
    librarian()
    assert _standing(removed).state == "done" and _row(database, ids[0]) is None
    restored = acts.restore(hashes[:1])
    librarian()
    assert _standing(restored).state == "done" and _row(database, ids[0]) is not None
    with pytest.raises(NotDone, match="twice"):
        acts.empty(hashes[1:2], said_twice=False)
    emptied = acts.empty(hashes[1:2], said_twice=True)
    librarian()
    assert (_standing(emptied).state, _standing(emptied).can_undo) == ("done", False)
    with pytest.raises(NotDone, match="for good"):
        acts.undo(_standing(emptied).id)
    librarian()
    with database.session() as session:
        assert session.scalars(select(TrashItem.file_hash)).all() == [hashes[2]]
        assert session.scalars(select(Tombstone.file_hash)).all() == [hashes[1]]
    acts.undo(_standing(removed).id)
    librarian()
    assert _row(database, ids[2]) is not None


def test_what_waits_is_withdrawn_and_never_carried_out(
    ids: list[uuid.UUID], database: Database, librarian: Librarian
) -> None:
    asked = acts.remove(ids)
    assert asked.id is not None
    acts.undo(asked.id)
    assert (_standing(asked).state, _standing(asked).message) == ("undone", "taken back before it was carried out")
    librarian()
    assert ids_of(database) == ids
    assert not _standing(asked).can_undo


def test_who_comes_to_a_withdrawn_act_leaves_it(
    ids: list[uuid.UUID], dashboard: Settings, database: Database, vault: Vault
) -> None:
    """The Librarian has read which acts wait, and then somebody takes one back."""
    file_acts = FileActs(vault, database, dashboard.zone)
    asked = acts.remove(ids)
    assert asked.id is not None
    steps = file_acts.steps(asked.id)
    acts.undo(asked.id)
    assert list(steps) == []
    assert ids_of(database) == ids and _standing(asked).state == "undone"


def test_what_cannot_be_carried_out_says_why(
    ids: list[uuid.UUID], database: Database, vault: Vault, librarian: Librarian
) -> None:
    gone = vault.storage / _there(database, ids[0]).final_path
    gone.unlink()
    asked = acts.remove(ids[:1])
    librarian()
    found = _standing(asked)
    assert found.state == "failed" and found.message is not None and "not in its place" in found.message
    assert not found.can_undo


def test_what_went_meanwhile_is_counted(ids: list[uuid.UUID], database: Database, librarian: Librarian) -> None:
    acts.remove(ids[:1])
    librarian()
    for done in (acts.rate(ids, 2), acts.redate_by(ids, "+0:01")):
        assert (done.meant, done.gone) == (4, 1)
    librarian()
    for refused in (partial(acts.rate, rating=3), acts.remove, partial(acts.redate_to, when="2019")):
        with pytest.raises(NotDone, match="it is not there any more"):
            refused(ids[:1])
    asked = acts.remove(ids[1:3])
    acts.remove(ids[1:3])  # the other browser
    librarian()
    assert _standing(asked).state == "done"


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda ids: acts.rate(ids, 6), "0 to 5"),
        (lambda ids: acts.place(ids, 91.0, 0.0), "-90 to 90"),
        (lambda ids: acts.rotate(ids, 45), "90, 180 or 270"),
        (lambda ids: acts.tag(ids, [" "]), "empty"),
        (lambda ids: acts.title(ids, "x" * 1001), "1,000"),
        (lambda ids: acts.add_to_album(ids, ""), "name"),
        (lambda ids: acts.remove_from_album(ids, "none"), "no such album"),
        (lambda ids: acts.redate_by(ids, "soon"), "write"),
        (lambda ids: acts.redate_by(ids, "-9999999:0:00:00"), "no photo can have that date|write"),
        (lambda ids: acts.redate_to(ids, "1700"), "before the first photograph"),
        (lambda ids: acts.redate_to(ids, "2999-01-01"), "to come"),
        (lambda ids: acts.undo(uuid.uuid4()), "no such act"),
    ],
)
def test_what_nobody_can_mean_is_refused_before_anything_changes(
    ids: list[uuid.UUID], database: Database, act: Callable[[list[uuid.UUID]], object], says: str
) -> None:
    with pytest.raises(NotDone, match=says) as refused:
        act(ids)
    assert "--" not in str(refused.value) and "\n" not in str(refused.value)
    with database.session() as session:
        assert session.scalars(select(Act)).all() == []
        assert session.scalars(select(OverlayEvent)).all() == []


def test_hostile_words_stay_text(ids: list[uuid.UUID], database: Database) -> None:
    acts.title(ids, HOSTILE)
    acts.tag(ids, [HOSTILE])
    acts.add_to_album(ids, HOSTILE)
    with database.session() as session:
        titles = set(session.scalars(select(MediaAsset.title)))
        tags = set(session.scalars(select(AssetTag.tag)))
    assert len(titles) == len(tags) == 1
    assert {*titles, *tags} == {HOSTILE} or all("DROP TABLE acts" in (one or "") for one in {*titles, *tags})


def test_the_database_is_away(ids: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise LedgerUnavailable("it is away")

    monkeypatch.setattr(Ledger, "session", away)
    with pytest.raises(NotDone, match="it is away"):
        acts.rate(ids, 1)


def test_who_may_only_look_is_told_so(ids: list[uuid.UUID], database: Database) -> None:
    with database.session() as session:
        session.execute(text("REVOKE INSERT ON acts FROM pf_dashboard"))
    acts.refusal.clear()
    assert acts.refusal() == "The dashboard's role in the database may only look"
    with pytest.raises(NotDone, match="permission denied"):
        acts.rate(ids, 1)
    assert _there(database, ids[0]).rating is None


def test_a_foreign_database_is_not_decided_in(ids: list[uuid.UUID], database: Database) -> None:
    with database.session() as session:
        session.execute(
            text("INSERT INTO vault (vault_id, ledger_kind, rebuilding_since) VALUES (:id, 'embedded', now())"),
            {"id": uuid.uuid4()},
        )
    with pytest.raises(NotDone, match="being made anew"):
        acts.rate(ids, 1)


def test_two_browsers_at_once(vault: Vault, ids: list[uuid.UUID], database: Database) -> None:
    """Each decision is whole, and none is lost: the last one counts, and all stand in the history."""
    assert acts.refusal() is None  # the connection is there
    errors: list[Exception] = []
    begin = threading.Barrier(4)

    def browser(number: int) -> None:
        begin.wait()
        try:
            for turn in range(5):
                acts.rate(ids if turn % 2 else ids[::-1], (number + turn) % 5 + 1)
                acts.add_to_album(ids[::-1], f"Album {turn}")
                acts.tag(ids, [f"word {number} {turn}"])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=browser, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == []
    with database.session() as session:
        last = session.scalars(
            select(OverlayEvent.after).where(OverlayEvent.field == "rating").order_by(OverlayEvent.seq.desc())
        ).first()
        assert set(session.scalars(select(MediaAsset.rating))) == {last}
        assert session.scalar(text("SELECT count(*) FROM asset_tags")) == 4 * 5 * len(ids)
        assert session.scalar(text("SELECT count(*) FROM albums")) == 5
        assert session.scalar(text("SELECT count(*) FROM album_items")) == 5 * len(ids)


def test_ten_thousand_photos_in_one_act(dashboard: Settings, vault: Vault, database: Database) -> None:
    from benchmarks.seed_ledger import seed  # not in the image, whose build leaves these tests out

    seed(database, dashboard.storage, originals=10_000, history=1, pictures=1)
    ids = ids_of(database)
    done = acts.tag(ids, ["many"])
    assert (done.meant, done.changed) == (10_000, 10_000)
    assert done.id is not None
    assert acts.undo(done.id).changed == 10_000
    asked = acts.remove(ids)
    assert _standing(asked).meant == 10_000
