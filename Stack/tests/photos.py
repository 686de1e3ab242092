"""Photos for the tests: real samples made unique, so that each is an original of its own."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from Stack.tests.real_factory import SAMPLES

# Small camera JPEGs with an EXIF date each; the others exercise ExifTool.
SMALL = ("Canon_40D.jpg", "Kodak_CX7530.jpg", "WWL_ION230.jpg", "PaintTool_sample.jpg", "Nikon_D70.jpg")


def unique_jpeg(seed: int, sample: str = "Canon_40D.jpg", size: int = 0) -> bytes:
    """A JPEG like the sample, metadata and all, with scan data of its own; padded to `size` after its end."""
    data = bytearray((SAMPLES / sample).read_bytes())
    start = data.rindex(b"\xff\xda") + 16
    chance = random.Random(seed)
    for at in chance.sample(range(start, len(data) - 2), 12):
        if data[at] != 0xFF and data[at - 1] != 0xFF:
            data[at] = chance.randrange(1, 0xFF)
    data[-2:-2] = (seed % 2**64).to_bytes(8, "big").replace(b"\xff", b"\xfe")  # within the scan: before the end marker
    if size > len(data):
        data += chance.randbytes(size - len(data))
    return bytes(data)


def unique_jpegs(chance: random.Random) -> Iterator[bytes]:
    """Endless."""
    for number in count(chance.randrange(1 << 40)):
        yield unique_jpeg(number, SMALL[number % len(SMALL)])


def large_jpeg(path: Path, size: int) -> None:
    """A JPEG of any size that takes no room on disk: the rest is a hole."""
    path.write_bytes(unique_jpeg(1))
    os.truncate(path, size)


def endless_jpeg(path: Path) -> None:
    """Reading it takes many minutes: as long as it is there, what reads it is in the middle of its work."""
    large_jpeg(path, 2_000_000_000_000)


def photos_in(folder: Path) -> list[Path]:
    """Every `*.jpg` at any depth. (Path.rglob raises where a folder goes while it looks.)"""
    return [Path(top) / name for top, _, names in os.walk(folder) for name in names if name.endswith(".jpg")]


def sha256(path: str | bytes | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
