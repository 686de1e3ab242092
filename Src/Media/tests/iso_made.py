"""Films and pictures in ISO boxes, written box by box, and what may happen to their boxes."""

from __future__ import annotations

import struct
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

from Src.Media.tests.jpeg_made import Entry, exif_block

EPOCH = (66 * 365 + 17) * 24 * 3600  # seconds from 1904 to 1970
CREATED = EPOCH + 1_600_000_000
UPRIGHT, TURNED = (1, 0, 0, 1), (0, 1, -1, 0)
ENGLISH = 0x15C7


def box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def full(name: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with a version and flags."""
    return box(name, struct.pack(">I", version << 24 | flags), *content)


def times(created: int, scale: int | None, length: int, version: int, between: bytes = b"") -> bytes:
    """The beginning of `mvhd`, `mdhd` and `tkhd` (which has no scale, but the track's number)."""
    wide = "Q" if version else "I"
    middle = struct.pack(">I", scale) if scale is not None else between
    return struct.pack(f">{wide}{wide}", created, created) + middle + struct.pack(f">{wide}", length)


def matrix(turn: tuple[int, int, int, int]) -> bytes:
    a, b, c, d = (part * 0x10000 for part in turn)
    return struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)


def handler(kind: bytes, said: bytes = b"\x0cVideoHandler\0", component: bytes = bytes(4)) -> bytes:
    return full(b"hdlr", component, kind, bytes(12), said)


def movie_header(created: int = CREATED, scale: int = 600, length: int = 7300, version: int = 0) -> bytes:
    rest = struct.pack(">IHH8x", 0x10000, 0x100, 0) + matrix(UPRIGHT) + bytes(24) + struct.pack(">I", 3)
    return full(b"mvhd", times(created, scale, length, version), rest, version=version)


def track_header(
    size: tuple[int, int] = (1920, 1080), turn: tuple[int, int, int, int] = UPRIGHT, version: int = 0
) -> bytes:
    start = times(CREATED, None, 7300, version, struct.pack(">II", 1, 0))
    rest = bytes(16) + matrix(turn) + struct.pack(">II", size[0] << 16, size[1] << 16)
    return full(b"tkhd", start, rest, version=version, flags=3)


def description(size: tuple[int, int] = (1920, 1080), said: bytes = b"\x0aAVC Coding\0", *inner: bytes) -> bytes:
    head = bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HH", *size)
    head += struct.pack(">IIIH", 0x480000, 0x480000, 0, 1) + said.ljust(32, b"\0")[:32] + struct.pack(">Hh", 24, -1)
    return box(b"avc1", head, *(inner or (box(b"avcC", bytes(20)), box(b"colr", b"nclx", bytes(7)))))


def descriptions(*entries: bytes) -> bytes:
    return full(b"stsd", struct.pack(">I", len(entries)), *entries)


def samples(*entries: bytes) -> bytes:
    rest = [full(name, bytes(8)) for name in (b"stts", b"stsc", b"stsz", b"stco")]
    return box(b"stbl", descriptions(*entries), *rest)


def media(
    kind: bytes, *entries: bytes, created: int = CREATED, version: int = 0, said: bytes = b"\x0cVideoHandler\0"
) -> bytes:
    header = full(b"mdhd", times(created, 600, 7300, version), struct.pack(">HH", ENGLISH, 0), version=version)
    reference = box(b"dinf", full(b"dref", struct.pack(">I", 1), full(b"url ", flags=1)))
    kinds = {b"vide": full(b"vmhd", bytes(8), flags=1), b"soun": full(b"smhd", bytes(4))}
    information = box(b"minf", kinds.get(kind, full(b"nmhd")), reference, samples(*entries))
    return box(b"mdia", header, handler(kind, said), information)


def picture_track(*more: bytes, turn: tuple[int, int, int, int] = UPRIGHT) -> bytes:
    return box(b"trak", track_header(turn=turn), media(b"vide", description()), *more)


def sound_track() -> bytes:
    entry = box(b"mp4a", bytes(6), struct.pack(">H", 1), bytes(8), struct.pack(">HHHHI", 2, 16, 0, 0, 48000 << 16))
    return box(b"trak", track_header((0, 0)), media(b"soun", entry, said=b"\x0cSoundHandler\0"))


def spoken(name: bytes, text: bytes, language: int = ENGLISH) -> bytes:
    return box(b"\xa9" + name, struct.pack(">HH", len(text), language), text)


def listed(kind: bytes, text: bytes, form: int = 1, language: int = 0) -> bytes:
    return box(kind, box(b"data", struct.pack(">II", form, language), text))


def keyed(values: dict[bytes, bytes], language: int = 0) -> bytes:
    """Apple's `meta`: keys, and a list of their values, in a language (its country in the upper half)."""
    keys = b"".join(box(b"mdta", key) for key in values)
    items = [
        listed(struct.pack(">I", number), text, language=language)
        for number, text in enumerate(values.values(), start=1)
    ]
    named = full(b"keys", struct.pack(">I", len(values)), keys)
    return box(b"meta", handler(b"mdta", b""), named, box(b"ilst", *items))


APPLE = {
    b"com.apple.quicktime.creationdate": b"2020-09-13T16:26:40+0200",
    b"com.apple.quicktime.location.ISO6709": b"+48.1374+011.5755+519.000/",
    b"com.apple.quicktime.make": b"Apple",
    b"com.apple.quicktime.model": b"iPhone 12",
    b"com.apple.quicktime.content.identifier": b"1C8D8E6C-0B1C-4E6D-9F0B-3E9B8C5D0A11",
}
ANDROID = {b"com.android.version": b"13"}


def iphone_film() -> bytes:
    metadata = box(b"trak", track_header((0, 0)), media(b"meta", box(b"mebx", bytes(8)), said=b""))
    lens = keyed({b"com.apple.quicktime.camera.lens_model": b"iPhone 12 back camera 4.2mm f/1.6"})
    movie = box(b"moov", movie_header(), picture_track(lens, turn=TURNED), sound_track(), metadata, keyed(APPLE))
    return box(b"ftyp", b"qt  ", bytes(4), b"qt  ") + box(b"wide") + box(b"mdat", bytes(40)) + movie


def android_film() -> bytes:
    place = box(b"udta", spoken(b"xyz", b"+52.5200+013.4050/"))
    movie = box(b"moov", movie_header(), place, keyed(ANDROID), picture_track(turn=TURNED), sound_track())
    return box(b"ftyp", b"mp42", bytes(4), b"isommp42") + movie + box(b"free", bytes(20)) + box(b"mdat", bytes(40))


def camera_film() -> bytes:
    said = [spoken(b"mak", b"Maker"), spoken(b"mod", b"Model 7", 0), spoken(b"day", b"2019-05-04T03:02:01Z", 0x55C4)]
    movie = box(b"moov", movie_header(version=1), box(b"udta", *said, bytes(4)), sound_track(), picture_track())
    return box(b"ftyp", b"qt  ", bytes(4), b"qt  ") + movie + box(b"mdat", bytes(40))


def itunes_film() -> bytes:
    items = box(b"ilst", listed(b"\xa9day", b"2015"), listed(b"\xa9too", b"HandBrake"))
    about = full(b"meta", handler(b"mdir", b""), items)
    movie = box(b"moov", movie_header(), picture_track(), sound_track(), box(b"udta", about))
    return box(b"ftyp", b"M4V ", bytes(4), b"M4V mp42") + movie + box(b"mdat", bytes(40))


# -- pictures -------------------------------------------------------------------------------------------------------

ASCII, LONG, SHORT, RATIONAL = 2, 4, 3, 5
MAIN: list[Entry] = [(0x10F, ASCII, 6, b"Maker\0"), (0x110, ASCII, 6, b"Model\0"), (0x112, SHORT, 1, b"\6\0")]
DATED: list[Entry] = [(0x9003, ASCII, 20, b"2001:02:03 04:05:06\0"), (0x9011, ASCII, 7, b"+02:00\0")]
DEGREES = struct.pack("<6I", 48, 1, 8, 1, 15, 1)
PLACED: list[Entry] = [
    (1, ASCII, 2, b"N\0"), (2, RATIONAL, 3, DEGREES), (3, ASCII, 2, b"E\0"), (4, RATIONAL, 3, DEGREES),
]  # fmt: skip
RATED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)
GAIN = RATED.replace(b'xmp:Rating="4"', b'xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/" HDRGainMap:V="65536"')


def exif(
    main: list[Entry] = MAIN,
    dated: list[Entry] = DATED,
    placed: list[Entry] = PLACED,
    thumbnail: list[Entry] | None = None,
) -> bytes:
    """EXIF as an item has it: where TIFF begins, then TIFF."""
    return struct.pack(">I", 6) + b"Exif\0\0" + exif_block(main, dated, placed, thumbnail)


class Item(NamedTuple):
    kind: bytes
    content: bytes = bytes(20)
    describes: int | None = None
    properties: tuple[int, ...] = ()
    protection: int = 0
    coding: bytes = b""
    method: int = 0


XMP = b"application/rdf+xml"
PHOTO = [
    Item(b"hvc1", properties=(1, 2, 3)),
    Item(b"hvc1", properties=(1, 4)),
    Item(b"Exif", exif(), describes=1),
    Item(XMP, RATED, describes=1),
    Item(XMP, GAIN, describes=2),
]
SIZE, THUMBNAIL = (full(b"ispe", struct.pack(">II", *sides)) for sides in ((4032, 3024), (320, 240)))
PROPERTIES = [box(b"hvcC", bytes(30)), SIZE, box(b"irot", b"\3"), THUMBNAIL]


def picture(
    items: list[Item] | None = None, properties: list[bytes] | None = None, primary: int = 1, brand: bytes = b"heic"
) -> bytes:
    """A picture whose items' data stand before what describes them: that may change in length."""
    start = box(b"ftyp", brand, bytes(4), b"mif1", brand)
    data, infos, places, references, users = b"", [], b"", [], b""
    for number, item in enumerate(items if items is not None else PHOTO, start=1):
        is_file = b"/" in item.kind
        named = b"\0" + item.kind + b"\0" + item.coding + b"\0" * bool(item.coding) if is_file else b"\0"
        kind = b"mime" if is_file else item.kind
        infos.append(full(b"infe", struct.pack(">HH4s", number, item.protection, kind), named, version=2))
        places += struct.pack(">HHHHII", number, item.method, 0, 1, len(start) + 8 + len(data), len(item.content))
        data += item.content
        if item.describes is not None:
            references.append(box(b"cdsc", struct.pack(">HHH", number, 1, item.describes)))
        if item.properties:
            users += struct.pack(">HB", number, len(item.properties)) + bytes(item.properties)
    count = len(infos)
    about = full(
        b"meta",
        handler(b"pict", b"\0"),
        full(b"pitm", struct.pack(">H", primary)),
        full(b"iinf", struct.pack(">H", count), *infos),
        full(b"iref", *references),
        box(
            b"iprp",
            box(b"ipco", *(properties if properties is not None else PROPERTIES)),
            full(b"ipma", struct.pack(">I", sum(bool(one.properties) for one in items or PHOTO)), users),
        ),
        full(b"iloc", struct.pack(">HH", 0x4400, count), places, version=1),
        box(b"idat", bytes(8)),
    )
    return start + box(b"mdat", data) + about


# -- what may happen to boxes ---------------------------------------------------------------------------------------

# Where the boxes in a box begin.
_INSIDE = {
    **dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"dinf", b"iprp", b"ipco", b"ilst"), 0),
    b"iref": 4, b"iinf": 6, b"stsd": 8, b"dref": 8, b"avc1": 78, b"mp4a": 28,
}  # fmt: skip


@dataclass
class Node:
    """A box: its own bytes, and the boxes behind them."""

    name: bytes
    own: bytes
    inner: list[Node] = field(default_factory=list)
    tail: bytes = b""  # behind the last of them
    stated: int | None = None  # another size than the true one
    wide: bool = False

    def bytes(self) -> bytes:
        body = self.own + b"".join(node.bytes() for node in self.inner) + self.tail
        if self.wide:
            return struct.pack(">I4sQ", 1, self.name, (16 + len(body)) if self.stated is None else self.stated) + body
        return struct.pack(">I4s", (8 + len(body)) if self.stated is None else self.stated, self.name) + body


def tree(data: bytes, depth: int = 0) -> tuple[list[Node], bytes]:
    """The boxes in these bytes, and what is left behind them."""
    nodes = []
    while len(data) >= 8:
        size, name = struct.unpack_from(">I4s", data)
        if size < 8:
            break
        body, data = data[8:size], data[size:]
        inside = _INSIDE.get(name)
        if name == b"meta":
            inside = 0 if body[4:8] == b"hdlr" else 4
        if name == b"uuid" and body[20:24] == b"CNCV":  # Canon's
            inside = 16
        if inside is None or depth > 8:
            nodes.append(Node(name, body))
        else:
            nodes.append(Node(name, body[:inside], *tree(body[inside:], depth + 1)))
    return nodes, data


class Change(NamedTuple):
    """What happens to the box of a number; `place` and `value` are used as it needs them."""

    what: str
    box: int
    place: int
    value: int


CHANGES = ("byte", "word", "long", "drop", "double", "swap", "cut", "grow", "rename", "insert", "size", "wide", "move")
NUMBERS = (
    0, 1, 2, 3, 8, 16, 0x7F, 0xFF, 600, EPOCH, EPOCH - 1, EPOCH + 1, CREATED, 0x10000, 0x100000, 0x7FFFFFFF, 0xFFFFFFFF,
    0x55C4, ENGLISH, 0x41424344,
)  # fmt: skip
NAMES = (
    b"udta", b"meta", b"free", b"skip", b"uuid", b"moov", b"trak", b"mvhd", b"mdhd", b"tkhd", b"hdlr", b"\xa9day",
    b"\xa9xyz", b"\xa9mak", b"\xa9mod", b"date", b"loci", b"irot", b"ispe", b"ilst", b"keys", b"data", b"CMP1", b"gama",
    b"idat", b"mdat", b"Exif", b"XMP_", b"IDIT", b"\0\0\0\1", b"cdsc", b"manu", b"infe",
)  # fmt: skip


def changed(data: bytes, changes: list[Change]) -> bytes:
    """The file after these changes to its boxes."""
    roots, tail = tree(data)
    for change in changes:
        lists = [roots]
        for siblings in lists:
            lists += [node.inner for node in siblings if node.inner]
        places = [(siblings, index) for siblings in lists for index in range(len(siblings))]
        if not places:
            break
        siblings, index = places[change.box % len(places)]
        _change(siblings, index, change, places)
    return b"".join(node.bytes() for node in roots) + tail


def _change(siblings: list[Node], index: int, change: Change, places: list[tuple[list[Node], int]]) -> None:
    node, (what, _, place, value) = siblings[index], change
    own, number = bytearray(node.own), NUMBERS[value % len(NUMBERS)]
    at = place % (len(own) + 1)
    if what == "byte" and at < len(own):
        own[at] = value & 0xFF
    elif what in ("word", "long"):
        width = 2 if what == "word" else 4
        at = at // width * width
        own[at : at + width] = (number & (1 << 8 * width) - 1).to_bytes(width, "big")
    elif what == "cut":
        del own[at:]
    elif what == "grow":
        own[at:at] = (number & 0xFFFFFFFF).to_bytes(4, "big")[: 1 + value % 4]
    node.own = bytes(own)
    if what == "drop":
        del siblings[index]
    elif what == "double":
        siblings.insert(index, deepcopy(node))
    elif what == "swap" and index:
        siblings[index - 1 : index + 1] = siblings[index - 1 : index + 1][::-1]
    elif what == "rename":
        node.name = NAMES[value % len(NAMES)]
    elif what == "insert":
        siblings.insert(index, Node(NAMES[value % len(NAMES)], (number & 0xFFFFFFFF).to_bytes(4, "big") * (place % 8)))
    elif what == "size":
        node.stated = number & 0xFFFFFFFF
    elif what == "wide":
        node.wide = True
    elif what == "move":
        other, where = places[place % len(places)]
        other.insert(where, deepcopy(node))
