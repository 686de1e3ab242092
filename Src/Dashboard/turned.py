"""Pictures as a person has turned them: by a note to the browser, so that no picture is decoded or made anew for it."""

from __future__ import annotations

_ORIENTATION = {90: 6, 180: 3, 270: 8}  # EXIF's number for each turn clockwise (Exif 2.32, 4.6.5.1.A)
_BEGINNING = b"\xff\xd8"  # of every JPEG


def turned(jpeg: bytes, degrees: int) -> bytes:
    """A JPEG that is shown turned clockwise; one of our own, which says nothing of its orientation."""
    number = _ORIENTATION.get(degrees)
    if number is None or not jpeg.startswith(_BEGINNING):
        return jpeg
    # One directory with one entry: tag 0x0112 (Orientation), type 3 (SHORT), one value; no directory after it.
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01" + bytes((0, number, 0, 0, 0, 0, 0, 0))
    exif = b"Exif\x00\x00" + tiff
    return _BEGINNING + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[len(_BEGINNING) :]
