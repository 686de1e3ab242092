"""What people do on pages: the buttons of a photo, the bar that takes back, trash, albums and operations."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from streamlit.testing.v1 import AppTest

from Src.Dashboard.data import acts, decided, operations
from Src.Dashboard.ledger import Ledger
from Src.Dashboard.tests.acting import HOSTILE, Librarian
from Src.Dashboard.tests.conftest import PAGE_LIMIT, Show, texts
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.models import Album, AlbumItem, AssetTag, MediaAsset, Operation, SystemStatus, Tombstone, new_id
from Src.Shared.settings import Settings


@pytest.fixture
def page(dashboard: Settings) -> Callable[..., AppTest]:
    """A page as the dashboard shows it: the bar, and the page."""

    def run(name: str, **asked: str) -> AppTest:
        script = (
            f"from Src.Dashboard import act_bar\nfrom Src.Dashboard.views import {name}\nact_bar.show()\n{name}.show()"
        )
        app = AppTest.from_string(script, default_timeout=PAGE_LIMIT)
        for key, value in asked.items():
            app.query_params[key] = value
        return well(app.run())

    return run


def well(app: AppTest) -> AppTest:
    assert not app.exception, [one.message for one in app.exception]
    return app


def click(app: AppTest, label: str) -> AppTest:
    (button,) = (one for one in app.button if one.label == label)
    return well(button.click().run())


def labels(app: AppTest) -> list[str]:
    return [one.label for one in app.button]


def row(database: Database, photo: uuid.UUID) -> MediaAsset:
    with database.session() as session:
        return session.get_one(MediaAsset, photo)


def test_a_removal_waits_says_so_plainly_and_is_done(
    page: Callable[..., AppTest], ids: list[uuid.UUID], database: Database, librarian: Librarian
) -> None:
    script = (
        "import streamlit as st\nfrom Src.Dashboard import act_bar, gallery_acts\nact_bar.show()\n"
        f"st.button('Remove', on_click=gallery_acts.do, args=('remove', ['{ids[0]}'], ''))\n"
        "st.text(getattr(act_bar.outcome(), 'said', ''))"
    )
    app = well(AppTest.from_string(script, default_timeout=PAGE_LIMIT).run())
    click(app, "Remove")
    assert texts(app).count("does not run now") == 2, "in the bar, and over a photo in the gallery"
    assert "does not run now" in texts(app)  # there is no Librarian here
    others = page("operations")
    assert "does not run now" in texts(others) and "Take back" in labels(others)
    with database.session() as session:
        session.execute(
            insert(SystemStatus).values(
                service_name="librarian", status="OK", current_task="watching", last_heartbeat=datetime.now(UTC),
                interval_seconds=3600.0,
            )
        )  # fmt: skip
    librarian()
    well(app.run())
    assert "To the trash, 1 photo" in texts(app).replace("\\", "").replace("**", "")
    click(app, "Undo")
    librarian()
    well(app.run())
    assert row(database, ids[0]).file_hash


def test_the_trash_brings_back_and_asks_twice(
    page: Callable[..., AppTest], ids: list[uuid.UUID], database: Database, librarian: Librarian
) -> None:
    assert "The trash is empty" in texts(page("trash"))
    acts.remove(ids[:2])
    librarian()
    app = page("trash")
    assert "2 photos" in texts(app)
    click(app, "Empty the trash")
    assert "Nobody can bring them back" in texts(app) and "IMG_0000.jpg" in texts(app)
    assert "no copy is known" in texts(app)
    acts.remove(ids[2:3])  # comes into the trash while somebody is being asked
    librarian()
    click(app, "Keep them")
    click(app, "Empty the trash")
    click(app, "Keep them")
    acts.restore([_hash_in_trash(database, 2)])
    librarian()
    app = page("trash")
    click(app, "Empty the trash")
    with database.session() as session:
        assert session.scalar(text("SELECT count(*) FROM acts WHERE kind = 'empty'")) == 0
    click(app, "Delete them")
    acts.remove(ids[3:4])
    librarian()
    with database.session() as session:
        assert session.scalar(text("SELECT count(*) FROM acts WHERE kind = 'empty'")) == 0
    click(app, "Yes, for good")
    librarian()
    with database.session() as session:
        assert session.scalar(select(text("count(*)")).select_from(Tombstone)) == 2
        assert session.scalar(text("SELECT count(*) FROM trash")) == 1  # what came meanwhile
    app = page("trash")
    click(app, "Bring all back")
    librarian()
    with database.session() as session:
        assert session.scalar(text("SELECT count(*) FROM trash")) == 0


def _hash_in_trash(database: Database, number: int) -> str:
    with database.session() as session:
        found = session.execute(text("SELECT file_hash FROM trash ORDER BY asset->>'captured_at'")).scalars().all()
    return str(found[number])


def test_albums_are_made_named_and_looked_at(
    page: Callable[..., AppTest], ids: list[uuid.UUID], database: Database
) -> None:
    app = page("albums")
    assert "No albums yet" in texts(app)
    app.text_input(key="new_album_name").set_value(HOSTILE)
    click(app, "Make")
    with database.session() as session:
        (album,) = session.scalars(select(Album))
    assert "<img src=x onerror" not in "".join(str(one.value) for one in (*app.markdown, *app.success))
    app.text_input(key="new_album_name").set_value(HOSTILE.upper())
    click(app, "Make")
    assert any("already" in one.value for one in app.error)
    acts.add_to_album(ids[:3], album.name)
    app = page("albums", album=str(album.id))
    assert "3 photos" in texts(app)
    (name,) = (one for one in app.text_input if one.label == "Name")
    name.set_value("Summer 2019")
    click(app, "Rename")
    with database.session() as session:
        assert session.get_one(Album, album.id).name == "Summer 2019"
    (cover,) = (one for one in app.selectbox if one.label.startswith("Cover"))
    cover.select_index(2)
    click(app, "Use as cover")
    with database.session() as session:
        assert session.get_one(Album, album.id).cover_hash == row(database, ids[2]).file_hash
    click(app, "Undo")
    with database.session() as session:
        assert session.get_one(Album, album.id).cover_hash is None
        assert len(session.scalars(select(AlbumItem.asset_id)).all()) == 3
    assert "no such album" in texts(page("albums", album=str(uuid.uuid4())))


def operation(database: Database, **more: Any) -> uuid.UUID:
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "id": new_id(), "kind": "import", "parameters": {"sources": ["/media/card"], "move": False}, "who": "ada",
        "is_scheduled": False, "status": "running", "done": 12_400, "total": 58_000, "current_item": HOSTILE,
        "errors": 3, "runs": 1, "host": "here", "pid": 1, "created_at": now, "started_at": now, "heartbeat_at": now,
        "per_second": 250.0,
    } | more  # fmt: skip
    with database.session() as session:
        session.execute(insert(Operation).values(**values))
    found = values["id"]
    assert isinstance(found, uuid.UUID)
    return found


def status(database: Database, one: uuid.UUID) -> tuple[str, str | None]:
    with database.session() as session:
        found = session.get_one(Operation, one)
        return found.status, found.asked


def test_operations_are_cancelled_and_discarded(page: Callable[..., AppTest], database: Database) -> None:
    assert "No import" in texts(page("operations"))
    operations.listed.clear()
    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    runs = operation(database)
    stopped = operation(database, heartbeat_at=long_ago)
    operation(database, kind="look", is_scheduled=True, status="completed", parameters={}, current_item=None)
    app = page("operations")
    said = texts(app)
    assert "12,400 of 58,000 files" in said.replace("\\", "") or any(
        "12,400" in str(one) for one in app.get("progress")
    )
    assert f"./factory operations resume {stopped.hex[-8:]}" in said
    assert "<img src=x onerror" not in "".join(str(one.value) for one in app.markdown)
    click(app, "Cancel")
    assert status(database, runs) == ("running", "cancel")
    click(app, "Discard")
    assert status(database, stopped) == ("cancelled", None)
    assert "Cancel" not in labels(app) and "Discard" not in labels(app)


def test_what_a_check_has_found_is_wrong_and_not_failed(page: Callable[..., AppTest], database: Database) -> None:
    ended = {"status": "completed", "current_item": None}
    operation(database, kind="verify", parameters={"sample": None, "budget": None}, errors=1, **ended)
    operation(database, errors=2, **ended)
    operation(database, kind="look", is_scheduled=True, errors=0, parameters={}, **ended)
    said = texts(page("operations"))
    assert "Verify all photos" in said
    assert "done, 1 wrong" in said
    assert "done, 2 failed" in said
    assert "1 failed" not in said


def test_an_operation_that_went_on_meanwhile_is_left(page: Callable[..., AppTest], database: Database) -> None:
    stopped = operation(database, heartbeat_at=datetime(2024, 1, 1, tzinfo=UTC))
    app = page("operations")
    with database.session() as session:  # a person has resumed it in a terminal
        session.execute(text("UPDATE operations SET runs = 2, heartbeat_at = now()"))
    click(app, "Discard")
    assert status(database, stopped) == ("running", None)
    assert any("Nothing was changed" in one.value for one in app.error)


def test_what_was_done_is_listed_and_taken_back(
    page: Callable[..., AppTest], ids: list[uuid.UUID], database: Database
) -> None:
    acts.tag(ids, ["lake"])
    app = page("operations")
    assert "Tags, 5 photos" in texts(app).replace("\\", "")
    (undo,) = (one for one in app.button if one.label == "Undo")
    well(undo.click().run())
    with database.session() as session:
        assert session.scalars(select(AssetTag.tag)).all() == []


def test_what_is_hidden_stands_in_no_album(ids: list[uuid.UUID], database: Database) -> None:
    acts.add_to_album(ids[:3], "Summer")
    acts.hide(ids[:1])
    with database.session() as session:
        hidden = session.get_one(MediaAsset, ids[0]).file_hash
        session.scalars(select(Album)).one().cover_hash = hidden
    (album,) = decided.albums()
    assert album.originals == 2 and album.cover is not None and album.cover.id == ids[1]
    assert [photo.id for photo in decided.in_album(album.id, 0)[0]] == ids[1:3]
    acts.hide(ids[1:3])
    (album,) = decided.albums()
    assert album.originals == 0 and album.cover is None


def test_what_is_chosen_in_the_trash_is_forgotten_when_its_rows_move(
    page: Callable[..., AppTest], ids: list[uuid.UUID], librarian: Librarian
) -> None:
    """What is chosen is a number of a row: in another list it would be another photo."""

    def key() -> str:
        return str(page("trash").dataframe[0].proto.id)

    acts.remove(ids[:2])
    librarian()
    before = key()
    assert "trash_list" in before and key() == before
    acts.remove(ids[2:3])
    librarian()
    assert key() != before


@pytest.mark.parametrize("name", ["albums", "trash", "operations"])
def test_who_may_only_look_sees_no_buttons(
    page: Callable[..., AppTest], ids: list[uuid.UUID], database: Database, librarian: Librarian, name: str
) -> None:
    acts.remove(ids[:1])
    librarian()
    acts.add_to_album(ids[1:], "Summer")
    operation(database, heartbeat_at=datetime(2024, 1, 1, tzinfo=UTC))
    assert labels(page(name)) != []
    with database.session() as session:
        session.execute(text("REVOKE INSERT ON acts FROM pf_dashboard"))
    acts.refusal.clear()
    app = page(name)
    assert labels(app) == []
    assert "nothing changed" in texts(app)
    [gallery] = [json.loads(one.proto.json) for one in page("gallery").get("bidi_component")]
    assert gallery["acts"] is False


@pytest.mark.parametrize("label", ["Bring all back", "Empty the trash"])
def test_the_database_goes_while_somebody_acts(
    page: Callable[..., AppTest],
    ids: list[uuid.UUID],
    librarian: Librarian,
    label: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    acts.remove(ids[:1])
    librarian()
    app = page("trash")

    def away(*_: object, **__: object) -> None:
        raise LedgerUnavailable("it is away")

    monkeypatch.setattr(Ledger, "session", away)
    click(app, label)
    assert any("away" in one.value for one in (*app.error, *app.caption))


@pytest.mark.parametrize("name", ["albums", "trash", "operations"])
def test_without_the_database_the_page_says_so(show: Show, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise LedgerUnavailable("it is away")

    monkeypatch.setattr(Ledger, "session", away)
    assert any("away" in caption.value for caption in show(name).caption)
