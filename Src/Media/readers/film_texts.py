"""The texts about a film in its user data (`udta`), and in `meta` boxes, as keys or as iTunes' list (Apple's QTFF).

Of them all only these count: when, where and with what it was taken. Every other one must be known as harmless.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.iso_boxes import PADDING, Box, boxes_in, demand_once
from Src.Media.tags import Tags


class Texts:
    """What the texts said so far, as tags. Two that differ are ExifTool's to choose from."""

    def __init__(self) -> None:
        self.tags: Tags = {}

    def add(self, name: str, content: bytes) -> None:
        """Keeps the text of a tag of `_READ`, converted as ExifTool converts it."""
        for key, value in _READ[name](content).items():
            if self.tags.setdefault(key, value) != value:
                raise Unusual("texts that differ")


_PRINTABLE = re.compile(rb"[\x20-\x7e]+")
_MOMENT = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d:\d\d:\d\d)(?:([+-]\d\d):?(\d\d)|(Z)|)")
_DAY = re.compile(rb"\d{4}(?:-\d\d-\d\d)?")
# ISO 6709, annex H: degrees with a sign, height and reference system after them.
_PLACE = re.compile(
    rb"([+-]\d{1,2}(?:\.\d{1,12})?)([+-]\d{1,3}(?:\.\d{1,12})?)([+-]\d{1,9}(?:\.\d{1,12})?)?(?:CRS\w+)?/?"
)


def _camera(key: str) -> Callable[[bytes], Tags]:
    def read(content: bytes) -> Tags:
        text = content.decode("ascii").strip()
        # ("true" comes out of ExifTool's JSON as a truth value)
        if not text or text.lower() in ("true", "false"):
            raise Unusual("text that means nothing")
        return {key: text}

    return read


def _moment(key: str) -> Callable[[bytes], Tags]:
    def read(content: bytes) -> Tags:
        found = _MOMENT.fullmatch(content)
        if found is not None:
            year, month, day, clock, hours, minutes, utc = (part and part.decode("ascii") for part in found.groups())
            return {key: f"{year}:{month}:{day} {clock}{f'{hours}:{minutes}' if hours else utc or ''}"}
        if key == "QuickTime:CreationDate" or not _DAY.fullmatch(content):
            raise Unusual("odd date")
        return {key: content.decode("ascii").replace("-", ":")}

    return read


def _place(content: bytes) -> Tags:
    found = _PLACE.fullmatch(content)
    if found is None:
        raise Unusual("odd place")
    latitude, longitude = (f"{float(part):.15g}" for part in found.groups()[:2])
    return {"Composite:GPSLatitude": latitude, "Composite:GPSLongitude": longitude}


def _id(content: bytes) -> Tags:
    return {"QuickTime:ContentIdentifier": content.decode("ascii")}


_READ: dict[str, Callable[[bytes], Tags]] = {
    "CreationDate": _moment("QuickTime:CreationDate"),
    "ContentCreateDate": _moment("QuickTime:ContentCreateDate"),
    "ContentIdentifier": _id,
    "GPSCoordinates": _place,
    "Make": _camera("QuickTime:Make"),
    "Model": _camera("QuickTime:Model"),
}

# -- user data ------------------------------------------------------------------------------------------------------

_SPOKEN = {b"\xa9day": "ContentCreateDate", b"\xa9xyz": "GPSCoordinates", b"\xa9mak": "Make", b"\xa9mod": "Model"}
_HARMLESS_SPOKEN = frozenset(
    b"\xa9" + name
    for name in (
        b"ART alb arg ark cmt cok com cpy des dir "
        b"ed1 ed2 ed3 ed4 ed5 ed6 ed7 ed8 ed9 enc fmt fpt frl fyw gen gpt grl grp "
        b"gyw inf isr lab lal lyr mal nam pdk phg prd prf prk prl req snk snm src swf swk swr too trk wrt xsp ysp zsp"
    ).split()
)
# Names and titles, as 3GPP (TS 26.244), QuickTime and Samsung have them, and how a player shows the film.
_HARMLESS_DATA = frozenset(
    {
        b"name", b"titl", b"dscp", b"cprt", b"perf", b"auth", b"gnre", b"albm", b"coll", b"yrrc", b"urat", b"vndr",
        b"AllF", b"LOOP", b"SelO", b"WLOC", b"hinv", b"free", b"skip", b"chpl", b"SDLN",
        b"smta", b"smrd",
    }
)  # fmt: skip
_USER_DATA = frozenset({*_SPOKEN, *_HARMLESS_SPOKEN, *_HARMLESS_DATA, b"meta"})


def read_user_data(data: bytes, box: Box, texts: Texts) -> Box | None:
    """Adds the texts of a film's `udta`; the handler of the `meta` box in it, if there is one."""
    parts = boxes_in(data, box.start, box.end, _USER_DATA)
    demand_once(parts, {*_SPOKEN, b"meta"})
    handler = None
    for part in parts:
        if part.name in _SPOKEN:
            texts.add(_SPOKEN[part.name], _spoken(data[part.start : part.end]))
        elif part.name == b"meta":
            if data[part.start : part.start + 4] != bytes(4):
                raise Unusual("version of a box")
            handler = read_meta(data, part._replace(start=part.start + 4), texts)
    return handler


def demand_harmless(data: bytes, box: Box) -> None:
    """Raises Unusual unless a track's `udta` has names and titles only."""
    boxes_in(data, box.start, box.end, _HARMLESS_SPOKEN | _HARMLESS_DATA)


def _spoken(content: bytes) -> bytes:
    """The one text of a box for texts in several languages; where there is no other, its language does not matter."""
    length, text = int.from_bytes(content[:2], "big"), content[4:]
    if length != len(text) or not _PRINTABLE.fullmatch(text):
        raise Unusual("text in several languages")
    return text


# -- keys, and iTunes' list -----------------------------------------------------------------------------------------

_META = frozenset({b"hdlr", b"keys", b"ilst", b"free"})
_KEYS = {
    "content.identifier": "ContentIdentifier",
    "creationdate": "CreationDate",
    "location.ISO6709": "GPSCoordinates",
    "make": "Make",
    "model": "Model",
}
_APPLE, _OTHERS = "com.apple.quicktime.", "com."
_KEY = re.compile(rb"com\.[\w.-]+", re.ASCII)
# ExifTool's own keys, of one word (or of one word behind "com."), and those that it has under other names.
_HARMLESS_KEYS = frozenset(
    {
        "album", "artist", "artwork", "author", "collection.user", "comment", "copyright", "description",
        "direction.facing", "direction.motion", "director", "displayname", "genre", "information", "keywords",
        "location.accuracy.horizontal", "location.body", "location.date", "location.name", "location.note",
        "location.role", "producer", "publisher", "rating.user", "software", "title", "version", "year",
        "live-photo.auto", "live-photo.vitality-score", "live-photo.vitality-scoring-version",
        "full-frame-rate-playback-intent", "apple.photos.variation-identifier", "apple.photos.captureMode",
        "camera.identifier", "camera.framereadouttimeinmicroseconds", "camera.lens_model",
        "camera.focal_length.35mm_equivalent", "cinematic-video", "scene-illuminance", "spatial.format-version",
        "spatial.aggressors-seen", "android.version", "android.capture.fps", "android.video.temporal_layers_count",
        "android.manufacturer", "android.model", "samsung.android.utc_offset",
    }
)  # fmt: skip
_LISTED = {b"\xa9day": "ContentCreateDate", b"\xa9xyz": "GPSCoordinates"}
_HARMLESS_LISTED = frozenset(
    {
        *(
            b"\xa9" + name
            for name in (
                b"ART alb ard arg aut cmt com con cpy des dir enc gen grp lyr mvc mvi mvn nam nrt ope prd pub sne sol "
                b"st3 too trk wrk wrt xpd"
            ).split()
        ),
        *(
            b"aART akID albm apID atID auth catg cnID covr cpil cprt desc disk dscp egid geID gnre grup hdvd itnu keyw "
            b"ldes pcst perf pgap plID prID purd purl rate rldt rtng sdes sfID shwm soaa soal soar soco sonm sosn stik "
            b"titl tmpo trkn tven tves tvnn tvsh tvsn yrrc free"
        ).split(),
    }
)
_MOST_KEYS = 256


def read_meta(data: bytes, box: Box, texts: Texts) -> Box:
    """Adds the texts of a `meta` box without a version, as QuickTime has it; returns its handler."""
    parts = boxes_in(data, box.start, box.end, _META)
    demand_once(parts, _META - PADDING)
    names = [part.name for part in parts if part.name != b"free"]
    if names not in ([b"hdlr"], [b"hdlr", b"keys"], [b"hdlr", b"ilst"], [b"hdlr", b"keys", b"ilst"]):
        raise Unusual("order of boxes")
    by_name = {part.name: part for part in parts}
    keys = _keys(data, by_name[b"keys"]) if b"keys" in by_name else None
    if b"ilst" in by_name:
        listed = by_name[b"ilst"]
        known = frozenset(keys or ()) or {*_LISTED, *_HARMLESS_LISTED}
        items = boxes_in(data, listed.start, listed.end, known)
        demand_once(items, known)
        for item in items:
            name = keys[item.name] if keys is not None else _LISTED.get(item.name)
            if name is not None:
                texts.add(name, _value(data[item.start : item.end]))
    return by_name[b"hdlr"]


def _keys(data: bytes, box: Box) -> dict[bytes, str | None]:
    """The name of the tag that each box of the list is, by the type of that box; None: harmless."""
    count, at = int.from_bytes(data[box.start + 4 : box.start + 8], "big"), box.start + 8
    names: dict[bytes, str | None] = {}
    if data[box.start : box.start + 4] != bytes(4) or not 1 <= count <= _MOST_KEYS:
        raise Unusual("keys")
    for number in range(1, count + 1):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 9 or at + size > box.end or data[at + 4 : at + 8] != b"mdta":
            raise Unusual("keys")
        names[number.to_bytes(4, "big")] = _tag_of(data[at + 8 : at + size])
        at += size
    if at != box.end:
        raise Unusual("keys")
    return names


def _tag_of(key: bytes) -> str | None:
    if not _KEY.fullmatch(key):
        raise Unusual("unknown key")
    text = key.decode("ascii")
    short = text.removeprefix(_APPLE) if text.startswith(_APPLE) else text.removeprefix(_OTHERS)
    if short not in _KEYS and short not in _HARMLESS_KEYS:
        raise Unusual("unknown key")
    return _KEYS.get(short)


def _value(content: bytes) -> bytes:
    """The one text in a box of the list."""
    size, kind, form, text = int.from_bytes(content[:4], "big"), content[4:8], content[8:12], content[16:]
    if size != len(content) or kind != b"data" or form != b"\0\0\0\x01":
        raise Unusual("text in several languages")
    if not _PRINTABLE.fullmatch(text):
        raise Unusual("text that is not ASCII")
    return text
