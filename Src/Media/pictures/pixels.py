"""The hash of a photo's decoded pixels: two files with the same one show the same picture, whatever else they hold.

Compared is only what is known to be decoded whole: kinds, modes and ways in which samples are stored stand in lists,
and all others are refused. So is a file with a second picture or a film behind its first one.

Runs only in the process of `worker.py`, because what it reads may be made to do harm. Needs Pillow alone; HEIC only
where its reader is installed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from PIL import Image, ImageFile

from Src.Media.kinds import KINDS

MOST_PIXELS = 120_000_000  # of all pictures in one file
_MOST_PICTURES = 16  # in one file: a GIF that moves
_MOST_BYTES = 2**28  # of a JPEG or HEIC file: it is searched in memory
_STRIP = 256  # rows at a time: all of them at once would take the memory twice

_READERS = {
    "JPEG": "JPEG",  # not MPO: the pictures behind the first one are of other sizes, and some are no pictures
    "PNG": "PNG",
    "TIFF": "TIFF",
    "GIF": "GIF",
    "WEBP": "WEBP",
    "HEIC": "HEIF",
    "HEIF": "HEIF",
}
_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I;16B", "I;16L"}
# How samples are stored (Pillow's raw modes) where Pillow drops no bit: of 16 bits a color it makes 8.
_STORED = _MODES | {"1;I", "1;R", "1;IR", "L;2", "L;4", "L;I", "P;1", "P;2", "P;4", "CMYK;I", "I;16N"}
_STORED |= set("RGBACMYK")  # a plane of each
_OTHER_PICTURES = (330, 37724)  # TIFF: SubIFDs; Photoshop's layers
_HEIF_BOXES = {b"ftyp", b"meta", b"mdat", b"free", b"skip"}  # ISO/IEC 23008-12; films have others
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)  # ITU T.81, B.1.1: not stuffed, not RSTn
_SOI, _TEM, _EOI, _SOS = 0xD8, 0x01, 0xD9, 0xDA
_MPF = b"MPF\0"  # CIPA DC-007
_MOTION = re.compile(rb"MotionPhoto\s*(?:=\s*[\"']|>)\s*1|MicroVideo\s*(?:=\s*[\"']|>)\s*1")

with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()


class NotComparable(Exception):
    """There are no pixels to be had of this file, or more than these. The message is one line."""


def pixel_hash(file: BinaryIO, kind: str) -> str:
    """SHA-256, as hex, over size and pixels of each picture in an open file of a kind: as they are stored, not turned
    (but a TIFF, which Pillow turns by itself).

    Raises NotComparable, MemoryError and whatever the libraries raise on broken files.
    """
    reader = _READERS.get(kind)
    if reader is None or reader not in KINDS[kind].pillow:
        raise NotComparable(f"the pixels of {kind} files are not compared")
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # half a photo is not the same one
    Image.MAX_IMAGE_PIXELS = None  # counted here
    digest = hashlib.sha256()
    if reader in ("JPEG", "HEIF"):
        _check_whole(file, reader)
    with Image.open(file, formats=[reader]) as image:
        pictures = getattr(image, "n_frames", 1)
        if pictures > _MOST_PICTURES or pictures * image.width * image.height > MOST_PIXELS:
            raise NotComparable("it is too large to be compared")
        left = MOST_PIXELS
        for number in range(pictures):
            image.seek(number)
            left -= image.width * image.height
            if left < 0:
                raise NotComparable("it is too large to be compared")
            _check_stored(image)
            image.load()
            if image.mode not in _MODES:
                raise NotComparable(f"its pixels are of a kind that is not compared ({image.mode})")
            for piece in _pieces(image.convert("RGBA") if image.mode == "P" else image):
                digest.update(piece)
    return digest.hexdigest()


def _pieces(image: Image.Image) -> Iterator[bytes]:
    see_through = image.info.get("transparency") if image.mode in ("1", "L", "RGB", "I;16") else None
    yield f"{image.mode} {image.width} {image.height} {see_through!r}\n".encode()
    for top in range(0, image.height, _STRIP):
        yield image.crop((0, top, image.width, min(top + _STRIP, image.height))).tobytes()


def _check_stored(image: Image.Image) -> None:
    """Before it is loaded. Raises NotComparable where Pillow drops some of what is stored."""
    if image.info.get("bit_depth", 8) != 8:  # of HEIF
        raise NotComparable("it has more than 8 bits a color, and they are not compared")
    if any(tag in getattr(image, "tag_v2", ()) for tag in _OTHER_PICTURES):
        raise NotComparable("it has other pictures in it, and they are not compared")
    for tile in getattr(image, "tile", ()):
        arguments = tile[3]
        stored = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
        if isinstance(stored, str) and stored not in _STORED:
            raise NotComparable(f"its samples are stored in a way that is not compared ({stored})")


def _check_whole(file: BinaryIO, reader: str) -> None:
    """Raises NotComparable where the file has, or says that it has, more than its picture."""
    file.seek(0)
    content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise NotComparable("it is too large to be compared")
    if _has_more_than_a_jpeg(content) if reader == "JPEG" else _has_more_than_a_heif(content):
        raise NotComparable("it has more than its picture in it, as a film, and that is not compared")


def _has_more_than_a_jpeg(content: bytes) -> bool:
    """Anything but zeros behind its end; or it says that it is a motion photo, or one of several pictures.

    Of what is no whole JPEG, Pillow says so.
    """
    at = 2
    while (marker := _JPEG_MARKER.search(content, at)) is not None:
        code, at = marker[1][0], marker.end()
        if code == _EOI:
            return bool(content[at:].strip(b"\0"))
        if code in (_SOI, _TEM):
            continue
        length = int.from_bytes(content[at : at + 2])
        segment = content[at + 2 : at + length]
        if segment.startswith(_MPF) or (code != _SOS and 0xE0 <= code <= 0xEF and _MOTION.search(segment)):
            return True
        at += max(length, 2)
    return False


def _has_more_than_a_heif(content: bytes) -> bool:
    at = 0
    while at + 8 <= len(content):
        length, name = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(content[at + 8 : at + 16])
        elif length == 0:
            length = len(content) - at
        if name not in _HEIF_BOXES or length < 8:
            return True
        at += length
    return at != len(content)
