"""Photoshop's resources in a JPEG's APP13 segment, and the IPTC record (IIM 4.2) in them: its date and its words."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping

from Src.Media.readers.fast_answer import Unusual, has_own_date
from Src.Media.tags import BETWEEN, Tags

HEADER = b"Photoshop 3.0\0"
IPTC_RESOURCE = b"8BIM\x04\x04"
_IPTC = 0x404
# EXIF or XMP among the resources would count as the file's.
_METADATA = re.compile(rb"8BIM\x04[\x22\x23\x24]")
# Record 2: data sets 55 and 60; 5, 120 and 25. And which characters the record is in: 1:90.
_DATE, _TIME = (2, 55), (2, 60)
_TITLE, _CAPTION, _KEYWORD = (2, 5), (2, 120), (2, 25)
_NAMES = {_TITLE: "IPTC:ObjectName", _CAPTION: "IPTC:Caption-Abstract", _KEYWORD: "IPTC:Keywords"}
_CODING, _UTF_8 = (1, 90), b"\x1b%G"
_WORDS = re.compile(rb"\x1c(?:\x01\x5a|\x02[\x05\x19\x78])")
_FORMS = {_DATE: re.compile(rb"\d{8}"), _TIME: re.compile(rb"\d{6}([+-]\d{4})?")}
_READ = frozenset({*_FORMS, *_NAMES, _CODING})


def may_have_words(data: bytes) -> bool:
    """Whether an IPTC record may have some; one that somebody has turned may have any."""
    return not data.startswith((b"\x1c", b"8BIM")) or _WORDS.search(data) is not None


def read_photoshop(segments: list[bytes], tags: Tags) -> str | None:
    """Adds IPTC's date to what is known of a file: EXIF's tags, which come before it; and its words.

    `segments`: those of a file, one behind the other. Returns what of them may hold a date, as
    `FastAnswer.other_dates` says it. Raises Unusual.
    """
    data = b"".join(segment.removeprefix(HEADER) for segment in segments)
    if _METADATA.search(data):
        raise Unusual("metadata in Photoshop's resources")
    if IPTC_RESOURCE not in data:
        return None
    is_dated = has_own_date(tags)
    if is_dated and _WORDS.search(data) is None:
        return "IPTC date"
    records = [value for number, value in _resources(data) if number == _IPTC]
    if len(records) > 1:
        raise Unusual("IPTC twice")
    for record in records:
        read_iptc(record, tags, with_date=not is_dated)
    return "IPTC date" if is_dated else None


def _resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and value of each resource; as ExifTool walks them."""
    position = 0
    while position + 8 < len(data):
        if data[position : position + 4] != b"8BIM":
            raise Unusual("Photoshop's resources of odd form")
        (number,) = struct.unpack_from(">H", data, position + 4)
        position += 7 + data[position + 6]
        position += position % 2  # (relative to the first resource, which is where `data` begins)
        (size,) = struct.unpack_from(">I", data, position)
        position += 4
        if position + size > len(data):
            raise Unusual("Photoshop's resources of odd form")
        yield number, data[position : position + size]
        position += size + size % 2


def read_iptc(data: bytes, tags: Tags, *, with_date: bool) -> None:
    """Adds the words of a record, and its date. Raises Unusual, struct.error."""
    found: dict[tuple[int, int], list[bytes]] = {}
    position = 0
    while position + 5 <= len(data):
        marker, record, number, size = struct.unpack_from(">BBBH", data, position)
        position += 5
        if marker != 0x1C or position + size > len(data):  # (a long size is of another form)
            raise Unusual("IPTC of odd form")
        if (record, number) in _READ:
            if (record, number) == _CODING and found:
                raise Unusual("IPTC of odd form")
            found.setdefault((record, number), []).append(data[position : position + size])
        position += size
    if with_date:
        _add_date(found, tags)
    _add_words(found, tags)


def _add_date(found: Mapping[tuple[int, int], list[bytes]], tags: Tags) -> None:
    for what, form in _FORMS.items():
        values = found.get(what, [])
        if len(values) > 1:
            raise Unusual("IPTC date twice")
        if any(form.fullmatch(value) is None for value in values):
            raise Unusual("IPTC date of odd form")
    if _DATE in found:
        day = found[_DATE][0].decode()
        tags["IPTC:DateCreated"] = f"{day[:4]}:{day[4:6]}:{day[6:]}"
    if _TIME in found:
        time = found[_TIME][0].decode()
        zone = f"{time[6:9]}:{time[9:]}" if len(time) > 6 else ""
        tags["IPTC:TimeCreated"] = f"{time[:2]}:{time[2:4]}:{time[4:6]}{zone}"


def _add_words(found: Mapping[tuple[int, int], list[bytes]], tags: Tags) -> None:
    coding = found.get(_CODING, [])
    if coding not in ([], [_UTF_8]):
        raise Unusual("IPTC of another coding")
    for what, name in _NAMES.items():
        values = found.get(what, [])
        if len(values) > 1 and what != _KEYWORD:
            raise Unusual("IPTC words twice")
        if values:
            tags[name] = BETWEEN.join(_text(value, is_utf_8=bool(coding)) for value in values)


def _text(value: bytes, *, is_utf_8: bool) -> str:
    """As ExifTool's JSON has it, where such a text is a truth value."""
    value = value.rstrip(b"\0")
    if b"\0" in value or not (is_utf_8 or value.isascii()):
        raise Unusual("IPTC of another coding")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unusual("IPTC of another coding") from error
    return text.lower() if text.lower() in ("true", "false") else text
