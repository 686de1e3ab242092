"""Apple's MakerNotes: which Live Photo and which burst a photo is of, where the reading equals ExifTool's.

Behind a header of 14 bytes stands a directory as EXIF has them, whose places count from the beginning of the notes.
"""

from __future__ import annotations

import re
import struct

from Src.Media.readers.exif_format import ASCII, ENTRY
from Src.Media.readers.fast_answer import Unusual
from Src.Media.tags import Tags

HEADER = b"Apple iOS\0"
_BIG_ENDIAN = b"MM"
_START = 14
_NAMES = {0xB: "BurstUUID", 0x11: "MediaGroupUUID"}
_MOST_ENTRIES = 200
_ID = re.compile(rb"[0-9A-Za-z-]{8,64}\0*")


def read_apples_notes(notes: bytes, tags: Tags) -> None:
    """Adds what the notes say; nothing where they are another maker's. Raises Unusual, struct.error."""
    if not notes.startswith(HEADER):
        return
    (count,) = struct.unpack_from(">H", notes, _START)
    end = _START + 2 + 12 * count
    if notes[_START - 2 : _START] != _BIG_ENDIAN or not 0 < count <= _MOST_ENTRIES or end > len(notes):
        raise Unusual("Apple's MakerNotes of odd form")
    for tag, form, length, place in ENTRY[">"].iter_unpack(notes[_START + 2 : end]):
        if tag not in _NAMES:
            continue
        value = notes[place : place + length]
        name = f"MakerNotes:{_NAMES[tag]}"
        # (a short one would stand in the directory itself, and is none)
        if form != ASCII or place < end or len(value) != length or not _ID.fullmatch(value) or name in tags:
            raise Unusual("Apple's MakerNotes of odd form")
        tags[name] = value.rstrip(b"\0").decode("ascii")
