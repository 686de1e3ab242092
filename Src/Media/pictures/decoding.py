"""A small picture of any original: photos by Pillow, raw photos by the preview they carry, videos by a frame.

Runs only in the process of `worker.py`, because what it reads may be made to do harm.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO

import av
import av.logging
import pillow_heif
from PIL import Image, ImageFile, ImageOps

from Src.Media.exiftool_program import exiftool_here
from Src.Media.kinds import KINDS

MOST_PIXELS = 220_000_000  # to be decoded; a JPEG is decoded at a fraction of its size
MOST_PROFILE = 8 * 1024  # bytes of a colour profile that is worth keeping in a thumbnail
RAW_TAGS = ("JpgFromRaw", "PreviewImage", "OtherImage", "ThumbnailImage")
FRAME_AT = 1.0  # seconds into a video, or a tenth of a short one: the very first frame is often black

pillow_heif.register_heif_opener()
av.logging.set_level(av.logging.PANIC)
ImageFile.LOAD_TRUNCATED_IMAGES = True  # half a photo tells more than none
Image.MAX_IMAGE_PIXELS = None  # counted here, after a JPEG has said what it can leave out


class Unshowable(Exception):
    """There is no picture to be had of this file. The message is one line.

    `certain`: whatever process tries, also one with all its memory.
    """

    def __init__(self, reason: str, *, certain: bool = False) -> None:
        super().__init__(reason)
        self.certain = certain


class ExifToolMissing(Exception):
    """Raw photos need an ExifTool that may be used."""


def picture_of(file: BinaryIO, kind: str, side: int, *, trust_any_exiftool: bool = False) -> Image.Image:
    """The picture of an open file of a kind, upright, RGB, at most `side` pixels wide and high.

    Raises Unshowable, ExifToolMissing, MemoryError and whatever the libraries raise on broken files.
    """
    row = KINDS.get(kind)
    if row is None or not row.is_shown:
        raise Unshowable(f"no picture is made of {kind} files", certain=True)
    # Nothing is guessed: each kind is opened by its own reader only, so that no file chooses an obscure one.
    if row.is_raw:
        return _from_raw(file, side, trust_any_exiftool)
    if row.av is not None:
        return _fitted(_frame(file, row.av), side)
    return _from_photo(file, row.pillow, side)


def encoded(image: Image.Image, quality: int) -> bytes:
    """The picture as a JPEG, with its colour profile where that is small, and nothing else of what it carried."""
    profile = image.info.get("icc_profile")
    keep = {"icc_profile": profile} if isinstance(profile, bytes) and len(profile) <= MOST_PROFILE else {}
    out = BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True, progressive=True, **keep)
    return out.getvalue()


def _from_photo(file: BinaryIO, formats: tuple[str, ...], side: int) -> Image.Image:
    with Image.open(file, formats=formats) as image:
        image.draft("RGB", (side, side))
        _check(image.width, image.height)
        return _fitted(image, side)


def _fitted(image: Image.Image, side: int) -> Image.Image:
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA", "P") else None
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
    image.thumbnail((side, side), reducing_gap=2.0)
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    image.info = {"icc_profile": profile}
    return image


def _frame(file: BinaryIO, form: str) -> Image.Image:
    """One frame, turned as the film says."""
    with av.open(file, mode="r", format=form, metadata_errors="ignore") as container:
        if not container.streams.video:
            raise Unshowable("it has no pictures")
        stream = container.streams.video[0]
        _check(stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.thread_count = 1
        if container.duration is not None and container.duration > 0:
            at = int(min(FRAME_AT * av.time_base, container.duration / 10))
            for start in (at, 0):
                try:
                    container.seek(start)
                    return _turned(next(container.decode(stream)))
                except (StopIteration, av.FFmpegError):
                    continue
            raise Unshowable("no frame of it can be read")
        for frame in container.decode(stream):
            return _turned(frame)
    raise Unshowable("no frame of it can be read")


def _turned(frame: av.VideoFrame) -> Image.Image:
    _check(frame.width, frame.height)
    image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _from_raw(file: BinaryIO, side: int, trust_any_exiftool: bool) -> Image.Image:
    """The smallest preview that is large enough, or the largest."""
    said = _ask_exiftool(file, trust_any_exiftool)
    previews = list(_previews(said))
    if not previews:
        raise Unshowable("it carries no preview")
    enough = [preview for preview in previews if max(preview.size) >= side]
    best = min(enough, key=lambda preview: max(preview.size)) if enough else max(previews, key=lambda p: max(p.size))
    with best:
        best.draft("RGB", (side, side))
        _check(best.width, best.height)
        orientation = best.getexif()
        turn = said.get("Orientation")
        if 0x0112 not in orientation and isinstance(turn, int):  # most previews leave it to the raw photo to say
            orientation[0x0112] = turn
        return _fitted(best, side)


def _previews(said: dict[str, object]) -> Iterator[Image.Image]:
    for tag in RAW_TAGS:
        value = said.get(tag)
        if isinstance(value, str) and value.startswith("base64:"):
            with suppress(ValueError, OSError):  # no base64, no picture
                data = base64.b64decode(value.removeprefix("base64:"))
                yield Image.open(BytesIO(data), formats=("JPEG", "MPO", "TIFF"))


def _ask_exiftool(file: BinaryIO, trust_any_version: bool) -> dict[str, object]:
    here = exiftool_here(trust_any_version=trust_any_version)
    if here.problem is not None:
        raise ExifToolMissing(here.problem)
    # The file is its standard input: no name reaches it, and it can open nothing but what is open here.
    command = ["exiftool", "-config", "", "-fast", "-j", "-b", "-IFD0:Orientation#", *(f"-{tag}" for tag in RAW_TAGS)]
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    try:
        done = subprocess.run([*command, "-"], stdin=file, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ExifToolMissing("ExifTool is missing: install it to see raw photos") from error
    try:
        (said,) = json.loads(done.stdout)
    except ValueError as error:
        raise Unshowable("ExifTool cannot read it") from error
    return dict(said)


def _check(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise Unshowable(f"it is too large to be shown: {width} × {height} pixels", certain=True)
