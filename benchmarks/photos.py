"""Makes many different photos of one size, quickly: a camera's EXIF before noise that was really encoded."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

from PIL import Image

SAMPLES = Path(__file__).resolve().parent.parent / "Src" / "Librarian" / "tests" / "samples"
_DATE = b"2008:05:30"  # as the sample camera wrote it


def make_photos(folder: Path, count: int, size: int) -> None:
    """Writes `count` JPEGs of about `size` bytes, no two alike, taken on some hundred days."""
    folder.mkdir(parents=True, exist_ok=True)
    photo = _photo_of(size)
    for number in range(count):
        day = f"20{10 + number % 14:02d}:{1 + number % 12:02d}:{1 + number * 7 % 28:02d}".encode()
        (folder / f"IMG_{number:06d}.jpg").write_bytes(_made_unique(photo, number).replace(_DATE, day))


def _photo_of(size: int) -> bytes:
    with Image.open(SAMPLES / "Canon_40D.jpg") as sample:
        exif = sample.info["exif"]
    noise = random.Random(1)

    def encoded(pixels: int) -> bytes:
        stream = io.BytesIO()
        image = Image.frombytes("RGB", (pixels, pixels), noise.randbytes(3 * pixels * pixels))
        image.save(stream, "JPEG", quality=90, exif=exif)
        return stream.getvalue()

    low, high = 16, 8192
    while high - low > 4:
        middle = (low + high) // 2
        low, high = (middle, high) if len(encoded(middle)) < size else (low, middle)
    return encoded(low)


def _made_unique(photo: bytes, number: int) -> bytes:
    """Changes a few bytes of the picture data, never a marker."""
    changed = bytearray(photo)
    at, rest = len(changed) - len(changed) // 4, number + 1
    while rest:
        if changed[at] != 0xFF and changed[at - 1] != 0xFF:
            changed[at] = rest % 250
            rest //= 250
        at += 1
    return bytes(changed)


def warm(folder: Path) -> None:
    """Brings a folder's files into the page cache, and what is unwritten to the disk."""
    os.sync()
    for path in folder.rglob("*.jpg"):
        path.read_bytes()
