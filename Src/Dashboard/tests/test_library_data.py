"""The photos that pages show are those that were asked for, and are read by indexes and counters."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import event, text

from Src.Dashboard import resources
from Src.Dashboard.data import library
from Src.Dashboard.data.library import Area, Photo
from Src.Shared.database import Database
from Src.Shared.settings import Settings

PHOTOS = 20_000
KINDS, CAMERAS = ("JPEG", "HEIC", "MP4", "CR2"), ("Canon EOS 40D", "iPhone 15", "x" * 300, None)
_MAKE = text("""
    INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind, mime_type,
        captured_at, date_source, location, camera_model, has_errors)
    SELECT CAST(id AS uuid), hash, 1, name, name, to_char(captured_at, '"Originals"/YYYY/YYYY-MM-DD/') || name, kind,
        '', captured_at, CASE WHEN guessed THEN 'mtime' ELSE 'exif:DateTimeOriginal' END,
        CASE WHEN lat IS NOT NULL THEN jsonb_build_object('lat', lat, 'lon', lon) END, camera,
        errors
    FROM json_to_recordset(CAST(:rows AS json)) AS new (id text, hash text, name text, kind text, captured_at timestamp,
        lat float, lon float, camera text, errors bool, guessed bool)
""")


@dataclass(frozen=True)
class Row:
    """What a test knows of a photo."""

    id: uuid.UUID
    name: str
    kind: str
    captured_at: datetime
    lat: float | None
    lon: float | None
    camera: str | None
    errors: bool
    guessed: bool

    def is_in(self, area: Area) -> bool:
        return (
            self.lat is not None
            and self.lon is not None
            and area.south <= round(self.lat * 1000) <= area.north
            and area.west <= round(self.lon * 1000) <= area.east
        )


def _rows(number: int) -> list[Row]:
    chance = random.Random(5)
    rows = []
    for n in range(number):
        placed = chance.random() < 0.3
        rows.append(
            Row(
                id=uuid.UUID(int=chance.getrandbits(128)),
                name=f"{chance.choice(('IMG_', 'VID_', 'Ü 50%! '))}{n:05}.jpg",
                kind=chance.choices(KINDS, (60, 30, 9, 1))[0],
                # Several with one time, and days without any.
                captured_at=datetime(2001, 1, 1) + timedelta(hours=chance.randrange(9000) * 20),
                lat=chance.randrange(-40, 60) + 0.125 if placed else None,
                lon=chance.randrange(-100, 100) + 0.25 if placed else None,
                camera=chance.choices(CAMERAS, (50, 48, 1, 1))[0],
                errors=chance.random() < 0.001,
                guessed=chance.random() < 0.01,
            )
        )
    return rows


@pytest.fixture
def pages(dashboard: Settings, database: Database) -> Database:
    """The ledger that the pages' functions ask."""
    return database


def _fill(database: Database, rows: list[Row]) -> None:
    values = [
        {
            "id": str(row.id), "hash": row.id.hex * 2, "name": row.name, "kind": row.kind, "lat": row.lat,
            "lon": row.lon, "captured_at": row.captured_at.isoformat(), "camera": row.camera, "errors": row.errors,
            "guessed": row.guessed,
        }
        for row in rows
    ]  # fmt: skip
    with database.session() as session:
        session.execute(_MAKE, {"rows": json.dumps(values)})
    with database.session() as session:
        session.execute(text("ANALYZE"))


def _ids(photos: list[Photo]) -> list[uuid.UUID]:
    return [photo.id for photo in photos]


AREAS = [
    Area(10_000, -50_000, 20_000, 50_000),
    Area(-90_000, -180_000, 0, 180_000),
    Area(-10_000, -11_000, -9_000, -10_000),
    Area(80_000, 0, 80_001, 1),
]


def test_photos_of_an_area_are_all_there_the_newest_first(pages: Database) -> None:
    rows = _rows(3000)
    _fill(pages, rows)
    rows.sort(key=lambda row: (row.captured_at, row.id), reverse=True)
    assert _ids(library.newest(12)) == [row.id for row in rows[:12]]
    for area in AREAS:
        wanted = [row.id for row in rows if row.is_in(area)]
        for size in (7, 60, 4000):
            photos, has_more = library.taken_in(area, size)
            assert _ids(photos) == wanted[:size] and has_more == (len(wanted) > size), (area, size)


def test_choices_and_places_count_all(pages: Database) -> None:
    rows = _rows(2000)
    _fill(pages, rows)
    choices = library.choices()
    assert dict(choices.kinds) == {kind: sum(row.kind == kind for row in rows) for kind in KINDS}
    assert dict(choices.cameras).keys() == {(camera or "")[:100] for camera in CAMERAS}
    assert list(choices.years) == sorted({row.captured_at.year for row in rows}, reverse=True)
    numbers = json.loads(library.places())
    placed_rows = {(round(row.lat * 1000), round((row.lon or 0) * 1000)) for row in rows if row.lat is not None}
    assert set(zip(numbers[0::3], numbers[1::3], strict=True)) == placed_rows
    assert sum(numbers[2::3]) == library.placed() == sum(row.lat is not None for row in rows)


def test_details(pages: Database) -> None:
    rows = _rows(3)
    _fill(pages, rows)
    found = library.details(rows[0].id)
    assert found is not None and found[0]["original_name"] == rows[0].name and found[1] == []
    assert library.details(uuid.uuid4()) is None


def _plans(ask: Callable[[], object]) -> str:
    """How PostgreSQL answers what is asked for."""
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")) and "media_assets" in statement:
            with connection.connection.cursor() as other:
                other.execute(f"EXPLAIN (ANALYZE, BUFFERS OFF) {statement}", parameters)
                plans.append("\n".join(line for (line,) in other.fetchall()))

    engine = resources.ledger().database._connected_engine()
    event.listen(engine, "before_cursor_execute", explain)
    try:
        st.cache_data.clear()
        ask()
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    return "\n".join(plans)


def test_no_page_reads_the_whole_table(pages: Database) -> None:
    _fill(pages, _rows(PHOTOS))
    with pages.session() as session:
        session.connection().exec_driver_sql("COMMIT")
        session.connection().exec_driver_sql("VACUUM ANALYZE media_assets")
    asked: list[Callable[[], object]] = [partial(library.taken_in, area) for area in AREAS]
    asked.append(partial(library.newest, 12))
    for ask in asked:
        plan = _plans(ask)
        assert "Seq Scan on media_assets" not in plan, (ask, plan)
    assert all("media_assets" in _plans(ask) for ask in asked[:2]), "nothing is asked where there is nothing"


def test_the_last_ones_come_from_an_index(pages: Database) -> None:
    _fill(pages, _rows(PHOTOS))
    with pages.session() as session:
        plan = "\n".join(session.scalars(text("EXPLAIN SELECT * FROM media_assets ORDER BY ingested_at DESC LIMIT 12")))
    assert "ix_media_assets_ingested_at" in plan
    assert len(library.added(12)) == 12


def test_on_this_day_shows_earlier_years_and_no_guess(pages: Database) -> None:
    today = date(2024, 5, 6)
    with pages.session() as session:
        for number, (taken, source) in enumerate(
            (
                ("2024-05-06", "exif:DateTimeOriginal"), ("2023-05-06", "exif:DateTimeOriginal"),
                ("2023-05-06", "mtime"), ("2022-05-07", "exif:DateTimeOriginal"), ("2020-05-06", "filename"),
            )
        ):  # fmt: skip
            session.execute(
                text(
                    "INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, "
                    "media_kind, mime_type, captured_at, date_source) VALUES (uuidv7(), :hash, 1, 'a.jpg', 'a.jpg', "
                    ":path, 'JPEG', '', :taken, :source)"
                ),
                {
                    "hash": f"{number:064x}",
                    "path": f"Originals/{taken[:4]}/{taken}/{number}",
                    "taken": taken,
                    "source": source,
                },
            )
    found = library.on_this_day(today, 12)
    assert [f"{photo.captured_at:%Y}" for photo in found] == ["2023", "2020"]
    assert library.on_this_day(date(2023, 2, 28), 12) == []
