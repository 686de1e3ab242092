"""Files made to exhaust, hang or mislead whoever reads them: small outside and endless inside."""

from __future__ import annotations

import io
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from Stack.faults.formats import (
    ASCII,
    DOUBLE,
    LONG,
    LONG8,
    RATIONAL,
    UNDEFINED,
    XMP_NAMESPACE,
    Entry,
    box,
    brand,
    chunk,
    directory,
    element,
    exif_jpeg,
    jpeg,
    nested,
    number,
    png,
    riff,
    riff_chunk,
    segment,
    text,
    tiff,
    tiff_with_gps,
    tiny_jpeg,
)
from Stack.faults.given import Fate, Given, give

_MAKE, _DATE, _MAKER_NOTE, _XMP_TAG, _EXIF_IFD, _SUB_IFDS = 0x10F, 0x9003, 0x927C, 0x2BC, 0x8769, 0x14A
_MAKERS = ("Canon", "NIKON CORPORATION", "SONY", "OLYMPUS CORPORATION", "Panasonic", "PENTAX", "FUJIFILM", "Apple")
_MORE_MAKERS = ("CASIO", "EASTMAN KODAK COMPANY", "LEICA", "Minolta", "RICOH", "SAMSUNG", "SIGMA", "DJI", "GoPro")
_DATES = (
    *("0000:00:00 00:00:00", "9999:99:99 99:99:99", "9999:12:31 23:59:59", "0001:01:01 00:00:00"),
    *("2100:01:01 00:00:00", "2100:12:31 24:00:00", "-9999:01:01 00:00:00", "1e9:01:01 00:00:00"),
    *("    :  :     :  :  ", "2024:02:30 12:00:00", "-001:01:01 00:00:00", "1826:01:01 00:00:00", "9" * 5000),
    *("2024:06:15 12:00:60", "2024:06:15 24:00:00", "２０２４:06:15 12:00:00", "2024:06:15\0 12:00:00", "1970:01:01"),
)


class Bomb(NamedTuple):
    name: str
    content: bytes
    fate: Fate = "filed"
    zeros: int = 0  # bytes of nothing that follow, as a hole


def give_bombs(inbox: Path, chance: random.Random, scale: float, secret: Path) -> Iterator[Given]:
    """`scale`: 1 for the full size of those that cost time. `secret`: a file that none of them may bring in."""
    kinds = (
        _archives(scale),
        _pixels(),
        _inflating(scale),
        _zeros(scale),
        _directories(scale),
        _boxes(scale),
        _entities(scale, secret),
        _strings(scale),
        _dates(),
        _places(),
        _maker_notes(chance),
    )
    for kind in kinds:
        for bomb in kind:
            yield give(inbox, os.fsencode(bomb.name), bomb.content, bomb.fate, bomb.zeros)
    _lay_snares(inbox, secret)


def _lay_snares(inbox: Path, secret: Path) -> None:
    """Beside photos, where their sidecars would be: what hangs its reader, or leads it elsewhere."""
    os.mkfifo(inbox / "sidecar fifo.jpg.xmp")
    os.symlink(secret, inbox / "sidecar link.jpg.xmp")
    os.symlink("/dev/zero", inbox / "sidecar device.jpg.xmp")
    os.symlink("sidecar loop.jpg.xmp", inbox / "sidecar loop.jpg.xmp")


def _archives(scale: float) -> Iterator[Bomb]:
    size, block = round(1e9 * scale), bytes(1_000_000)
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros.jpg", "w", force_zip64=True) as inside,
    ):
        for _ in range(size // len(block)):
            inside.write(block)
    bomb = stream.getvalue()
    for ending in ("zip", "jpg", "heic"):
        yield Bomb(f"archive.{ending}", bomb + ending.encode(), "stays")
    yield Bomb("archive behind a photo.jpg", tiny_jpeg(1) + bomb)


def _pixels() -> Iterator[Bomb]:
    huge = 0xFFFF
    photo = bytearray(tiny_jpeg(2))
    frame = photo.index(b"\xff\xc0") + 5
    photo[frame : frame + 4] = struct.pack(">HH", huge, huge)
    yield Bomb("pixels.jpg", bytes(photo))
    for side in (60_000, 2**31 - 1, 2**32 - 1):
        yield Bomb(f"pixels {side}.png", png(width=side, height=side))
        yield Bomb(f"pixels {side}.tif", tiff(number(0x100, side), number(0x101, side)))
    yield Bomb("pixels.gif", b"GIF89a" + struct.pack("<HHBBB", huge, huge, 0, 0, 0) + b";")
    bitmap = struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    yield Bomb("pixels.bmp", b"BM" + struct.pack("<III", 54, 0, 54) + bitmap)
    yield Bomb("pixels.webp", riff(b"WEBP", riff_chunk(b"VP8X", b"\0\0\0\0" + b"\xff" * 6)))


def _inflating(scale: float) -> Iterator[Bomb]:
    """Little that becomes a gigabyte."""
    size, block = round(1e9 * scale), bytes(1_000_000)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()
    yield Bomb("inflating iTXt.png", png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed)))
    yield Bomb("inflating iTXt comment.png", png(chunk(b"iTXt", b"Comment\0\1\0\0\0" + packed)))
    yield Bomb("inflating zTXt.png", png(chunk(b"zTXt", b"Comment\0\0" + packed)))
    yield Bomb("inflating profile.png", png(chunk(b"zTXt", b"Raw profile type exif\0\0" + packed)))
    yield Bomb("inflating iCCP.png", png(chunk(b"iCCP", b"icc\0\0" + packed)))
    yield Bomb("inflating zxIf.png", png(chunk(b"zxIf", b"\0" + struct.pack(">I", 2**31) + packed)))
    yield Bomb("inflating cmov.mov", brand(b"qt  ") + box(b"moov", box(b"cmov", _packed_header(packed))))


def _packed_header(packed: bytes) -> bytes:
    """QuickTime's compressed movie header."""
    return box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", 2**31) + packed)


def _zeros(scale: float) -> Iterator[Bomb]:
    size = round(1e9 * scale)
    yield Bomb("zeros.jpg", b"", "stays", size)
    yield Bomb("zeros behind a photo.jpg", tiny_jpeg(3), "filed", size)
    yield Bomb("zeros behind the start.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0", "filed", size)
    yield Bomb("zeros behind a brand.mp4", brand(b"isom"), "filed", size)
    yield Bomb("zeros behind a signature.tif", b"II*\0\x08\0\0\0", "filed", size)
    yield Bomb("empty.jpg", b"", "stays")


def _directories(scale: float) -> Iterator[Bomb]:
    """TIFF directories that lead back, go down without end, or promise gigabytes."""
    for name, entries, next_at in (
        ("leads to itself", [text(_MAKE, b"x")], 8),
        ("is its own EXIF", [number(_EXIF_IFD, 8)], 0),
        ("is its own child", [number(_SUB_IFDS, 8)], 0),
        ("is its own GPS", [number(0x8825, 8), number(_EXIF_IFD, 8)], 8),
        ("leads outside", [number(_EXIF_IFD, 2**32 - 2)], 2**31),
        ("has a billion children", [Entry(_SUB_IFDS, LONG, 2**30, struct.pack("<I", 8))], 0),
    ):
        yield Bomb(f"directory {name}.tif", tiff(*entries, next_at=next_at))
        yield Bomb(f"directory {name}.jpg", exif_jpeg(tiff(*entries, next_at=next_at)))
    for kind in (0, ASCII, LONG, RATIONAL, UNDEFINED, DOUBLE, 13, 255, 65535):
        for count in (2**28, 2**31, 2**32 - 1):
            liars = [Entry(tag, kind, count, b"\x08\0\0\0") for tag in (0x10E, _MAKE, _XMP_TAG, _DATE, _MAKER_NOTE)]
            yield Bomb(f"count {count} of type {kind}.jpg", exif_jpeg(tiff(*liars)))
            yield Bomb(f"count {count} of type {kind}.tif", tiff(*liars))
    yield Bomb("directories in a chain.tif", _chain(round(100_000 * scale), None))
    yield Bomb("directories nested.tif", _chain(round(100_000 * scale), _SUB_IFDS))
    yield Bomb("directories nested as EXIF.tif", _chain(round(100_000 * scale), _EXIF_IFD))
    million = round(1_000_000 * scale)
    many = [number(0xC000 + index % 0x2000, index) for index in range(min(million, 65_535))]
    length = len(directory(many, 8))
    ends = [8 + length * (index + 1) for index in range(max(1, million // 65_535))]
    whole = b"".join(directory(many, end - length, end) for end in ends)
    yield Bomb("entries by the million.tif", b"II*\0\x08\0\0\0" + whole)
    big = b"".join(struct.pack("<HHQQ", 0xC000 + index % 0x2000, LONG8, 1, index) for index in range(million))
    yield Bomb("entries by the million, big.tif", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, million) + big + bytes(8))


def _chain(length: int, pointer: int | None) -> bytes:
    """Directories that each lead to the next: as the next one, or through a tag that points to a child."""
    size = 2 + 12 + 4
    whole = b"II*\0\x08\0\0\0"
    parts = []
    for index in range(length):
        onward = 8 + size * (index + 1)
        entries = [number(0x100 if pointer is None else pointer, onward)]
        parts.append(directory(entries, onward - size, onward if pointer is None else 0))
    return whole + b"".join(parts)


def _boxes(scale: float) -> Iterator[Bomb]:
    """Boxes and chunks that never end, hold themselves, or are larger than the world."""
    depth = round(10_000 * scale)
    for kind, ending in ((b"isom", "mp4"), (b"qt  ", "mov"), (b"heic", "heic"), (b"crx ", "cr3")):
        begin = brand(kind)
        for size in (0, 1, 7, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1):
            for name in (b"moov", b"meta", b"mdat"):
                inner = box(b"udta", box(b"mvhd", bytes(100), size), size)
                yield Bomb(f"{name.decode()} of size {size}.{ending}", begin + box(name, inner, size))
        for names in ([b"moov"], [b"moov", b"trak", b"mdia", b"minf"], [b"moov", b"udta"], [b"jumb"], [b"meta"]):
            shown = " ".join(one.decode() for one in names)
            yield Bomb(f"nested {shown}.{ending}", begin + nested(names, depth))
        small = box(b"free") * round(1_000_000 * scale)
        yield Bomb(f"boxes by the million.{ending}", begin + box(b"moov", small) + ending.encode())
    signature = box(b"JXL ", b"\r\n\x87\n")
    for size in (0, 1, 2**63, 2**64 - 1):
        yield Bomb(f"Exif of size {size}.jxl", signature + brand(b"jxl ") + box(b"Exif", b"\0\0\0\0II*\0", size))
    yield Bomb("nested jumb.jxl", signature + brand(b"jxl ") + nested([b"jumb"], depth))
    items = b"\0\0\0\0" + struct.pack(">BBH", 0x88, 0x80, 1)
    items += struct.pack(">HHQHQQ", 1, 0, 2**63, 1, 2**63, 2**63 - 1)  # item 1 is everywhere at once
    information = b"\0\0\0\0\0\1" + box(b"infe", b"\2\0\0\0\0\1\0\0Exif\0")
    meta = b"\0\0\0\0" + box(b"hdlr", bytes(8) + b"pict" + bytes(13)) + box(b"iinf", information) + box(b"iloc", items)
    yield Bomb("Exif beyond the end.heic", brand(b"heic") + box(b"meta", meta))
    for size in (2**31, 2**32 - 1):
        for name in (b"EXIF", b"XMP ", b"ICCP", b"VP8X", b"LIST"):
            lie = riff_chunk(name, b"II*\0", size)
            yield Bomb(f"{name.decode().strip()} of size {size}.webp", riff(b"WEBP", lie))
            yield Bomb(f"{name.decode().strip()} of size {size}.avi", riff(b"AVI ", lie))
    lists = b"".join(b"LIST" + struct.pack("<I", 12 * (depth - level) - 8) + b"INFO" for level in range(depth))
    yield Bomb("nested LIST.avi", riff(b"AVI ", lists))
    header = element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", b"matroska"))
    tags = b""
    for _ in range(depth // 10):
        tags = element(b"\x67\xc8", tags)
    segment_id, endless = b"\x18\x53\x80\x67", b"\x01" + b"\xff" * 7
    inside = element(b"\x12\x54\xc3\x67", element(b"\x73\x73", tags))
    yield Bomb("nested tags.mkv", header + element(segment_id, inside))
    yield Bomb("endless.mkv", header + segment_id + endless + (b"\x1f\x43\xb6\x75" + endless) * 1000)
    for size in (0, 2**31, 2**32 - 1):
        lie = struct.pack(">I", size)
        yield Bomb(f"chunk of size {size}.png", png().replace(b"IDAT", b"eXIf" + lie + b"tEXt", 1))
    yield Bomb("segments without end.jpg", b"\xff\xd8" + segment(0xE1, b"Exif\0\0") * 50_000)
    yield Bomb("fill bytes without end.jpg", b"\xff\xd8" + b"\xff" * round(100e6 * scale))


def _entities(scale: float, secret: Path) -> Iterator[Bomb]:
    """XMP that grows when it is read, or asks for other files."""
    laughs = b'<!DOCTYPE x [<!ENTITY a0 "ha">'
    laughs += b"".join(b'<!ENTITY a%d "%s">' % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, 30))
    quadratic = b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 20_000 + b'">'
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file://%s">' % os.fsencode(secret)
    parameter = b'<!DOCTYPE x [<!ENTITY %% p SYSTEM "file://%s"> %%p; <!ENTITY a "x">' % os.fsencode(secret)
    depth = round(10_000 * scale)
    packets = {
        "laughs": _xmp(b"&a29;", laughs + b"]>"),
        "quadratic": _xmp(b"&a;" * 5_000, quadratic + b"]>"),
        "outside": _xmp(b"&a;", outside + b"]>"),
        "parameter": _xmp(b"&a;", parameter + b"]>"),
        "include": _xmp(b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="%s"/>' % os.fsencode(secret)),
        "itself": _xmp(b"&a;", b'<!DOCTYPE x [<!ENTITY a "&a;">]>'),
        "nested": _xmp(b"<rdf:Seq><rdf:li>" * depth + b"</rdf:li></rdf:Seq>" * depth),
        "unclosed": _xmp(b"<rdf:Seq><rdf:li>" * 1000),
        "characters": _xmp(b"&#0;&#xD800;&#x110000;&#x1B;[31m" * 100),
        "encoding": b'<?xml version="1.0" encoding="UTF-32"?>' + _xmp(b"x"),
        "large": _xmp(b"x" * round(100e6 * scale)),
        "many": _xmp(b"<rdf:Bag>" + b"<rdf:li>x</rdf:li>" * round(5_000_000 * scale) + b"</rdf:Bag>"),
    }
    for turn, (name, packet) in enumerate(packets.items()):
        if len(packet) < 65_000:
            yield Bomb(f"XMP {name}.jpg", jpeg(segment(0xE1, XMP_NAMESPACE + packet)))
        yield Bomb(f"XMP {name}.png", png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)))
        yield Bomb(f"XMP {name}.tif", tiff(Entry(_XMP_TAG, 1, len(packet), packet)))
        yield Bomb(f"XMP {name}.webp", riff(b"WEBP", riff_chunk(b"VP8X", bytes(10)), riff_chunk(b"XMP ", packet)))
        yield Bomb(f"sidecar {name}.jpg", tiny_jpeg(100 + turn))
        yield Bomb(f"sidecar {name}.jpg.xmp", b'<?xml version="1.0"?>' + packet, "stays")
    for turn, snare in enumerate(("fifo", "link", "device", "loop")):
        yield Bomb(f"sidecar {snare}.jpg", tiny_jpeg(200 + turn))
    extended = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">II", 2**32 - 1, 2**32 - 5) + b"x"
    yield Bomb("XMP extended.jpg", jpeg(segment(0xE1, XMP_NAMESPACE + _xmp(b"x")), *[segment(0xE1, extended)] * 100))


def _xmp(value: bytes, doctype: bytes = b"") -> bytes:
    """A packet that gives this value for what is looked for."""
    names = (b"xmp:CreateDate", b"photoshop:DateCreated", b"exif:DateTimeOriginal", b"tiff:Make", b"tiff:Model")
    values = b"".join(b"<%s>%s</%s>" % (name, value, name) for name in names[: 1 if len(value) > 100_000 else None])
    return (
        doctype
        + b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        b'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/" '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/">' + values + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def _strings(scale: float) -> Iterator[Bomb]:
    """Text for the ledger and the log that neither takes as it is."""
    long = round(10e6 * scale)
    values = {
        "NUL": b"Can\0on\0\0",
        "surrogate": b"\xed\xa0\x80\xed\xb2\x80",
        "no UTF-8": b"\xff\xfe\x80\xc3",
        "escapes": b"\x1b[31m\x1b[2J\x1b]0;title\x07\r\n\x9b31m",
        "bidi": "\u202egpj\u2066\ufeff\u2028".encode(),
        "SQL": b"'; DROP TABLE media_assets; --",
        "format": b"%s %(x)s {0} \\u0000 \\x00",
        "JSON": b'"}], "x": "\\ud800',
        "sentinel": b"{ready1}\n{ready2}\n{quiet1}",
        "blank": b" " * 1000,
    }
    for name, value in values.items():
        both = (text(_MAKE, value), text(0x110, value), text(_DATE, value), text(0x9291, value), text(0x9011, value))
        yield Bomb(f"string {name}.jpg", exif_jpeg(tiff(*both)))
        yield Bomb(f"string {name}.tif", tiff(*both))
        yield Bomb(f"string {name}.png", png(chunk(b"eXIf", tiff(*both))))
    for turn, filling in enumerate((b"x", b"\0", b"\x1b", b"\xff", b"9")):
        yield Bomb(f"string long {turn}.tif", tiff(text(_MAKE, filling * long), text(_DATE, filling * long)))


def _dates() -> Iterator[Bomb]:
    for turn, date in enumerate(_DATES):
        for offset in ("+99:99", "-14:00", "+00:00"):
            entries = (text(0x9004, date.encode()), text(_DATE, date.encode()), text(0x9011, offset.encode()))
            fraction = text(0x9291, b"9" * 100 + b"%d" % turn)
            yield Bomb(f"date {turn} {offset[:3]}.jpg", exif_jpeg(tiff(*entries, fraction)))
    for seconds in (0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1):
        header = b"\1\0\0\0" + struct.pack(">QQIQ", seconds, seconds, 1, 2**64 - 1) + bytes(80)
        yield Bomb(f"date {seconds}.mp4", brand(b"isom") + box(b"moov", box(b"mvhd", header)))
        yield Bomb(f"date {seconds} no scale.mp4", brand(b"isom") + box(b"moov", box(b"mvhd", header[:20] + bytes(92))))


def _places() -> Iterator[Bomb]:
    def three(kind: int, value: bytes) -> Entry:
        return Entry(0, kind, 3, value * 3)

    most = 2**32 - 1
    sides = {
        "divided by zero": three(RATIONAL, struct.pack("<II", 1, 0)),
        "nothing by nothing": three(RATIONAL, struct.pack("<II", 0, 0)),
        "too far": three(RATIONAL, struct.pack("<II", most, 1)),
        "nan": three(DOUBLE, struct.pack("<d", float("nan"))),
        "inf": three(DOUBLE, struct.pack("<d", float("inf"))),
        "largest": three(DOUBLE, struct.pack("<d", 1.7e308)),
        "words": Entry(0, ASCII, 9, b"nowhere \0"),
        "gigabyte": Entry(0, RATIONAL, 2**28, b"\x08\0\0\0"),
    }
    for name, side in sides.items():
        for ref in (b"N\0", b"S\0", b"\xff\xff"):
            entries = (Entry(1, ASCII, 2, ref), side._replace(tag=2), Entry(3, ASCII, 2, ref), side._replace(tag=4))
            date = text(29, b"9999:99:99")
            yield Bomb(f"place {name} {ref[0]}.jpg", exif_jpeg(tiff_with_gps(*entries, date, side._replace(tag=7))))


def _maker_notes(chance: random.Random) -> Iterator[Bomb]:
    for maker in (*_MAKERS, *_MORE_MAKERS):
        for turn in range(2):
            known = {"NIKON CORPORATION": b"Nikon\0\2\x10\0\0II*\0\x08\0\0\0", "FUJIFILM": b"FUJIFILM\x0c\0\0\0"}
            starts = known.get(maker, b"\x20\0" if turn else b"%s\0" % maker.encode())
            junk = starts + chance.randbytes(chance.choice((16, 1000, 60_000)))
            entries = (text(_MAKE, maker.encode()), Entry(_MAKER_NOTE, UNDEFINED, len(junk), junk))
            yield Bomb(f"maker note {maker} {turn}.jpg", exif_jpeg(tiff(*entries)))
