"""The fast reader for AVI (Microsoft's RIFF, OpenDML): its size, date, XMP and length, where their reading equals
ExifTool's.

ExifTool looks at each chunk of the file's top level, also at those behind the pictures, and passes over what it does
not know. Here every chunk must be one that is read, or is known to say nothing of what we ask for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from Src.Media import riff
from Src.Media.readers.exif_and_xmp import read_exif_and_xmp
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.window import Window
from Src.Media.tags import Tags

_MOST_CHUNKS = 256  # of the top level
_MOST_OF_A_LIST = 2**18  # bytes
_INDEX = re.compile(rb"idx1|ix\d\d|indx")
# JUNK in which a maker hides what ExifTool reads (Olympus, Casio, Ricoh, Pentax, dash cameras).
_MAKERS_JUNK = re.compile(rb"OLYM|QVMI|ucmt|IIII|PENT|0G")
_MAKERS_STREAM_DATA = re.compile(rb"AVIF|CASI|Zora")
# The one tag of Pentax's notes that counts here, Model, in either order of its bytes (0x023F).
_PENTAX_MODEL = re.compile(rb"\x02\x3f|\x3f\x02")

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
# As C's ctime writes it, and as cameras do.
_OF_CTIME = re.compile(r"[A-Za-z]{3} +([A-Za-z]{3}) +(\d{1,2}) +(\d\d:\d\d:\d\d) +(\d{4})[\n\0 ]*", re.ASCII)
_WITH_SLASHES = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d)(?::\d\d)?\0*", re.ASCII)
_WITH_HYPHENS = re.compile(r"(\d{4})-(\d\d)-(\d\d) +(\d\d:\d\d:\d\d)\0*", re.ASCII)
_PLAIN = re.compile(r"[ -~]{1,100}")


def read_avi(fd: int) -> FastAnswer:
    """The tags of an AVI that is whole. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    film = riff.examine(fd)
    if film.damage is not None:
        raise Unusual("cut short")
    found = _Found(Window(fd))
    found.read()
    if film.duration is not None:
        found.tags["Structure:Duration"] = repr(film.duration)
    return FastAnswer(found.tags, read_exif_and_xmp(b"", found.xmp, found.tags))


class _Found:
    """What the chunks of a file say."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._lists: set[bytes] = set()
        self._kind_of_stream = b""
        self.tags: Tags = {}
        self.xmp = b""

    def read(self) -> None:
        window = self._window
        if window.at(0, 4) != b"RIFF" or window.at(8, 4) != b"AVI ":
            raise Unusual("no start of an AVI")
        position, is_first = 12, True
        for _ in range(_MOST_CHUNKS):
            if position == window.size:
                return
            name, size = struct.unpack("<4sI", window.at(position, 8))
            start, position = position + 8, position + 8 + size + size % 2
            if name == b"RIFF":  # more pictures, of a file that is larger than a gigabyte
                if window.at(start, 4) != b"AVIX":
                    raise Unusual("AVI chunk of odd kind")
                position, is_first = start + 4, False
                continue
            if position > window.size:
                raise Unusual("cut short")
            self._look_at(name, start, size, is_first=is_first)
        raise Unusual("very many pieces")

    def _look_at(self, name: bytes, start: int, size: int, *, is_first: bool) -> None:
        """A chunk of the top level."""
        if name == b"LIST":
            form = self._window.at(start, 4)
            if form != b"movi" and size > 4:
                self._look_at_list(form, start, size, is_first=is_first)
        elif name == b"JUNK" and size:
            if _MAKERS_JUNK.match(self._window.at(start, min(size, 8))):
                raise Unusual("AVI with a maker's notes")
        elif name == b"_PMX" and is_first and size and not self.xmp and "ImageWidth" in self.tags:
            # (of a file whose own size comes later, or never, one in XMP may count)
            self.xmp = self._piece(start, size)
        elif not (_INDEX.fullmatch(name) and size):
            raise Unusual("AVI chunk of odd kind")

    def _look_at_list(self, form: bytes, start: int, size: int, *, is_first: bool) -> None:
        if form in (b"JUNK", b"Tdat"):  # (Adobe's: ExifTool has no tag of it)
            return
        if not is_first or form in self._lists or form not in (b"hdrl", b"INFO", b"hydt", b"pntx"):
            raise Unusual("AVI list of odd kind")
        self._lists.add(form)
        data = self._piece(start + 4, size - 4)
        if form == b"hdrl":
            self._read_header(data)
        elif form == b"INFO":
            self._read_texts(data)
        elif _PENTAX_MODEL.search(data):
            raise Unusual("AVI with a maker's notes")

    def _piece(self, start: int, size: int) -> bytes:
        if size > _MOST_OF_A_LIST:
            raise Unusual("very large metadata")
        return self._window.at(start, size)

    def _read_header(self, data: bytes) -> None:
        for name, content in _chunks(data):
            if name == b"avih":
                width, height = struct.unpack_from("<II", content, 32)
                self._set_size(width, height)
            elif name == b"LIST" and content[:4] == b"strl":
                self._read_stream(content[4:])
            elif name == b"IDIT":
                if "RIFF:DateTimeOriginal" in self.tags:
                    raise Unusual("date twice")
                self.tags["RIFF:DateTimeOriginal"] = _date_of(content.decode("ascii"))

    def _read_stream(self, data: bytes) -> None:
        for name, content in _chunks(data):
            if name == b"strh":
                self._kind_of_stream = content[:4].partition(b"\0")[0]
            elif name == b"strf" and self._kind_of_stream == b"vids":
                width, height = struct.unpack_from("<Ii", content, 4)
                self._set_size(width, abs(height))
            elif name == b"strd" and _MAKERS_STREAM_DATA.match(content):
                raise Unusual("AVI with a maker's notes")

    def _read_texts(self, data: bytes) -> None:
        for name, content in _chunks(data):
            if name in (b"IDIT", b"DTIM"):
                raise Unusual("date twice")
            if name == b"ICRD":
                text = content.rstrip(b"\0").decode("ascii")
                if "RIFF:DateCreated" in self.tags or not _PLAIN.fullmatch(text):
                    raise Unusual("AVI date of odd form")
                self.tags["RIFF:DateCreated"] = text.replace("-", ":")

    def _set_size(self, width: int, height: int) -> None:
        """What is found last counts."""
        self.tags["ImageWidth"], self.tags["ImageHeight"] = str(width), str(height)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk, as ExifTool walks through a list: eight bytes at its end say nothing."""
    position = 0
    while position + 8 < len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        position += 8
        if position + size > len(data):
            raise Unusual("AVI chunk of odd kind")
        yield name, data[position : position + size]
        position += size + size % 2


def _date_of(text: str) -> str:
    """As ExifTool's ConvertRIFFDate gives it, which drops the seconds of a date with slashes."""
    if (found := _OF_CTIME.fullmatch(text)) and (month := _MONTHS.get(found[1].lower())):
        return f"{found[4]}:{month:02}:{int(found[2]):02} {found[3]}"
    if found := _WITH_SLASHES.fullmatch(text):
        return f"{found[1]}:{found[2]}:{found[3]} {found[4]}:{found[5]}:00"
    if found := _WITH_HYPHENS.fullmatch(text):
        return f"{found[1]}:{found[2]}:{found[3]} {found[4]}"
    raise Unusual("AVI date of odd form")
