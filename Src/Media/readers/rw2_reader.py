"""The fast reader for Panasonic's raw photos: TIFF with tags of its own, and a JPEG whose EXIF fills the gaps."""

from __future__ import annotations

import struct

from Src.Media.readers.embedded_jpeg import read_embedded_jpeg
from Src.Media.readers.exif_format import SHORT
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.tiff_reader import Photo
from Src.Media.tags import Tags

_MAGIC = b"II\x55\0"
_SIGNATURE = bytes.fromhex("88e774d8f8251d4d947a6e77822b5d6a")
_JPEG, _CAMERA_DIRECTORY = 0x2E, 0x120
# The sensor's borders: top, left, bottom, right.
_BORDERS = (4, 5, 6, 7)
# Tags that change nothing in our fields (Panasonic's own are the first 256; ExifTool knows few of them).
_PLAIN = (frozenset(range(1, 0x100)) - {_JPEG, *_BORDERS}) | {
    0x111, 0x116, 0x117, 0x118, 0x119, 0x11A, 0x11B, 0x11C, 0x11D, 0x11E, 0x11F, 0x121, 0x122,
}  # fmt: skip
_FIRST = "IFD0"


def read_rw2(fd: int) -> FastAnswer:
    """The tags of an RW2. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    photo = _Panasonic(fd)
    photo.read()
    return FastAnswer(photo.tags(), photo.other_dates)


class _Panasonic(Photo):
    def __init__(self, fd: int) -> None:
        super().__init__("RW2", fd)
        self._fd = fd
        self._borders: dict[int, int] = {}
        self._jpeg = FastAnswer({})

    def read(self) -> None:
        header = self._window.at(0, 24)
        (start,) = struct.unpack_from("<I", header, 4)
        if not header.startswith(_MAGIC) or header[8:] != _SIGNATURE or start < len(header):
            raise Unusual("TIFF header of another kind")
        self._order = "<"
        directory = self._directory(start)
        if directory.following:
            raise Unusual("TIFF directory of odd form")
        for entry in directory.entries:
            if entry.tag in _BORDERS:
                self._borders[entry.tag] = directory.number(entry, SHORT)
            elif entry.tag == _JPEG:
                if self._jpeg.tags:
                    raise Unusual("preview of odd form")
                self._jpeg = read_embedded_jpeg(self._fd, entry.place, entry.size)
            elif entry.tag not in _PLAIN and entry.tag != _CAMERA_DIRECTORY:
                self._take(directory, entry, _FIRST)

    def tags(self) -> Tags:
        tags = super().tags()
        own, other = tags, self._jpeg.tags
        # ExifTool takes the JPEG for a file within the file: what it says counts where the photo itself says nothing.
        if any(name.startswith("Composite:") for name in other):
            raise Unusual("position in the preview")
        if other.get("EXIF:Orientation", "") != own.get("EXIF:Orientation", ""):
            raise Unusual("preview that is turned otherwise")
        self.other_dates = self.other_dates or self._jpeg.other_dates
        return {**other, **own}

    def _size(self) -> Tags:
        if len(self._borders) != len(_BORDERS):
            raise Unusual("no size in the directories")
        top, left, bottom, right = (self._borders[tag] for tag in _BORDERS)
        width, height = right - left, bottom - top
        if width <= 0 or height <= 0:
            raise Unusual("no size in the directories")
        return {
            "ImageWidth": str(width),
            "ImageHeight": str(height),
            "Composite:ImageSize": f"{width} {height}",
        }
