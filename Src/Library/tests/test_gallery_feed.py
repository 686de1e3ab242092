"""What the gallery gets: every original once, in order, by its day; and which indexes answer."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from Src.Library.gallery import feed
from Src.Library.gallery.arrivals import by_days
from Src.Library.gallery.feed import Item, Position
from Src.Library.gallery.order import Looked, Order
from Src.Library.selection.grammar import SelectionError
from Src.Shared.database import Database

ZONE = ZoneInfo("Asia/Kolkata")  # half an hour beside all hours
NOW = datetime(2012, 5, 17, 9, tzinfo=ZONE)
CAMERAS = ("Canon EOS 40D", "iPhone 15", None)
_MAKE = text("""
    INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind, mime_type,
        captured_at, ingested_at, date_source, camera_model, rating, is_hidden, width, height, orientation)
    SELECT CAST(id AS uuid), hash, 1, name, name, to_char(captured_at, '"Originals"/YYYY/YYYY-MM-DD/') || name, 'JPEG',
        '', captured_at, ingested_at, source, camera, rating, hidden, 4000, 3000, orientation
    FROM json_to_recordset(CAST(:rows AS json)) AS new (id text, hash text, name text, captured_at timestamp,
        ingested_at timestamptz, source text, camera text, rating int, hidden bool, orientation int)
""")


@dataclass(frozen=True)
class Row:
    """What a test knows of an original."""

    id: uuid.UUID
    captured_at: datetime
    ingested_at: datetime
    source: str
    camera: str | None
    rating: int | None
    hidden: bool
    orientation: int | None

    def day(self, order: Order) -> date:
        return self.ingested_at.astimezone(ZONE).date() if order is Order.ADDED else self.captured_at.date()

    def position(self, order: Order) -> tuple[datetime, uuid.UUID]:
        return (self.ingested_at if order is Order.ADDED else self.captured_at, self.id)

    def is_in(self, order: Order) -> bool:
        if order is Order.HIDDEN:
            return self.hidden
        found = {
            Order.GUESSED: self.source in ("mtime", "filename"),
            Order.FAVOURITES: self.rating == 5,
            Order.THIS_DAY: (self.captured_at.month, self.captured_at.day) == (5, 17)
            and self.captured_at.year < 2012
            and self.source != "mtime",
        }.get(order, True)
        return found and not self.hidden


def _rows(number: int, days: int) -> list[Row]:
    chance = random.Random(7)
    return [
        Row(
            id=uuid.UUID(int=chance.getrandbits(128)),
            # Several with one time; one day of each year has more.
            captured_at=datetime(2001, 5, 17) + timedelta(hours=chance.randrange(days) * 24 + chance.randrange(4) * 6)
            if chance.random() < 0.9
            else datetime(chance.randrange(2003, 2013), 5, 17, chance.randrange(24)),
            ingested_at=datetime(2012, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(900) * 20),
            source=chance.choices(("exif:DateTimeOriginal", "mtime", "filename"), (96, 2, 2))[0],
            camera=chance.choice(CAMERAS),
            rating=chance.choices((None, 3, 5), (80, 15, 5))[0],
            hidden=chance.random() < 0.02,
            orientation=chance.choice((None, 1, 6)),
        )
        for _ in range(number)
    ]


def _fill(database: Database, rows: list[Row]) -> None:
    values = [
        {
            "id": str(row.id), "hash": row.id.hex * 2, "name": row.id.hex, "captured_at": row.captured_at.isoformat(),
            "ingested_at": row.ingested_at.isoformat(), "source": row.source, "camera": row.camera,
            "rating": row.rating, "hidden": row.hidden, "orientation": row.orientation,
        }
        for row in rows
    ]  # fmt: skip
    with database.session() as session:
        session.execute(_MAKE, {"rows": json.dumps(values)})
    with database.session() as session:
        session.connection().exec_driver_sql("COMMIT")
        session.connection().exec_driver_sql("VACUUM ANALYZE media_assets")


def _looked(order: Order, selection: str = "") -> Looked:
    return Looked(order, selection, ZONE, NOW)


SELECTIONS = ("", 'camera:"iPhone 15"', "rating>=3 -camera:canon*", "is:hidden or rating:5", "year:2005..2007")


def test_every_original_is_there_once_in_order_under_its_day(database: Database) -> None:
    rows = _rows(3000, 3000)
    _fill(database, rows)
    fits: dict[str, Callable[[Row], bool]] = {
        "": lambda row: True,
        'camera:"iPhone 15"': lambda row: row.camera == "iPhone 15",
        "rating>=3 -camera:canon*": lambda row: (row.rating or 0) >= 3 and not (row.camera or "").startswith("Canon"),
        "is:hidden or rating:5": lambda row: row.hidden or row.rating == 5,
        "year:2005..2007": lambda row: 2005 <= row.captured_at.year <= 2007,
    }
    with database.session() as session:
        for order in Order:
            for selection in SELECTIONS:
                looked = _looked(order, selection)
                of_order = (row for row in rows if row.is_in(order) or (row.hidden and "hidden" in selection))
                wanted = [row for row in of_order if row.is_in(order) or _is_in_but_hidden(row, order)]
                wanted = [row for row in wanted if fits[selection](row)]
                counted = Counter(row.day(order) for row in wanted)
                days = feed.days(session, looked)
                assert days == sorted(counted.items(), reverse=True), (order, selection)
                wanted.sort(key=lambda row: row.position(order), reverse=True)
                assert [item.id for item in _all(session, looked, days)] == [row.id for row in wanted]


def _is_in_but_hidden(row: Row, order: Order) -> bool:
    return replace(row, hidden=False).is_in(order)


def _all(session: Session, looked: Looked, days: list[feed.Day]) -> list[Item]:
    """As a gallery asks: some days at once, going on behind the last, the newest first."""
    found: list[Item] = []
    for at in range(0, len(days), 40):
        some = days[at : at + 40]
        after: Position | None = None
        while True:
            items = feed.piece(session, looked, some[-1].day, some[0].day, limit=97, after=after)
            found += items
            if len(items) < 97:
                break
            after = Position(items[-1].moment, items[-1].id)
    return found


def test_a_piece_begins_after_so_many_or_behind_one(database: Database) -> None:
    rows = _rows(400, 2)
    _fill(database, rows)
    looked = _looked(Order.TAKEN)
    with database.session() as session:
        ids = [item.id for item in feed.piece(session, looked, date(2001, 5, 1), date(2001, 5, 31), limit=500)]
        skipped = feed.piece(session, looked, date(2001, 5, 1), date(2001, 5, 31), limit=50, skip=100)
        behind = feed.piece(
            session, looked, date(2001, 5, 1), date(2001, 5, 31), limit=50,
            after=Position(skipped[-1].moment, skipped[-1].id),
        )  # fmt: skip
        assert [item.id for item in skipped + behind] == ids[100:200]
        assert len(feed.piece(session, looked, date(2001, 1, 1), date(2013, 1, 1), limit=10**6)) <= feed.MOST_AT_ONCE


def test_where_one_is(database: Database) -> None:
    rows = _rows(300, 10)
    _fill(database, rows)
    with database.session() as session:
        for order in (Order.TAKEN, Order.ADDED, Order.GUESSED):
            looked = _looked(order)
            for row in rows[:40]:
                found = feed.place(session, looked, row.id)
                if not row.is_in(order):
                    assert found is None
                    continue
                assert found is not None and found.day == row.day(order)
                (item,) = feed.piece(session, looked, found.day, found.day, limit=1, skip=found.before)
                assert item.id == row.id
        assert feed.place(session, _looked(Order.TAKEN), uuid.uuid4()) is None


def test_an_original_is_told_as_it_is_looked_at(database: Database) -> None:
    rows = _rows(60, 10)
    _fill(database, rows)
    photo, film = rows[0], rows[1]
    with database.session() as session:
        session.execute(
            text("INSERT INTO asset_relations (kind, from_hash, to_hash) VALUES ('live_photo', :film, :photo)"),
            {"film": film.id.hex * 2, "photo": photo.id.hex * 2},
        )
        items = feed.piece(session, _looked(Order.TAKEN, "is:hidden or *"), date(2001, 1, 1), NOW.date(), limit=100)
        for item, row in ((item, next(row for row in rows if row.id == item.id)) for item in items):
            turned = row.orientation == 6
            assert (item.width, item.height) == ((3000, 4000) if turned else (4000, 3000))
            assert (item.film is not None) == (row is photo)
            assert (item.is_hidden, item.rating) == (row.hidden, row.rating)
        assert len(items) == len(rows)


def test_a_selection_that_means_nothing_says_where(database: Database) -> None:
    with database.session() as session, pytest.raises(SelectionError) as caught:
        feed.days(session, _looked(Order.TAKEN, "camera:x kolour:y"))
    assert caught.value.position == 9


def _plans(session: Session, ask: Callable[[], object]) -> str:
    """How PostgreSQL answers."""
    plans: list[str] = []
    connection = session.connection()

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            with connection.connection.cursor() as other:
                other.execute(f"EXPLAIN {statement}", parameters)
                plans.append("\n".join(line for (line,) in other.fetchall()))

    event.listen(connection.engine, "before_cursor_execute", explain)
    try:
        ask()
    finally:
        event.remove(connection.engine, "before_cursor_execute", explain)
    assert plans
    return "\n".join(plans)


# What people look for, and an index knows.
INDEXED = (
    'camera:"iPhone 15 Pro"', "camera:*pro", "camera:Olympus", "is:video", "kind:raw", "kind:png or kind:gif",
    "rating>=4", "rating:3", "is:favourite", "is:hidden", "is:damaged", "date:2008-03", "date:guessed",
    "added:2012-01-04", "title:*cat*", "description:*cat*", "tag:cat", "in:Cats", "NAME7*", "name:name77",
    "rating>=4 -camera:canon* year:2005..2007",
)  # fmt: skip


def _make_rare(session: Session) -> None:
    """Of few originals something is so that each of those selections asks for; as in a library that is large."""
    rare = "WHERE get_byte(uuid_send(id), 15) = 7 AND NOT is_hidden"
    session.execute(
        text(f"""
            UPDATE media_assets SET camera_make = 'Olympus', camera_model = 'iPhone 15 Pro', rating = NULL,
                media_kind = (ARRAY['MP4', 'CR2', 'PNG'])[1 + get_byte(uuid_send(id), 14) % 3], has_errors = true,
                title = 'a cat', description = 'a cat', original_name = 'name77' {rare}
        """)
    )
    session.execute(text("UPDATE media_assets SET rating = NULL WHERE get_byte(uuid_send(id), 13) > 40"))
    session.execute(text(f"INSERT INTO asset_tags (asset_id, tag) SELECT id, 'Cat' FROM media_assets {rare}"))
    session.execute(text("INSERT INTO albums (id, name) VALUES (gen_random_uuid(), 'cats')"))
    items = f"SELECT albums.id, media_assets.id, 1 FROM albums, media_assets {rare.replace('(id', '(media_assets.id')}"
    session.execute(text(f"INSERT INTO album_items (album_id, asset_id, position) {items}"))


def test_indexes_answer_selections(database: Database) -> None:
    rows = _rows(20_000, 4000)
    _fill(database, rows)
    with database.session() as session:
        _make_rare(session)
    with database.session() as session:
        session.connection().exec_driver_sql("COMMIT")
        session.connection().exec_driver_sql("VACUUM FULL ANALYZE media_assets")
        session.connection().exec_driver_sql("VACUUM ANALYZE asset_tags, albums, album_items")
    with database.session() as session:
        for order in (Order.TAKEN, Order.ADDED):
            for selection in INDEXED:
                looked = _looked(order, selection)
                plan = _plans(session, partial(feed.days, session, looked))
                assert "Seq Scan on media_assets" not in plan, (order, selection, plan)
                days = [day for day, _ in feed.days(session, looked)][:40]
                assert days, selection
                ask = partial(feed.piece, session, looked, days[-1], days[0], limit=200, within=days)
                plan = _plans(session, ask)
                assert "Seq Scan on media_assets" not in plan, (order, selection, plan)


def test_of_a_camera_or_a_kind_the_index_alone_is_read(database: Database) -> None:
    _fill(database, _rows(20_000, 4000))
    with database.session() as session:
        for selection, index in (('camera:"iPhone 15"', "model"), ("kind:jpeg", "kind")):
            plan = _plans(session, partial(feed.days, session, _looked(Order.TAKEN, selection)))
            assert f"Index Only Scan using ix_media_assets_{index} on media_assets" in plan, plan


def test_a_piece_looks_through_no_other_days(database: Database) -> None:
    """A few photos of many years, by something that no index knows."""
    rows = _rows(20_000, 4000)
    _fill(database, rows)
    looked = _looked(Order.TAKEN, "name:*77*")
    with database.session() as session:
        days = [day for day, _ in feed.days(session, looked)][:80]
        asked = {"limit": 200, "within": days}
        items = feed.piece(session, looked, days[-1], days[0], **asked)  # type: ignore[arg-type]
        whole = feed.piece(session, looked, days[-1], days[0], limit=200)
        assert [item.id for item in items] == [item.id for item in whole] and len(items) >= len(days)
        behind = Position(items[9].moment, items[9].id)
        rest = feed.piece(session, looked, days[-1], days[0], after=behind, **asked)  # type: ignore[arg-type]
        assert [item.id for item in rest] == [item.id for item in items[10:]]
        plan = _plans(session, partial(feed.piece, session, looked, days[-1], days[0], **asked))  # type: ignore[arg-type]
        assert plan.count("Bitmap Index Scan on ix_media_assets_captured_at") >= 40, plan


@pytest.mark.parametrize(
    "zone", ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "America/New_York", "America/Havana"]
)
def test_arrivals_are_counted_by_the_days_of_a_zone(database: Database, zone: str) -> None:
    """Hours are counted by UTC; a day may end within one, and clocks are put back at night."""
    began = datetime(2012, 11, 2, tzinfo=UTC)
    made = enumerate(_rows(1000, 10))
    rows = [replace(row, ingested_at=began + timedelta(minutes=7 * place)) for place, row in made]
    _fill(database, rows)
    looked = Looked(Order.ADDED, "is:hidden or *", ZoneInfo(zone), NOW)
    with database.session() as session:
        one_by_one = feed.days(session, looked)
        assert by_days(session, looked.zone) == one_by_one
    assert sum(number for _, number in one_by_one) == len(rows)


def test_indexes_answer(database: Database) -> None:
    rows = _rows(20_000, 4000)
    _fill(database, rows)
    first, last = date(2008, 3, 1), date(2008, 3, 20)
    with database.session() as session:
        for order in Order:
            looked = _looked(order)
            if order is Order.ADDED:
                first, last = date(2012, 1, 4), date(2012, 1, 4)
            elif order is Order.THIS_DAY:
                first = last = date(2008, 5, 17)
            for after in (None, Position(datetime(2008, 3, 10), rows[0].id) if order is not Order.ADDED else None):
                plan = _plans(session, partial(feed.piece, session, looked, first, last, limit=200, after=after))
                assert "Seq Scan on media_assets" not in plan, (order, plan)
            assert "Seq Scan on media_assets" not in _plans(session, partial(feed.days, session, looked)), order
        photo = next(row.id for row in rows if row.captured_at.year == 2008 and not row.hidden)
        assert "Seq Scan" not in _plans(session, partial(feed.place, session, _looked(Order.TAKEN), photo))
