"""The fast reader for FujiFilm's raw photos: the EXIF of the JPEG in them, and the size in their own directories."""

from __future__ import annotations

import os
import struct

from Src.Media.readers.embedded_jpeg import read_embedded_jpeg
from Src.Media.readers.exif_format import IFD, LONG
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.file_trailer import check_no_trailer
from Src.Media.readers.tiff_directory import Directory
from Src.Media.readers.window import Window

_SIGNATURE = b"FUJIFILM"
_JPEG = 84  # where the header says where the JPEG is
# Where it says where directories are: of FujiFilm's own form, and of TIFF's.
_DIRECTORIES, _TIFFS = (0x5C, 0x78), (0x64, 0x80)
_MOST_ENTRIES = 256
_CROPPED_SIZE = 0x111
_SUB_DIRECTORY = 0xF000
_TAGS = frozenset(range(_SUB_DIRECTORY, 0xF100))


def read_raf(fd: int) -> FastAnswer:
    """The tags of a RAF. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    window = Window(fd)
    header = window.at(0, 0x94)
    start, size = struct.unpack_from(">II", header, _JPEG)
    if not header.startswith(_SIGNATURE) or start & 0x8000 or start < len(header) or start + size > window.size:
        raise Unusual("RAF header of odd form")
    check_no_trailer(fd, window.size)
    answer = read_embedded_jpeg(fd, start, size)
    cropped: list[str] = []
    for place in _DIRECTORIES:
        (directory,) = struct.unpack_from(">I", header, place)
        if directory:
            cropped += _cropped_sizes(window, directory)
    for place in _TIFFS:
        (directory,) = struct.unpack_from(">I", header, place)
        if directory:
            _check_tiff(fd, directory)
    # The first directory's counts.
    if not cropped:
        cropped = [f"{answer.tags['ImageWidth']} {answer.tags['ImageHeight']}"]
    return FastAnswer({**answer.tags, "Composite:ImageSize": cropped[0]}, answer.other_dates)


def _cropped_sizes(window: Window, start: int) -> list[str]:
    """Width and height, each time that a directory states them. Raises Unusual where it is not whole."""
    (count,) = struct.unpack(">I", window.at(start, 4))
    if count >= _MOST_ENTRIES:
        raise Unusual("RAF directory of odd form")
    found = []
    at = start + 4
    for _ in range(count):
        tag, size = struct.unpack(">HH", window.at(at, 4))
        if not size or at + 4 + size > window.size:
            raise Unusual("RAF directory of odd form")
        if tag == _CROPPED_SIZE:
            height, width = struct.unpack(">HH", window.at(at + 4, size))
            found.append(f"{width} {height}")
        at += 4 + size
    return found


def _check_tiff(fd: int, base: int) -> None:
    """Raises Unusual where ExifTool would warn of a TIFF with FujiFilm's own tags. Old cameras have none there."""
    if base >= os.fstat(fd).st_size:
        raise Unusual("RAF directory of odd form")
    window = Window(fd, base)
    header = window.at(0, 8)
    order = {b"II": "<", b"MM": ">"}.get(header[:2], "")
    if not order:
        return
    magic, start = struct.unpack(order + "HI", header[2:])
    if magic != 42 or not 8 <= start < 16:
        raise Unusual("RAF directory of odd form")
    directory = Directory(window, order, start)
    for entry in directory.entries:
        if entry.tag not in _TAGS or directory.following:
            raise Unusual("RAF directory of odd form")
        if entry.tag == _SUB_DIRECTORY:
            sub = Directory(window, order, directory.number(entry, LONG, IFD))
            if any(one.tag not in _TAGS or one.tag == _SUB_DIRECTORY for one in sub.entries):
                raise Unusual("RAF directory of odd form")
