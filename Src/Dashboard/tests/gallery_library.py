"""A library with real photos and films of several years, for tests of the gallery. Fixtures: import them where used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import av
import pytest
from PIL import Image
from sqlalchemy import text

from Src.Dashboard.tests.browsing import HOSTILE, PATIENT, SAMPLES
from Src.Shared.database import Database
from Src.Shared.settings import Settings

_ROW = text("""
    INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind, mime_type,
        captured_at, date_source, camera_model, width, height, duration_seconds, rating, is_hidden)
    VALUES (uuidv7(), :hash, :size, :name, :name, :path, :kind, '', :taken, 'exif:DateTimeOriginal', :camera, :width,
        :height, :duration, :rating, :hidden)
""")


class Shot(NamedTuple):
    """A file of the library."""

    name: str
    kind: str
    taken: datetime
    content: bytes
    duration: float | None = None
    rating: int | None = None
    hidden: bool = False

    @property
    def path(self) -> str:
        return f"Originals/{self.taken:%Y/%Y-%m-%d}/{self.name}".replace("/<", "/lt ").replace("\\", "\\\\")


def film(path: Path, codec: str, seconds: int) -> bytes:
    """A film of changing colours."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(10 * seconds):
            image = Image.new("RGB", (320, 240), (number * 5 % 256, 90, 255 - number * 3 % 256))
            container.mux(stream.encode(av.VideoFrame.from_image(image)))  # type: ignore[no-untyped-call]
        container.mux(stream.encode())
    return path.read_bytes()


def picture(number: int, width: int, height: int) -> bytes:
    """A photo of its own."""
    image = Image.linear_gradient("L").resize((width, height))
    colour = Image.new("L", (width, height), number * 37 % 256)
    out = BytesIO()
    Image.merge("RGB", (image, colour, image.rotate(180))).save(out, "jpeg")
    return out.getvalue()


def shots(folder: Path) -> Iterator[Shot]:
    """Photos of some years: a day with many, days with one or two; films that browsers play or not; a Live Photo."""
    may = datetime(2024, 5, 3, 14, 0)
    yield Shot("DSCN0010.jpg", "JPEG", may, (SAMPLES / "DSCN0010.jpg").read_bytes(), rating=5)
    yield Shot("Canon_40D.jpg", "JPEG", may - timedelta(hours=1), (SAMPLES / "Canon_40D.jpg").read_bytes())
    yield Shot("an iPhone's.heic", "HEIC", may - timedelta(days=1), (SAMPLES / "samplefilehub.heif").read_bytes())
    yield Shot("large.jpg", "JPEG", may - timedelta(days=2), picture(3, 3000, 2000))
    yield Shot("hidden.jpg", "JPEG", may - timedelta(days=2, hours=2), picture(4, 640, 480), hidden=True)
    august = datetime(2023, 8, 10, 18)
    for number in range(36):
        size = [(800, 600), (600, 800), (1200, 500), (640, 640)][number % 4]
        yield Shot(f"IMG_{number:04}.jpg", "JPEG", august - timedelta(minutes=number), picture(number, *size))
    eve = datetime(2022, 12, 24, 20)
    yield Shot("party.webm", "WEBM", eve, film(folder / "party.webm", "libvpx", 3), 3.0)
    yield Shot("old.avi", "AVI", eve - timedelta(minutes=1), (SAMPLES / "Pentax.avi").read_bytes(), 1.0)
    yield Shot("odd.mov", "MOV", eve - timedelta(minutes=2), (SAMPLES / "QuickTime.mov").read_bytes(), 1.0)
    yield Shot("live.jpg", "JPEG", eve - timedelta(minutes=3), picture(77, 1200, 900))
    yield Shot("live.webm", "WEBM", eve - timedelta(minutes=4), film(folder / "live.webm", "libvpx", 2), 2.0)
    yield Shot(HOSTILE.replace("/", "_"), "JPEG", datetime(2019, 2, 28, 8), picture(99, 500, 400))


@pytest.fixture
def album(dashboard: Settings, database: Database, tmp_path: Path) -> list[Shot]:
    """The library, the newest first."""
    found = list(shots(tmp_path))
    with database.session() as session:
        for shot in found:
            path = dashboard.storage / shot.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(shot.content)
            width, height = _size(shot)
            session.execute(
                _ROW,
                {
                    "hash": hashlib.sha256(shot.content).hexdigest(), "size": len(shot.content), "name": shot.name,
                    "path": shot.path, "kind": shot.kind, "taken": shot.taken, "duration": shot.duration,
                    "camera": "Canon EOS 40D" if shot.name.startswith("Canon") else "Pixel 7", "rating": shot.rating,
                    "hidden": shot.hidden, "width": width, "height": height,
                },
            )  # fmt: skip
        names = {shot.name: hashlib.sha256(shot.content).hexdigest() for shot in found}
        session.execute(
            text("INSERT INTO asset_relations (kind, from_hash, to_hash) VALUES ('live_photo', :film, :photo)"),
            {"film": names["live.webm"], "photo": names["live.jpg"]},
        )
        session.execute(
            text("""
                WITH made AS (INSERT INTO albums (id, name) VALUES (uuidv7(), 'Summer "23"') RETURNING id)
                INSERT INTO album_items (album_id, asset_id, position)
                SELECT made.id, a.id, 1024 * row_number() OVER () FROM made, media_assets a
                WHERE a.original_name LIKE 'IMG_000%'
            """)
        )
        session.execute(
            text("INSERT INTO asset_tags SELECT id, 'sea' FROM media_assets WHERE original_name = 'large.jpg'")
        )
    return found


@pytest.fixture
def gallery_address(dashboard: Settings, album: list[Shot]) -> Iterator[str]:
    """Where it is served."""
    from benchmarks.dashboard import serving

    with serving(dashboard, PATIENT) as (url, _process):
        yield url


def _size(shot: Shot) -> tuple[int | None, int | None]:
    if shot.kind != "JPEG":
        return None, None
    with Image.open(BytesIO(shot.content)) as image:
        return image.size
