"""Pillow's best effort at an image, for a machine without ExifTool."""

from __future__ import annotations

import warnings

from PIL import Image

from Src.Media.readers.exif_format import CAMERA, DATES, EXIF_POINTER, GPS_POINTER, RATING, decimal_degrees
from Src.Media.tags import Tags
from Src.Shared.disk.files import OpenFile, reading


def read_image(file: str | OpenFile) -> Tags:
    """What Pillow finds in an image's headers, under ExifTool's names; empty where it can not read it.

    Pixels are never decoded: a small file may claim to be gigapixels.
    """
    try:
        with reading(file) as fd, open(fd, "rb", closefd=False) as content, warnings.catch_warnings():
            content.seek(0)
            warnings.simplefilter("ignore")  # a size that looks like a bomb is still the size
            with Image.open(content) as image:
                tags: Tags = {"ImageWidth": str(image.width), "ImageHeight": str(image.height)}
                exif = image.getexif()
                _pillow_tags(exif, {**CAMERA, RATING: "Rating"}, tags)
                _pillow_tags(exif.get_ifd(EXIF_POINTER), DATES, tags)
                _pillow_place(exif.get_ifd(GPS_POINTER), tags)
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
        value = decimal_degrees(degree, minute, second)
        tags[f"Composite:GPS{axis}"] = f"{-value if side[:1].upper() in ('S', 'W') else value:.15g}"
