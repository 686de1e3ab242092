"""The logic of the pages Library and Map, on a real ledger, without a browser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest

from Src.Dashboard import resources
from Src.Dashboard.data import library
from Src.Dashboard.data.library import Filters
from Src.Dashboard.ledger import Ledger
from Src.Dashboard.tests.conftest import PAGE_LIMIT, Show, texts
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.settings import Settings


def _grid(app: AppTest) -> list[dict[str, Any]]:
    """The photos that the grid of a page was given."""
    (data,) = (found["days"] for found in _components(app) if "days" in found)
    return [photo for day in data for photo in day["photos"]]


def _number(photo: dict[str, Any]) -> int:
    return int(photo["name"].partition("_")[2].partition(".")[0])


def _components(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(element.proto.json) for element in app.get("bidi_component") if element.proto.json]


def _fill(database: Database, settings: Settings) -> None:
    from benchmarks.seed_ledger import seed  # not in the image, whose build leaves these tests out

    seed(database, settings.storage, originals=3000, history=10, pictures=5)


@pytest.mark.parametrize("name", ["library", "map"])
def test_an_empty_library_says_so(show: Show, name: str) -> None:
    assert "yet" in texts(show(name))


def test_the_newest_first(show: Show, database: Database, dashboard: Settings) -> None:
    _fill(database, dashboard)
    app = show("library")
    photos = _grid(app)
    assert len(photos) == 60
    assert [_number(photo) for photo in photos] == list(range(3000, 2940, -1))
    (older,) = (button for button in app.button if button.label == "Older")
    older.click().run()
    again = _grid(app)
    assert not {photo["id"] for photo in photos} & {photo["id"] for photo in again}
    (newer,) = (button for button in app.button if button.label == "Newer")
    newer.click().run()
    assert _grid(app) == photos


def test_filters(show: Show, database: Database, dashboard: Settings) -> None:
    _fill(database, dashboard)
    app = show("library")
    app.text_input[0].set_value("0001234").run()
    assert [photo["name"] for photo in _grid(app)] and all("0001234" in photo["name"] for photo in _grid(app))
    app.text_input[0].set_value("no such photo").run()
    assert "No photo fits" in app.info[0].value
    app.text_input[0].set_value("").run()
    app.selectbox[0].set_value("Videos").run()
    assert all(photo["badge"] for photo in _grid(app))
    app.selectbox[0].set_value(None).run()
    app.selectbox[1].set_value("Canon EOS 40D").run()
    assert all(photo["name"].endswith(".cr2") for photo in _grid(app))


def test_a_name_that_takes_too_long_asks_for_a_year(
    show: Show, database: Database, dashboard: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(database, dashboard)
    app = show("library")
    monkeypatch.setattr(library, "SEARCH_LIMIT", 0.001)
    with database.session() as session:  # nobody reads the photos meanwhile, so it takes too long on any machine
        session.execute(text("LOCK TABLE media_assets IN ACCESS EXCLUSIVE MODE"))
        app.text_input[0].set_value("no such photo").run()
    assert "Choose a year" in app.info[0].value
    assert resources.ledger().away_for() is None
    app.text_input[0].set_value("").run()
    assert len(_grid(app)) == 60


def test_names_are_data_and_nothing_else(show: Show, database: Database, dashboard: Settings) -> None:
    _fill(database, dashboard)
    hostile = "<img src=x onerror=alert(1)>\u202e[a](http://x) \\xff.jpg"
    with database.session() as session:
        session.execute(text("UPDATE media_assets SET original_name = :name, camera_model = :name"), {"name": hostile})
    app = show("library")
    assert "<img src=x onerror=alert(1)>" in _grid(app)[0]["name"]
    assert "\u202e" not in _grid(app)[0]["name"]
    assert "<img" not in texts(app)


@pytest.mark.parametrize("name", ["library", "map"])
def test_without_the_database_the_page_says_so(
    show: Show, database: Database, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise LedgerUnavailable("it is away")

    monkeypatch.setattr(Ledger, "session", away)
    app = show(name)
    assert any("away" in caption.value for caption in app.caption)


def test_the_map_counts_what_has_a_place(show: Show, database: Database, dashboard: Settings) -> None:
    _fill(database, dashboard)
    app = show("map")
    with database.session() as session:
        placed = session.scalar(text("SELECT count(*) FROM media_assets WHERE location IS NOT NULL"))
    assert app.caption[0].value.startswith(f"{placed:,} photos with a location")


@pytest.mark.parametrize(("known", "says"), [(3000, []), (2999, ["1 new photo"]), (1000, ["2,000 new photos"])])
def test_what_has_come_in_since_is_told(
    database: Database, dashboard: Settings, known: int, says: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(database, dashboard)
    script = f"from Src.Dashboard.views import library\nlibrary._announce({known})"
    app = AppTest.from_string(script, default_timeout=PAGE_LIMIT).run()
    assert [button.label for button in app.button] == says
    if says:
        looked: list[bool] = []
        monkeypatch.setattr(library, "look_again", lambda: looked.append(True))
        app.run()
        app.button[0].click().run()
        assert looked == [True]


def test_a_page_knows_how_many_originals_there_were(database: Database, dashboard: Settings) -> None:
    _fill(database, dashboard)
    assert library.page(Filters(name="0001234")).originals == library.originals() == 3000
