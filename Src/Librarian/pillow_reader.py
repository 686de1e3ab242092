"""Pillow's best effort at an image, for a machine without ExifTool."""

from __future__ import annotations

import os
import warnings

from PIL import Image

from Src.Librarian.exiftool_reader import Tags
from Src.Librarian.fingerprint import open_regular

_DATES = {
    0x9003: "DateTimeOriginal",
    0x9291: "SubSecTimeOriginal",
    0x9011: "OffsetTimeOriginal",
    0x9004: "CreateDate",
    0x9292: "SubSecTimeDigitized",
    0x9012: "OffsetTimeDigitized",
}


def read_image(path: str) -> Tags:
    """What Pillow finds in an image's headers, under ExifTool's names; empty where it can not read it.

    Pixels are never decoded: a small file may claim to be gigapixels.
    """
    try:
        fd = open_regular(path)
        with os.fdopen(fd, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a size that looks like a bomb is still the size
            with Image.open(file) as image:
                tags: Tags = {"ImageWidth": str(image.width), "ImageHeight": str(image.height)}
                exif = image.getexif()
                _pillow_tags(exif, {0x10F: "Make", 0x110: "Model", 0x4746: "Rating"}, tags)
                _pillow_tags(exif.get_ifd(0x8769), _DATES, tags)
                _pillow_place(exif.get_ifd(0x8825), tags)
                return tags
    except Exception:  # Pillow's plugins raise nearly anything at broken files; all of it means "can't"
        return {}


def _pillow_tags(found: Image.Exif | dict[int, object], names: dict[int, str], tags: Tags) -> None:
    for tag, name in names.items():
        value = found.get(tag)
        if isinstance(value, str | int):
            tags[f"EXIF:{name}"] = str(value)


def _pillow_place(gps: dict[int, object], tags: Tags) -> None:
    for ref, axis in ((1, "Latitude"), (3, "Longitude")):
        side, parts = gps.get(ref), gps.get(ref + 1)
        if not isinstance(side, str) or not isinstance(parts, tuple) or len(parts) != 3:
            continue
        try:
            degree, minute, second = (float(part) for part in parts)
        except (ValueError, ZeroDivisionError):
            continue
        value = degree + (minute + second / 60) / 60
        tags[f"Composite:GPS{axis}"] = f"{-value if side[:1].upper() in ('S', 'W') else value:.15g}"
