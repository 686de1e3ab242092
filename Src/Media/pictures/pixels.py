"""The hash of a photo's decoded pixels: two files with the same one show the same picture, whatever else they hold.

Runs only in the process of `worker.py`, because what it reads may be made to do harm. Needs Pillow alone; HEIC only
where its reader is installed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from PIL import Image, ImageFile

from Src.Media.kinds import KINDS

MOST_PIXELS = 120_000_000  # of all pictures in one file
_MOST_PICTURES = 16  # in one file: some phones put a second one behind the first
_STRIP = 256  # rows at a time: all of them at once would take the memory twice

with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()


class NotComparable(Exception):
    """There are no pixels to be had of this file. The message is one line."""


def pixel_hash(file: BinaryIO, kind: str) -> str:
    """SHA-256, as hex, over size and pixels of each picture in an open file of a kind: as they are stored, not turned
    (but a TIFF, which Pillow turns by itself).

    Raises NotComparable, MemoryError and whatever the libraries raise on broken files.
    """
    row = KINDS.get(kind)
    if row is None or row.is_raw or row.is_video or not row.pillow:
        raise NotComparable(f"the pixels of {kind} files are not compared")
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # half a photo is not the same one
    Image.MAX_IMAGE_PIXELS = None  # counted here
    digest = hashlib.sha256()
    with Image.open(file, formats=row.pillow) as image:
        pictures = getattr(image, "n_frames", 1)
        if pictures > _MOST_PICTURES or pictures * image.width * image.height > MOST_PIXELS:
            raise NotComparable("it is too large to be compared")
        left = MOST_PIXELS
        for number in range(pictures):
            image.seek(number)
            left -= image.width * image.height
            if left < 0:
                raise NotComparable("it is too large to be compared")
            image.load()
            for piece in _pieces(image.convert("RGBA") if image.mode == "P" else image):
                digest.update(piece)
    return digest.hexdigest()


def _pieces(image: Image.Image) -> Iterator[bytes]:
    yield f"{image.mode} {image.width} {image.height}\n".encode()
    for top in range(0, image.height, _STRIP):
        yield image.crop((0, top, image.width, min(top + _STRIP, image.height))).tobytes()
