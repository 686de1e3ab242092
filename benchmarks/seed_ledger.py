"""Fills a factory's ledger with a large library: `python -m benchmarks.seed_ledger --originals 1000000`.

For trying the dashboard out, and for measuring it (`benchmarks.dashboard`). It writes to the factory that the settings
name (FACTORY_DATA, DATABASE_URL, ...), which must be empty. The newest originals get a file in the vault, so that
there is something to see; the others are rows only, and with `--thumbnails` each has a small picture, as if it had been
looked at before.
"""

from __future__ import annotations

import argparse
import colorsys
import hashlib
import os
import random
import sys
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from Src.Library.pictures import Size
from Src.Shared.database import Database
from Src.Shared.settings import load_settings

PORTION = 100_000  # originals for one statement
HISTORY_DAYS = 60
THUMBNAILS = 100  # different ones, each under the names of many originals: a file may have 65,000 names (ext4)

_CITIES = (
    (52.52, 13.40), (48.14, 11.58), (48.86, 2.35), (51.51, -0.13), (53.34, -6.26), (55.68, 12.57), (59.33, 18.07),
    (60.17, 24.94), (64.15, -21.94), (41.90, 12.50), (45.44, 12.32), (38.72, -9.14), (40.42, -3.70), (41.39, 2.17),
    (37.98, 23.73), (41.01, 28.98), (47.50, 19.04), (50.08, 14.44), (30.04, 31.24), (31.63, -8.0), (-1.29, 36.82),
    (-33.92, 18.42), (25.20, 55.27), (28.61, 77.21), (13.76, 100.50), (1.35, 103.82), (35.68, 139.69), (37.57, 126.98),
    (22.32, 114.17), (-8.65, 115.22), (-33.87, 151.21), (-41.29, 174.78), (40.71, -74.01), (43.65, -79.38),
    (37.77, -122.42), (36.17, -115.14), (19.43, -99.13), (-22.91, -43.17), (-34.60, -58.38), (-13.53, -71.97),
)  # fmt: skip

# Twenty years up to now, some 140 photos a day of a million; a camera is used for a few years; a third has a place: at
# home, or around a city.
_ORIGINALS = text("""
    INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind, mime_type,
        width, height, duration_seconds, captured_at, captured_at_offset, date_source, location, camera_make,
        camera_model, ingested_at, has_errors, error_message)
    SELECT uuidv7(), encode(sha256(n::text::bytea), 'hex'), 500000 + r % 9000000, name, 'Camera/' || name,
        to_char(taken, '"Originals"/YYYY/YYYY-MM-DD/') || name, kind, mime,
        CASE WHEN r % 10 < 3 THEN 3024 ELSE 4032 END, CASE WHEN r % 10 < 3 THEN 4032 ELSE 3024 END,
        CASE WHEN kind = 'MP4' THEN 3 + r % 200 END, taken, 120, 'exif:DateTimeOriginal',
        CASE WHEN r % 3 = 0 THEN CASE WHEN r % 2 = 0
            THEN jsonb_build_object('lat', 52.52 + (r % 97) / 1500.0, 'lon', 13.40 + (r % 89) / 900.0)
            ELSE jsonb_build_object('lat', (CAST(:lats AS float[]))[city] + (r % 311) / 1000.0 - 0.15,
                                    'lon', (CAST(:lons AS float[]))[city] + (r % 373) / 1000.0 - 0.18) END END,
        split_part(camera, ' ', 1), camera, taken + interval '2 hours', r % 9973 = 0,
        CASE WHEN r % 9973 = 0 THEN 'the file ends too early' END
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n,
        LATERAL (SELECT abs(hashint8(n)) AS r, 1 + abs(hashint8(n / 90)) % :cities AS city,
            now()::timestamp(0) - interval '1 hour'
                - interval '7300 days' * (1 - n::float / :originals) AS taken) AS one,
        LATERAL (SELECT CASE WHEN r % 100 < 62 THEN 'JPEG' WHEN r % 100 < 84 THEN 'HEIC' WHEN r % 100 < 93 THEN 'MP4'
            WHEN r % 100 < 97 THEN 'CR2' ELSE 'PNG' END AS kind) AS two,
        LATERAL (SELECT CASE WHEN kind = 'PNG' THEN NULL WHEN kind = 'CR2' THEN 'Canon EOS 40D'
            ELSE (ARRAY['Canon IXUS 40', 'NIKON D70', 'Apple iPhone 4', 'Apple iPhone 8', 'Google Pixel 7',
                        'Apple iPhone 15'])[1 + least(5, (n * 6 / :originals)::int)] END AS camera,
            CASE kind WHEN 'MP4' THEN 'VID_' WHEN 'PNG' THEN 'Screenshot_' ELSE 'IMG_' END
                || lpad(n::text, 7, '0') || '.' || lower(kind) AS name,
            CASE kind WHEN 'MP4' THEN 'video/mp4' WHEN 'CR2' THEN 'image/x-canon-cr2'
                ELSE 'image/' || lower(kind) END AS mime) AS three
""")
_EVENTS = text("""
    INSERT INTO ingest_events (id, happened_at, fate, source, original_name, original_path, file_hash, file_size,
        final_path)
    SELECT uuidv7(), ingested_at, 'ingested', 'inbox', original_name, original_path, file_hash, file_size, final_path
    FROM media_assets
""")
_HISTORY = text("""
    INSERT INTO system_status_history (service_name, heartbeat_timestamp, status, current_task, message)
    SELECT (ARRAY['librarian', 'service-monitor', 'dashboard', 'factory-db', 'syncthing'])[1 + n % 5],
        now() - make_interval(days => :days) * (1 - n::float / :rows),
        CASE WHEN n % 5000 < 5 THEN 'ERROR' WHEN n % 900 < 10 THEN 'WARNING' ELSE 'OK' END, 'watching', NULL
    FROM generate_series(1, CAST(:rows AS bigint)) AS n
""")
_STATUS = text("""
    INSERT INTO system_status (service_name, last_heartbeat, status, current_task, interval_seconds)
    SELECT name, now(), 'OK', 'watching', 60
    FROM unnest(ARRAY['librarian', 'service-monitor', 'factory-db', 'syncthing']) AS name
    ON CONFLICT DO NOTHING
""")


class NotEmpty(Exception):
    """The ledger has originals: this is no place to make some up."""


def seed(database: Database, storage: Path, originals: int, history: int, pictures: int) -> None:
    """Fills an empty ledger, and makes files for the newest originals.

    Raises NotEmpty, LedgerUnavailable.
    """
    database.ensure_ready()
    with database.session() as session:
        if session.execute(text("SELECT 1 FROM media_assets LIMIT 1")).first() is not None:
            raise NotEmpty("the ledger has originals already; give another FACTORY_DATA")
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(text("SET LOCAL synchronous_commit = off"))
        lats, lons = zip(*_CITIES, strict=True)
        values = {"originals": originals, "cities": len(_CITIES), "lats": list(lats), "lons": list(lons)}
        for first in range(1, originals + 1, PORTION):
            last = min(first + PORTION - 1, originals)
            session.execute(_ORIGINALS, values | {"first": first, "last": last})
        session.execute(_EVENTS)
        session.execute(_HISTORY, {"rows": history, "days": HISTORY_DAYS})
        session.execute(_STATUS)
        _make_pictures(session, storage, pictures)
    engine = create_engine(database.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
        with suppress(ProgrammingError):  # the owner of a ledger need not be allowed to: what follows is only less even
            connection.execute(text("CHECKPOINT"))
    engine.dispose()


def _make_pictures(session: Session, storage: Path, number: int) -> None:
    """Files for the newest originals, all of them JPEGs."""
    rows = session.execute(
        text("SELECT id, final_path FROM media_assets ORDER BY captured_at DESC LIMIT :number"), {"number": number}
    ).all()
    for place, (row, final_path) in enumerate(rows):
        path = storage / final_path
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _picture(place)
        path.write_bytes(content)
        session.execute(
            text(
                "UPDATE media_assets SET file_hash = :hash, file_size = :size, media_kind = 'JPEG', "
                "mime_type = 'image/jpeg', duration_seconds = NULL, width = 1600, height = 1200 WHERE id = :id"
            ),
            {"hash": hashlib.sha256(content).hexdigest(), "size": len(content), "id": row},
        )


def make_thumbnails(database: Database, storage: Path) -> None:
    """A small picture for each original that has none: each of a hundred pictures has the names of many.

    Raises LedgerUnavailable.
    """
    folder = storage / "Derivatives" / Size.SMALL.folder
    for first in range(256):
        (folder / f"{first:02x}").mkdir(parents=True, exist_ok=True)
    with database.session() as session:
        hashes = session.scalars(text("SELECT file_hash FROM media_assets ORDER BY file_hash")).all()
    for kind in range(THUMBNAILS):
        wanted = [folder / name[:2] / f"{name}.jpg" for name in hashes[kind::THUMBNAILS]]
        if not wanted:
            return
        with Image.open(BytesIO(_picture(kind))) as image:
            image.thumbnail((Size.SMALL.side, Size.SMALL.side))
            image.save(folder / f"{kind}.part", "JPEG", quality=Size.SMALL.quality)
        for path in wanted:
            with suppress(FileExistsError):
                os.link(folder / f"{kind}.part", path)
        (folder / f"{kind}.part").unlink()


def _picture(seed: int) -> bytes:
    """A landscape of sorts: sky, sun, hills."""
    chance = random.Random(seed)
    hue = chance.random()
    image = Image.new("RGB", (1600, 1200))
    draw = ImageDraw.Draw(image)
    for y in range(0, 1200, 4):
        draw.rectangle((0, y, 1600, y + 4), fill=_colour(hue, 0.55 - y / 3500, 0.75 + y / 6000))
    x, y, r = chance.randrange(200, 1400), chance.randrange(150, 500), chance.randrange(50, 110)
    draw.ellipse((x - r, y - r, x + r, y + r), fill=_colour(hue + 0.1, 0.15, 1.0))
    for layer in range(4):
        height, points = 600 + layer * 140, [(0, 1200)]
        for step in range(0, 1601, 100):
            height += chance.randrange(-60, 61)
            points.append((step, height))
        draw.polygon([*points, (1600, 1200)], fill=_colour(hue + 0.35 + layer * 0.03, 0.5, 0.6 - layer * 0.12))
    out = BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1.0, saturation, value))
    return red, green, blue


def main() -> int:
    """Seeds, and tells how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--originals", type=int, default=1_000_000)
    parser.add_argument("--history", type=int, default=400_000, help="heartbeats")
    parser.add_argument("--pictures", type=int, default=300, help="originals that get a file in the vault")
    parser.add_argument("--thumbnails", action="store_true", help="a small picture for every original")
    wanted = parser.parse_args()
    settings = load_settings()
    database = Database(settings, service="seed", answer_limit=3600.0)
    began = time.monotonic()
    try:
        seed(database, settings.storage, wanted.originals, wanted.history, wanted.pictures)
        if wanted.thumbnails:
            make_thumbnails(database, settings.storage)
    except NotEmpty as error:
        print(f"seed_ledger: {error}", file=sys.stderr)
        return 2
    finally:
        database.close()
    print(f"{wanted.originals:,} originals, {wanted.history:,} heartbeats in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
