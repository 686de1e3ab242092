"""Decisions about what a selection means, what undo takes back and what it leaves, and what history says."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text, true

from Src.Library.overlay import albums, changes
from Src.Library.overlay.changes import Decision, DecisionRefused
from Src.Library.overlay.history import at, histories
from Src.Library.overlay.replay import replay
from Src.Library.overlay.undo import MovesFiles, acts_since, last_act, undo
from Src.Library.selection.selection import read_selection
from Src.Library.tests.overlay_bench import OverlayBench, sha256_of
from Src.Shared.database import Database
from Src.Shared.models import Act, Album, MediaAsset, OverlayEvent
from Src.Shared.settings import Settings
from Src.Testing.patience import wait_until


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> OverlayBench:
    return OverlayBench(factory_settings, database)


def events(bench: OverlayBench) -> list[tuple[Any, ...]]:
    with bench.database.session() as session:
        found = session.execute(
            select(OverlayEvent.file_hash, OverlayEvent.field, OverlayEvent.before, OverlayEvent.after).order_by(
                OverlayEvent.seq
            )
        )
        return [(int(sha256, 16) if sha256 else None, *rest) for sha256, *rest in found]


def test_an_album_is_made_named_and_covered_and_each_is_undone(bench: OverlayBench) -> None:
    def now() -> list[tuple[str, str | None]]:
        with bench.database.session() as session:
            return [(one.name, one.cover_hash) for one in session.scalars(select(Album))]

    with bench.database.session() as session:
        made = albums.make(session, " Summer  2019 ", "ada")
    with bench.database.session() as session:
        album = albums.album_named(session, "summer 2019")
        assert album is not None
        named = albums.rename(session, album, "SUMMER 2019", "ada")
        assert named is not None and albums.rename(session, album, "SUMMER 2019", "ada") is None
    with bench.database.session() as session:
        covered = albums.put_on_cover(session, session.get_one(Album, album.id), sha256_of(1), "ada")
    with bench.database.session() as session, pytest.raises(DecisionRefused, match="already"):
        albums.make(session, "Summer 2019", "bob")
    assert now() == [("SUMMER 2019", sha256_of(1))]
    assert covered is not None
    for act, then in (
        (covered, [("SUMMER 2019", None)]), (named, [("Summer 2019", None)]), (made, []),
    ):  # fmt: skip
        with bench.database.session() as session:
            assert undo(session, session.get_one(Act, act.id), "ada").by is not None
        assert now() == then


def test_an_album_gets_no_name_that_another_has(bench: OverlayBench) -> None:
    with bench.database.session() as session:
        albums.make(session, "One", "ada")
        albums.make(session, "Two", "ada")
    with bench.database.session() as session:
        two = albums.album_named(session, "two")
        assert two is not None
        with pytest.raises(DecisionRefused, match="already"):
            albums.rename(session, two, "ONE", "ada")


SYDNEY = {"lat": -33.8568, "lon": 151.2153}
# A decision about 1.jpg, its column, and what that is before and after.
SIMPLE: list[tuple[Decision, str, Any, Any]] = [
    (changes.rate(4), "rating", 1, 4),
    (changes.favour(off=False), "rating", 1, 5),
    (changes.place(-33.8568, 151.2153), "location", {"lat": 1.5, "lon": 2.5}, SYDNEY),
    (changes.title("  Am Meer\0 "), "title", None, "Am Meer"),
    (changes.describe("Zwei\nZeilen"), "description", None, "Zwei\nZeilen"),
    (changes.hide(off=False), "is_hidden", False, True),
    (changes.rotate(270), "rotation", 0, 270),
]


def test_each_decision_changes_its_column_and_says_so_and_is_undone(bench: OverlayBench) -> None:
    for decision, column, before, after in SIMPLE:
        done = bench.decide(decision, "1.jpg")
        assert (done.meant, done.changed) == (1, 1)
        assert done.act is not None
        assert (done.act.kind, done.act.who, done.act.selection) == (decision.kind, "ada", "1.jpg")
        assert bench.of(1, column) == after
        assert events(bench)[-1][2:] == (before, after)
        assert bench.decide(decision, "1.jpg").changed == (1 if decision.kind == "rotate" else 0)
        if decision.kind == "rotate":
            bench.undo()
        undone = bench.undo()
        assert undone is not None
        assert (undone.restored, undone.left) == (1, 0)
        assert bench.of(1, column) == before


def test_what_is_so_already_is_no_change_and_without_a_change_there_is_no_act(bench: OverlayBench) -> None:
    assert bench.decide(changes.rate(2), "1.jpg or 2.jpg or never.jpg")[:2] == (2, 1)
    assert bench.decide(changes.rate(2), "1.jpg or 2.jpg").act is None
    assert bench.decide(changes.rate(2), "never.jpg")[:2] == (0, 0)
    assert [one[0] for one in events(bench)] == [1]
    assert len(bench.state()["acts"]) == 1


def test_a_dry_run_counts_and_changes_nothing(bench: OverlayBench) -> None:
    before = bench.state()
    assert bench.decide(changes.rate(2), dry_run=True)[:2] == (6, 5)
    assert bench.decide(changes.tag(["x"], remove=False), dry_run=True)[:2] == (6, 6)
    assert bench.decide(albums.add("Sommer"), dry_run=True)[:2] == (6, 6)
    assert bench.state() == before


def test_a_place_that_is_changed_asks_for_its_name_anew(bench: OverlayBench) -> None:
    with bench.database.session() as session:
        session.execute(text("UPDATE media_assets SET is_geocoded = true"))
    bench.decide(changes.place(-22.9, -43.2), "1.jpg")
    assert (bench.of(1, "is_geocoded"), bench.of(2, "is_geocoded")) == (False, True)


def test_no_favourite_any_more_is_said_of_favourites_only(bench: OverlayBench) -> None:
    assert bench.decide(changes.favour(off=True)).changed == 1
    assert [bench.of(number, "rating") for number in range(6)] == [0, 1, 2, 3, 4, 0]


def test_turning_adds_up(bench: OverlayBench) -> None:
    for degrees, then in ((90, 90), (270, 0), (180, 180), (270, 90)):
        bench.decide(changes.rotate(degrees), "1.jpg")
        assert bench.of(1, "rotation") == then


def test_a_word_is_the_same_whatever_its_capitals(bench: OverlayBench) -> None:
    words = ["Of the FILE", " Oma  Erna ", "oma erna"]
    assert bench.decide(changes.tag(words, remove=False), "0.jpg or 5.jpg")[:2] == (2, 2)
    assert (bench.tags(0), bench.tags(5)) == (["of the file", "Oma Erna"], ["Of the FILE", "Oma Erna"])
    assert bench.decide(changes.tag(["OMA ERNA", "never"], remove=True)).changed == 2
    assert (bench.tags(0), bench.tags(5)) == (["of the file"], ["Of the FILE"])
    bench.undo()
    assert bench.tags(0) == ["of the file", "Oma Erna"]


def test_an_album_has_the_order_in_which_its_photos_were_taken_and_grows_behind(bench: OverlayBench) -> None:
    with bench.database.session() as session:
        session.execute(text("UPDATE media_assets SET captured_at = '2020-01-01' WHERE original_name = '4.jpg'"))
    bench.decide(albums.add("Sommer"), "3.jpg or 4.jpg or 5.jpg")
    bench.decide(albums.add(" SOMMER "), "0.jpg or 3.jpg")
    [(_, name, cover, _)] = bench.state()["albums"]
    assert (name, cover) == ("Sommer", None)
    items = sorted(bench.state()["items"], key=lambda item: item[2])
    assert [int(sha256, 16) for _, sha256, _ in items] == [4, 3, 5, 0]
    with bench.database.session() as session:
        assert albums.albums(session) == [("Sommer", 4)]


def test_an_album_goes_with_the_act_that_made_it_and_comes_back(bench: OverlayBench) -> None:
    made = bench.decide(albums.add("Sommer"), "3.jpg or 4.jpg").act
    before = bench.state()
    undone = bench.undo()
    assert undone is not None
    assert undone[1:3] == (2, 0)
    assert (bench.state()["albums"], bench.state()["items"]) == ([], [])
    again = bench.undo(undone.by)
    assert again is not None
    assert again[1:3] == (2, 0)
    assert (bench.state()["albums"], bench.state()["items"]) == (before["albums"], before["items"])
    bench.decide(albums.add("Sommer"), "5.jpg")
    left = bench.undo(made)
    assert left is not None
    assert left[1:3] == (2, 0)
    assert [item[1] for item in bench.state()["items"]] == [sha256_of(5)], "an album with something in it stays"


def test_an_album_whose_name_is_taken_meanwhile_does_not_come_back(bench: OverlayBench) -> None:
    bench.decide(albums.add("Sommer"), "3.jpg")
    undone = bench.undo()
    assert undone is not None
    bench.decide(albums.add("sommer"), "4.jpg")
    again = bench.undo(undone.by)
    assert again is not None
    assert again[1:3] == (0, 1)
    assert [item[1] for item in bench.state()["items"]] == [sha256_of(4)]


def test_what_goes_out_of_an_album_comes_back_to_its_place(bench: OverlayBench) -> None:
    bench.decide(albums.add("Sommer"))
    before = bench.state()["items"]
    removed = bench.remove_from_album("sommer", "2.jpg or 3.jpg")
    assert removed is not None
    assert removed[:2] == (2, 2)
    assert len(bench.state()["items"]) == 4
    bench.undo()
    assert bench.state()["items"] == before


# What is decided can be asked for

MEANINGS: list[tuple[str, list[int]]] = [
    ("tag:oma", [1, 2]),
    ("tag:O*", [0, 1, 2]),
    ('tag:"a\\\\b"', [2]),
    ("-tag:*", [3, 4, 5]),
    ("in:sommer", [1, 2]),
    ("in:w*", []),
    ("title:Café", [1]),
    ("title:Caf", []),
    ("description:*birthday*", [2]),
    ("is:hidden", [3]),
    ("-is:hidden -has:tag", [4, 5]),
    ("is:edited", [1, 2, 3]),
    ("has:title", [1]),
    ("has:description", [2]),
    ("has:album", [1, 2]),
]


def test_a_selection_asks_for_what_was_decided(bench: OverlayBench) -> None:
    bench.decide(changes.tag(["Oma"], remove=False), "1.jpg or 2.jpg")
    bench.decide(changes.tag(["a\\b"], remove=False), "2.jpg")
    bench.decide(albums.add("Sommer"), "1.jpg or 2.jpg")
    bench.decide(changes.title("Cafe\u0301"), "1.jpg")
    bench.decide(changes.describe("The birthday of 2019"), "2.jpg")
    bench.decide(changes.hide(off=False), "3.jpg")
    wrong = {text: found for text, expected in MEANINGS if (found := _meant(bench, text)) != expected}
    assert wrong == {}


def _meant(bench: OverlayBench, selection: str) -> list[int]:
    condition = read_selection(selection, ZoneInfo("UTC"), datetime.now(UTC)).condition
    with bench.database.session() as session:
        found = session.scalars(select(MediaAsset.file_hash).where(condition).order_by(MediaAsset.file_hash))
        return [int(sha256, 16) for sha256 in found]


# Undo


def test_undo_leaves_what_was_changed_since_and_counts_it(bench: OverlayBench) -> None:
    first = bench.decide(changes.rate(0)).act
    bench.decide(changes.rate(4), "1.jpg or 2.jpg")
    bench.decide(changes.rate(0), "2.jpg")  # as the first act left it, and decided again all the same
    undone = bench.undo(first)
    assert undone is not None
    assert (undone.restored, undone.left) == (3, 2), "of five that changed"
    assert [bench.of(number, "rating") for number in range(6)] == [0, 4, 0, 3, 4, 5]
    assert undone.by is not None
    assert undone.by.message == "2 left: they were changed since"


def test_acts_are_undone_one_after_the_other_and_done_again(bench: OverlayBench) -> None:
    for rating in (1, 2, 3):
        bench.decide(changes.rate(rating), "5.jpg")
    undos = []
    for expected in (2, 1, 5):
        done = bench.undo()
        assert done is not None
        undos.append(done.by)
        assert bench.of(5, "rating") == expected
    assert bench.undo() is None
    for by, expected in zip(reversed(undos), (1, 2, 3), strict=True):
        bench.undo(by)
        assert bench.of(5, "rating") == expected
    assert {status for *_, status, _, _ in bench.state()["acts"]} == {"done", "undone"}
    undone = bench.undo()
    assert undone is not None
    assert bench.of(5, "rating") == 2, "what was done again can be undone again"


def test_undo_leaves_what_somebody_else_wrote_into_the_row(bench: OverlayBench) -> None:
    bench.decide(changes.rate(2), "5.jpg")
    with bench.database.session() as session:
        session.execute(text("UPDATE media_assets SET rating = 4 WHERE original_name = '5.jpg'"))
    done = bench.undo()
    assert done is not None
    assert done[1:3] == (0, 1)
    assert done.by is None
    assert bench.of(5, "rating") == 4


def test_an_original_that_is_not_here_is_left(bench: OverlayBench) -> None:
    bench.decide(changes.rate(2), "4.jpg or 5.jpg")
    with bench.database.session() as session:
        session.execute(text("DELETE FROM media_assets WHERE original_name = '4.jpg'"))
    done = bench.undo()
    assert done is not None
    assert done[1:3] == (1, 1)


def test_a_dry_run_of_undo_counts_as_the_undo_does(bench: OverlayBench) -> None:
    bench.decide(albums.add("Sommer"))
    before = bench.state()
    counted = bench.undo(dry_run=True)
    assert counted is not None
    assert counted[1:] == (6, 0, None)
    assert bench.state() == before


def test_the_acts_since_a_moment_are_undone_the_last_first(bench: OverlayBench) -> None:
    bench.decide(changes.rate(1), "5.jpg")
    with bench.database.session() as session:
        session.execute(text("UPDATE acts SET happened_at = now() - interval '1 day'"))
    bench.decide(changes.rate(2), "5.jpg")
    bench.decide(changes.rate(3), "5.jpg")
    with bench.database.session() as session:
        for act in acts_since(session, datetime.now(UTC) - timedelta(hours=1)):
            assert undo(session, act, "ada")[1:3] == (1, 0)
    assert bench.of(5, "rating") == 1
    with bench.database.session() as session:
        last = last_act(session)
        assert last is not None
        assert last.parameters == {"rating": 1}


def test_an_act_that_has_moved_files_is_not_undone_here(bench: OverlayBench) -> None:
    done = bench.decide(changes.rate(2), "5.jpg")
    assert done.act is not None
    with bench.database.session() as session:
        session.execute(text("UPDATE overlay_events SET field = 'removed', before = NULL, after = 'true'"))
    with pytest.raises(MovesFiles, match=str(done.act.id)):
        bench.undo()


# Refusals, and people at the same time

REFUSED: list[Any] = [
    lambda: changes.rate(6),
    lambda: changes.rate(-1),
    lambda: changes.rotate(45),
    lambda: changes.place(90.1, 0),
    lambda: changes.place(0, float("nan")),
    lambda: changes.tag([" "], remove=False),
    lambda: changes.tag(["x" * 201], remove=False),
    lambda: changes.title("x" * 1001),
    lambda: changes.describe("x" * 100_001),
    lambda: albums.add(" "),
    lambda: albums.add("x" * 201),
]


@pytest.mark.parametrize("decision", REFUSED)
def test_what_cannot_be_decided_is_refused(decision: Any) -> None:
    with pytest.raises(DecisionRefused):
        decision()


def _waiting(bench: OverlayBench) -> int:
    """How many wait for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with bench.database.session() as session:
        return int(session.scalar(text(waits)) or 0)


def test_two_decisions_at_once_have_an_order_that_the_events_tell(bench: OverlayBench) -> None:
    begun = threading.Event()

    def second() -> None:
        begun.set()
        bench.decide(changes.rate(3), "5.jpg")

    thread = threading.Thread(target=second)
    with bench.database.session() as session:
        changes.carry_out(session, changes.rate(1), MediaAsset.original_name == "5.jpg", who="grace")
        thread.start()
        begun.wait()
        wait_until(lambda: _waiting(bench) == 1)
    thread.join()
    assert events(bench) == [(5, "rating", 5, 1), (5, "rating", 1, 3)]


# History


def test_history_tells_what_was_true_at_a_moment(bench: OverlayBench) -> None:
    steps: list[Decision] = [
        changes.rate(3),
        changes.tag(["Oma"], remove=False),
        albums.add("Sommer"),
        changes.tag(["of the file"], remove=True),
        changes.title("x"),
    ]
    for number, step in enumerate(steps):
        bench.decide(step, "0.jpg")
        with bench.database.session() as session:
            session.execute(
                text("UPDATE overlay_events SET happened_at = :at WHERE happened_at > '2026-01-01T12:00Z'").bindparams(
                    at=datetime(2000, 1, number + 1, tzinfo=UTC)
                )
            )
    with bench.database.session() as session:
        [found] = histories(session, MediaAsset.original_name == "0.jpg", 10)
        assert [one.field for one in found.events] == ["rating", "tag", "album", "tag", "title"]
        assert {(one.who, one.status) for one in found.events} == {("ada", "done")}
        then = [
            at(session, found, datetime(2000, 1, 1, tzinfo=UTC) + timedelta(hours=24 * day - 12)) for day in range(6)
        ]
    assert [(one["rating"], one["tags"], one["albums"], one["title"]) for one in then] == [
        (0, ["of the file"], [], None),
        (3, ["of the file"], [], None),
        (3, ["of the file", "Oma"], [], None),
        (3, ["of the file", "Oma"], ["Sommer"], None),
        (3, ["Oma"], ["Sommer"], None),
        (3, ["Oma"], ["Sommer"], "x"),
    ]


def test_history_is_of_as_many_originals_as_are_asked_for(bench: OverlayBench) -> None:
    with bench.database.session() as session:
        assert [one.file_hash for one in histories(session, true(), 2)] == [sha256_of(0), sha256_of(1)]
        assert session.scalars(select(Act)).all() == []


@pytest.mark.parametrize("what", [albums.cover, albums.remove])
def test_what_is_decided_about_an_album_leaves_the_name_that_it_has_by_now(bench: OverlayBench, what: Any) -> None:
    bench.decide(albums.add("One"))
    with bench.database.session() as session:
        album = albums.album_named(session, "One")
        assert album is not None
        albums.put_on_cover(session, album, sha256_of(2), "ada")
    decision = what(album)
    with bench.database.session() as session:
        albums.rename(session, session.get_one(Album, album.id), "Two", "bob")
    bench.decide(decision, "name:3.jpg" if what is albums.cover else "name:2.jpg")
    with bench.database.session() as session:
        [now] = session.scalars(select(Album)).all()
        assert (now.name, now.cover_hash) == ("Two", sha256_of(3) if what is albums.cover else None)
    decision = what(now)
    with bench.database.session() as session:
        session.execute(text("DELETE FROM albums"))
    with pytest.raises(DecisionRefused, match="gone"):
        bench.decide(decision, "name:3.jpg")


def test_an_album_has_a_cover_and_an_order(bench: OverlayBench) -> None:
    bench.decide(albums.add("Summer"))
    with bench.database.session() as session:
        album = albums.album_named(session, "summer")
    assert album is not None

    def order() -> list[str]:
        items = sorted(bench.state()["items"], key=lambda row: row[2])
        return [sha256.lstrip("0") or "0" for _, sha256, _ in items]

    def cover() -> str | None:
        [row] = bench.state()["albums"]
        return row[2] if isinstance(row[2], str | None) else None

    began = bench.state()
    assert order() == ["0", "1", "2", "3", "4", "5"]
    bench.decide(albums.move(album, "first"), "name:4.jpg")
    bench.decide(albums.move(album, "last"), "name:0.jpg")
    assert order() == ["4", "1", "2", "3", "5", "0"]
    bench.decide(albums.cover(album), "name:3.jpg")
    assert cover() == sha256_of(3)
    with pytest.raises(DecisionRefused, match="one original"):
        bench.decide(albums.cover(album))
    bench.bring_up()
    before = bench.state()
    bench.lose_ledger()
    with bench.database.session() as session:
        replay(session, bench.mirror)
    assert (bench.state()["items"], bench.state()["albums"]) == (before["items"], before["albums"])
    bench.remove_from_album("Summer", "name:3.jpg")
    assert cover() is None, "what is not in an album is not its cover"
    for _ in range(4):
        bench.undo()
    assert bench.state()["items"] == began["items"] and cover() is None
