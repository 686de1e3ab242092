"""The logic of the page Map, on a real ledger, without a browser."""

from __future__ import annotations

from datetime import datetime

import pytest
import streamlit as st
from sqlalchemy import select, text

from Src.Dashboard.data import library
from Src.Dashboard.data.library import Area
from Src.Dashboard.ledger import Ledger
from Src.Dashboard.tests.conftest import Show, photos, texts
from Src.Dashboard.tests.test_pages import original
from Src.Dashboard.views import map
from Src.Library.selection.selection import read_selection
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.models import MediaAsset
from Src.Shared.settings import Settings


def _fill(database: Database, settings: Settings) -> None:
    from benchmarks.seed_ledger import seed  # not in the image, whose build leaves these tests out

    seed(database, settings.storage, originals=3000, history=10, pictures=5)


def test_an_empty_library_says_so(show: Show, database: Database) -> None:
    assert "yet" in texts(show("map"))


def test_without_the_database_the_page_says_so(show: Show, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise LedgerUnavailable("it is away")

    monkeypatch.setattr(Ledger, "session", away)
    app = show("map")
    assert any("away" in caption.value for caption in app.caption)


def test_the_map_counts_what_has_a_place(show: Show, database: Database, dashboard: Settings) -> None:
    _fill(database, dashboard)
    app = show("map")
    with database.session() as session:
        placed = session.scalar(text("SELECT count(*) FROM media_assets WHERE location IS NOT NULL"))
    assert app.caption[0].value.startswith(f"{placed:,} photos with a location")


@pytest.mark.parametrize(
    ("area", "means"),
    [
        (Area(43_460, 11_880, 43_460, 11_880), [True, False, False]),
        (Area(43_000, 11_000, 44_000, 12_000), [True, True, False]),
        (Area(-90_000, -180_000, 90_000, 180_000), [True, True, True]),
    ],
)
def test_all_of_an_area_is_looked_through_in_the_gallery(
    database: Database, dashboard: Settings, area: Area, means: list[bool]
) -> None:
    for lat, lon in ((43.4604, 11.8796), (43.9999, 11.0001), (-89.0, 179.9)):
        original(database, location={"lat": lat, "lon": lon})
    found = read_selection(map._around(area), dashboard.zone, datetime.now(dashboard.zone)).condition
    with database.session() as session:
        asked = select(found).select_from(MediaAsset).order_by(MediaAsset.file_hash)
        assert [bool(one) for one in session.scalars(asked)] == means
    st.cache_data.clear()
    photos, has_more = library.taken_in(area)
    assert len(photos) == sum(means) and not has_more


def test_photos_of_an_area_lead_to_the_gallery(show: Show, database: Database, dashboard: Settings) -> None:
    original(database, "there.jpg", location={"lat": 43.46, "lon": 11.88})
    [[photo]] = photos(show("map", area="43460_11880_43460_11880"))
    assert photo.name == "there.jpg" and photo.href.startswith("gallery?q=near%3A43.4600%2C11.8800%2C0.")
