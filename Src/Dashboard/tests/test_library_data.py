"""Pages of the library hold what was asked for, in order, and are read by indexes and counters."""

from __future__ import annotations

import fnmatch
import json
import random
import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import streamlit as st
from hypothesis import given, strategies
from sqlalchemy import event, text

from Src.Dashboard import resources
from Src.Dashboard.data import library
from Src.Dashboard.data.library import Area, Filters, Photo, Position
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

    @property
    def position(self) -> Position:
        return Position(self.captured_at, self.id)

    def fits(self, filters: Filters) -> bool:
        return (
            (not filters.kinds or self.kind in filters.kinds)
            and (filters.camera is None or (self.camera or "")[:100] == filters.camera)
            and filters.year in (None, self.captured_at.year)
            and (not filters.has_place or self.lat is not None)
            and (not filters.has_errors or self.errors)
            and (not filters.is_guessed or self.guessed)
            and (not filters.name or fnmatch.fnmatchcase(self.name.lower(), f"*{filters.name.lower()}*"))
            and (filters.area is None or self._is_in(filters.area))
        )

    def _is_in(self, area: Area) -> bool:
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


def _ids(photos: tuple[Photo, ...]) -> list[uuid.UUID]:
    return [photo.id for photo in photos]


FILTERS = [
    Filters(),
    Filters(kinds=("MP4",)),
    Filters(kinds=("CR2", "HEIC")),
    Filters(camera="iPhone 15"),
    Filters(camera=""),
    Filters(camera="x" * 100),
    Filters(year=2007),
    Filters(has_place=True),
    Filters(has_errors=True),
    Filters(is_guessed=True),
    Filters(is_guessed=True, kinds=("JPEG",), year=2005),
    Filters(name="img_000"),
    Filters(name="%! 1"),
    Filters(name="_0001"),
    Filters(name="IMG_*9.jpg"),
    Filters(area=Area(10_000, -50_000, 20_000, 50_000)),
    Filters(kinds=("CR2",), camera="iPhone 15", has_place=True),
    Filters(kinds=("JPEG",), year=2010, has_place=True, area=Area(-90_000, -180_000, 0, 180_000)),
    Filters(kinds=("MP4", "JPEG"), has_errors=True, year=2005),
    Filters(name="9", kinds=("MP4",), camera="Canon EOS 40D", year=2011),
    Filters(year=1900),
    Filters(kinds=("PNG",)),
]


def test_pages_hold_what_was_asked_for_and_go_both_ways(pages: Database) -> None:
    rows = _rows(3000)
    _fill(pages, rows)
    for filters in FILTERS:
        wanted = sorted((row for row in rows if row.fits(filters)), key=lambda row: row.position, reverse=True)
        ids = [row.id for row in wanted]
        size = 60 if len(ids) > 300 else 7
        seen: list[uuid.UUID] = []
        page = library.page(filters, size=size)
        assert not page.has_newer
        while True:
            seen += _ids(page.photos)
            assert page.has_older == (len(seen) < len(ids)), filters
            if not page.has_older or len(seen) > 600:
                break
            page = library.page(filters, page.photos[-1].position, size=size)
            assert page.has_newer
        assert seen == ids[: len(seen)], filters
        if not wanted:
            continue
        middle = len(seen) // 2
        newer = library.page(filters, wanted[middle].position, newer=True, size=size)
        assert _ids(newer.photos) == ids[max(0, middle - size) : middle], filters
        assert newer.has_newer == (middle > size)
        assert not newer.photos or newer.has_older


def test_a_jump_goes_to_the_end_of_a_month(pages: Database) -> None:
    rows = _rows(2000)
    _fill(pages, rows)
    until = datetime(2010, 6, 1)
    page = library.page(Filters(kinds=("HEIC",)), Position.before(until))
    newest = max((row for row in rows if row.captured_at < until and row.kind == "HEIC"), key=lambda row: row.position)
    assert page.photos[0].id == newest.id and page.has_newer


def test_months_and_choices_count_all(pages: Database) -> None:
    rows = _rows(2000)
    _fill(pages, rows)
    months = library.months(Filters())
    assert sum(count for _, count in months) == 2000
    assert [month for month, _ in months] == sorted({row.captured_at.date().replace(day=1) for row in rows})
    heic = dict(library.months(Filters(kinds=("HEIC",), year=2008)))
    assert heic.keys() <= {date(2008, month, 1) for month in range(1, 13)}
    assert sum(heic.values()) == sum(row.kind == "HEIC" and row.captured_at.year == 2008 for row in rows)
    placed = library.months(Filters(has_place=True))
    assert sum(count for _, count in placed) == sum(row.lat is not None for row in rows)
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


def test_a_path_that_is_in_the_name_only_by_its_folder_is_not_found(pages: Database) -> None:
    _fill(pages, _rows(50))
    assert library.page(Filters(name="Originals")).photos == ()
    assert library.page(Filters(name="-01-")).photos == ()


def _plans(database: Database, filters: Filters, position: Position | None = None) -> str:
    """How PostgreSQL answers for a page."""
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
        library.page(filters, position)
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    return "\n".join(plans)


def test_no_page_reads_the_whole_table(pages: Database) -> None:
    _fill(pages, _rows(PHOTOS))
    with pages.session() as session:
        session.connection().exec_driver_sql("COMMIT")
        session.connection().exec_driver_sql("VACUUM ANALYZE media_assets")
    for position in (None, Position.before(datetime(2010, 6, 1))):
        for filters in FILTERS:
            plan = _plans(pages, filters, position)
            assert "Seq Scan on media_assets" not in plan, (filters, plan)
            if filters.name:
                assert "Index Only Scan" in plan, plan


def test_the_last_ones_come_from_an_index(pages: Database) -> None:
    _fill(pages, _rows(PHOTOS))
    with pages.session() as session:
        plan = "\n".join(session.scalars(text("EXPLAIN SELECT * FROM media_assets ORDER BY ingested_at DESC LIMIT 12")))
    assert "ix_media_assets_ingested_at" in plan
    photos, has_more = library.added(size=12)
    assert len(photos) == 12 and has_more


def test_what_was_added_comes_page_by_page_with_nothing_twice_or_left_out(pages: Database) -> None:
    """Also where many have the same moment, as those of one batch do."""
    rows = _rows(700)
    for batch in (rows[:300], rows[300:]):
        _fill(pages, batch)
    found, position, has_more = [], None, True
    while has_more:
        photos, has_more = library.added(position, size=7)
        found += photos
        position = photos[-1].arrival
    assert len({photo.id for photo in found}) == len(found) == len(rows)
    assert len({photo.arrival.moment for photo in found}) == 2
    assert found == sorted(found, key=lambda photo: photo.arrival, reverse=True)


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


@given(strategies.datetimes(), strategies.uuids())
def test_a_position_survives_its_address(moment: datetime, identity: uuid.UUID) -> None:
    position = Position(moment, identity)
    assert Position.parse(str(position)) == position
    assert position < position.after() or identity.int == 2**128 - 1


@pytest.mark.parametrize(
    ("asked", "moment"),
    [
        ("2024-02", datetime(2024, 3, 1)), ("2024-12", datetime(2025, 1, 1)), ("2024-02-29", datetime(2024, 3, 1)),
        ("2024-13", None), ("2024-02-30", None), ("", None), ("9999-12-31", None), ("2024-02_x", None),
        ("x" * 500, None),
    ],
)  # fmt: skip
def test_an_address_may_name_a_month_or_a_day(asked: str, moment: datetime | None) -> None:
    found = Position.parse(asked)
    assert (found and found.moment) == moment
