"""An XMP packet (ISO 16684-1): rating, dates, place and camera, where their reading equals ExifTool's.

ExifTool flattens what a packet holds to names without their namespace. So a name that our fields use must stand only
where it is expected: once, as a simple property at the top. Anywhere else, even in a text, the packet is handed over.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple
from xml.etree import ElementTree

from Src.Media.places import NOWHERE, place_in
from Src.Media.readers.fast_answer import Unusual, has_own_date
from Src.Media.readers.xmp_words import has_words, read_words
from Src.Media.tags import Tags

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_ACDSEE_RATING = "{http://ns.acdsee.com/iptc/1.0/}rating"
# Microsoft's rating is in per cent.
_PERCENT = b"MicrosoftPhoto:Rating"
_WHOLE = re.compile(r"\d{1,3}", re.ASCII)
_BODY, _XMPMETA = f"{_RDF}RDF", "{adobe:ns:meta/}xmpmeta"
_XMP, _EXIF, _TIFF, _PHOTOSHOP = (
    f"{{http://ns.adobe.com/{name}/1.0/}}" for name in ("xap", "exif", "tiff", "photoshop")
)


class _Kind(NamedTuple):
    """Properties that are read, or left unread, together."""

    what: str
    names: frozenset[str]  # under which ExifTool may give them, whatever their namespace


_RATING = _Kind("rating", frozenset({"Rating", "RatingPercent"}))
_DATES = _Kind("date", frozenset({"CreateDate", "DateCreated", "DateTimeOriginal", "GPSTimeStamp", "GPSDateTime"}))
_PLACE = _Kind(
    "position",
    frozenset({"GPSLatitude", "GPSLongitude", "GpsLatitude", "GpsLongitude", "GPSLatitudeRef", "GPSLongitudeRef"}),
)
_CAMERA = _Kind("camera", frozenset({"Make", "Model"}))
# A property of this name would be an error or a warning of ExifTool's own.
_ALARM = _Kind("alarm", frozenset({"Error", "Warning"}))
_OTHER_ENCODING = re.compile(rb"encoding\s*=\s*[\"'](?!utf-?8[\"'])", re.IGNORECASE)

_WORD = re.compile(rb"\w")

_NUMBER = re.compile(r"-?[0-9](\.[0-9]{1,6})?")
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)
COORDINATE = re.compile(r"(\d{1,3}),(\d{1,2}(?:\.\d{1,10})?)(?:,(\d{1,2}(?:\.\d{1,10})?))?([NSEW])", re.ASCII)
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


def read_xmp(packet: bytes, tags: Tags) -> str | None:
    """Adds XMP's tags to what is known of a file: EXIF's, which come before it.

    What an EXIF tag makes superfluous is not read. Returns what of it may hold a date, as `FastAnswer.other_dates`
    says it. Raises Unusual.
    """
    packet = packet.rstrip(b"\0")
    if _is_odd(packet) or _count(_ALARM, packet):
        raise Unusual("XMP of odd form")
    wanted = [_RATING]
    other_dates: str | None = None
    if not has_own_date(tags):
        wanted.append(_DATES)
    elif _count(_DATES, packet):
        other_dates = "XMP date"
    if place_in(tags) == NOWHERE:
        wanted.append(_PLACE)
    if not (tags.get("EXIF:Make") and tags.get("EXIF:Model")):
        wanted.append(_CAMERA)
    counts = {kind: count for kind in wanted if (count := _count(kind, packet))}
    has_percent, says_words = _PERCENT in packet, has_words(packet)
    if counts or has_percent or says_words:
        tops = _descriptions(packet)
        properties = _properties(tops) if counts or has_percent else []
        for kind, count in counts.items():
            _read(kind, properties, count, tags)
        if has_percent:
            _read_percent(properties, packet, tags)
        if says_words:
            read_words(packet, tops, tags)
    return other_dates


def _is_odd(packet: bytes) -> bool:
    """Whether what is looked for may be hidden: by another encoding, entities or CDATA."""
    another_encoding = b"ncoding" in packet and _OTHER_ENCODING.search(packet) is not None
    return b"\0" in packet or b"<!" in packet or b"nodeID" in packet or another_encoding


def _count(kind: _Kind, packet: bytes) -> int:
    """How often a word stands in the packet that ExifTool may make a name of this kind of: it begins each with a
    capital. (Microsoft's rating is a percentage, which it gives another name.)"""
    count = 0
    for name in kind.names:
        first, rest = name[:1].encode(), name[1:].encode()
        place = packet.find(rest)  # much quicker than an expression
        while place > 0:
            word = packet[place - 1 : place + len(rest) + 1]
            before = packet[max(0, place - 16) : place - 1]
            is_whole = not (_WORD.match(before[-1:]) or _WORD.match(word[-1:]))
            if is_whole and word[:1].upper() == first and before[-15:] + word[:-1] != b"MicrosoftPhoto:Rating":
                count += 1
            place = packet.find(rest, place + 1)
    return count


def says_anything(packet: bytes) -> bool:
    """Whether a packet may hold stars in per cent, or words."""
    return _PERCENT in packet or has_words(packet)


def check_extended_xmp(segments: list[bytes]) -> None:
    """Raises Unusual where the second part of a packet, which did not fit in a segment, holds anything that we use.

    Each begins with the digest of the whole part, its length, and the segment's own place in it (ISO 16684-3, 1.1.3.1).
    """
    parts: dict[tuple[bytes, int], dict[int, bytes]] = {}
    for segment in segments:
        length, place = struct.unpack_from(">II", segment, 32)
        parts.setdefault((segment[:32], length), {})[place] = segment[40:]
    for pieces in parts.values():
        whole = b"".join(pieces[place] for place in sorted(pieces))
        kinds = (_RATING, _DATES, _PLACE, _CAMERA, _ALARM)
        if _is_odd(whole) or says_anything(whole) or any(_count(kind, whole) for kind in kinds):
            raise Unusual("extended XMP")


class _Property(NamedTuple):
    name: str  # in ElementTree's notation
    text: str
    words: int  # how often its name stands in the packet


def _descriptions(packet: bytes) -> list[ElementTree.Element]:
    """The elements in which properties stand at the top."""
    try:
        root = ElementTree.fromstring(packet.strip())
    except (ElementTree.ParseError, ValueError) as reason:
        raise Unusual("XMP of odd form") from reason
    # Within any other element the properties would have longer names.
    bodies = [root] if root.tag == _BODY else list(root) if root.tag == _XMPMETA else []
    tops = [description for body in bodies for description in body]
    if not bodies or any(body.tag != _BODY for body in bodies) or any(top.tag != f"{_RDF}Description" for top in tops):
        raise Unusual("XMP of odd form")
    return tops


def _properties(tops: list[ElementTree.Element]) -> list[_Property]:
    """The simple properties at the top."""
    found = [_Property(name, text, 1) for top in tops for name, text in top.attrib.items()]
    for top in tops:
        found += [_Property(one.tag, one.text, 2) for one in top if one.text and not len(one) and not one.attrib]
    return found


def _read_percent(properties: list[_Property], packet: bytes, tags: Tags) -> None:
    """Adds Microsoft's rating, which ExifTool knows by its prefix. Raises Unusual where it stands anywhere else."""
    said = [one for one in properties if one.name.endswith("}Rating") and one.name != f"{_XMP}Rating"]
    if len(said) != 1 or packet.count(_PERCENT) != said[0].words or not _WHOLE.fullmatch(said[0].text):
        raise Unusual("XMP rating of odd form")
    tags["XMP:RatingPercent"] = said[0].text


def _read(kind: _Kind, properties: list[_Property], words: int, tags: Tags) -> None:
    """Adds the tags of a kind. Raises Unusual where a property of it stands anywhere else, or twice."""
    said: dict[str, str] = {}
    for name, text, count in properties:
        if name == _ACDSEE_RATING and kind is _RATING and f"{_XMP}Rating" in {one.name for one in properties}:
            words -= count  # digiKam writes both: ExifTool prefers the other
        elif name in _READ and _READ[name][0] is kind:
            if name in said:
                raise Unusual(f"XMP {kind.what} twice")
            said[name] = text
            words -= count
    if words:
        raise Unusual(f"XMP {kind.what} of odd form")
    for name, text in said.items():
        _, tag, pattern = _READ[name]
        match = pattern.fullmatch(text)
        if match is None:
            raise Unusual(f"XMP {kind.what} of odd form")
        if pattern is _DATE:
            tags[tag] = _exiftool_date(match)
        elif pattern is COORDINATE:
            axis = tag.removeprefix("XMP:")
            tags[tag], tags[f"Composite:Stated{axis}"] = degrees_in(match), text
        elif text.strip().lower() in ("true", "false"):  # comes out of ExifTool's JSON as a truth value
            raise Unusual(f"XMP {kind.what} of odd form")
        else:
            tags[tag] = text


_READ: dict[str, tuple[_Kind, str, re.Pattern[str]]] = {
    f"{_XMP}Rating": (_RATING, "XMP:Rating", _NUMBER),
    f"{_XMP}CreateDate": (_DATES, "XMP:CreateDate", _DATE),
    f"{_PHOTOSHOP}DateCreated": (_DATES, "XMP:DateCreated", _DATE),
    f"{_EXIF}DateTimeOriginal": (_DATES, "XMP:DateTimeOriginal", _DATE),
    f"{_EXIF}GPSTimeStamp": (_DATES, "XMP:GPSDateTime", _DATE),
    f"{_EXIF}GPSLatitude": (_PLACE, "XMP:GPSLatitude", COORDINATE),
    f"{_EXIF}GPSLongitude": (_PLACE, "XMP:GPSLongitude", COORDINATE),
    f"{_TIFF}Make": (_CAMERA, "XMP:Make", _PRINTABLE),
    f"{_TIFF}Model": (_CAMERA, "XMP:Model", _PRINTABLE),
}


def _exiftool_date(match: re.Match[str]) -> str:
    day = ":".join(part for part in match.groups()[:3] if part is not None)
    return day if match[4] is None else f"{day} {match[4]}{match[5] or ''}"


def degrees_in(match: re.Match[str]) -> str:
    """Signed degrees of a COORDINATE, as ExifTool calculates them (ToDegrees)."""
    degrees = float(match[1]) + (float(match[2]) + float(match[3] or 0) / 60) / 60
    return f"{-degrees if match[4] in 'SW' else degrees:.15g}"
