"""Puts ISO media and QuickTime files together (ISO/IEC 14496-12, 23008-12; Apple's QuickTime file format)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.libraries import pieces
from benchmarks.libraries.jpeg import icc
from benchmarks.libraries.moments import TAKEN, quicktime

_TILE = 512


def box(name: str, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", len(data) + 8, name.encode("latin-1")) + data


def full_box(name: str, version: int, flags: int, *content: bytes) -> bytes:
    return box(name, (version << 24 | flags).to_bytes(4, "big"), *content)


def boxes(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and whole bytes of each box."""
    at = 0
    while at + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, at + 8)
        size = size or len(content) - at
        yield name.decode("latin-1"), content[at : at + size]
        at += size


def film(clip: bytes, size: int, brand: bytes, *more: bytes) -> bytes:
    """A clip of ffmpeg's as a phone writes it: `brand` first, picture data up to `size`, more boxes in its `moov`.

    The clip's `moov` must come last, as phones write it: what is added changes no offset then. Its dates become TAKEN.
    """
    parts = dict(boxes(clip))
    head = box("ftyp", brand)
    lead = clip.index(parts["mdat"])
    if len(head) < lead:  # the media data stays where the offsets say that it is
        head += box("free", bytes(lead - len(head) - 8))
    moov = _with_dates(parts["moov"])
    moov = box("moov", *(part for name, part in boxes(moov[8:]) if name != "udta"), *more)
    media = parts["mdat"]
    filling = pieces.noise(max(0, size - len(clip)), "film")[: max(0, size - len(clip))]
    media = struct.pack(">I4s", len(media) + len(filling), b"mdat") + media[8:] + filling
    return head + media + moov


def _with_dates(moov: bytes) -> bytes:
    """The creation and modification times of the film, its tracks and their media (version 0 of each box)."""
    changed = bytearray(moov)
    time = quicktime(TAKEN).to_bytes(4, "big")
    for name in (b"mvhd\0", b"tkhd\0", b"mdhd\0"):
        at = changed.find(name)
        while at >= 0:
            changed[at + 8 : at + 16] = time + time
            at = changed.find(name, at + 1)
    return bytes(changed)


def keys(said: Mapping[str, str | int]) -> bytes:
    """Apple's metadata: a list of keys, and their values."""
    names = b"".join(box("mdta", key.encode()) for key in said)
    items = b"".join(
        box_of(index, box("data", struct.pack(">II", 1 if isinstance(value, str) else 67, 0), _value(value)))
        for index, value in enumerate(said.values(), start=1)
    )
    handler = full_box("hdlr", 0, 0, bytes(4) + b"mdta" + bytes(14))
    return box("meta", handler, full_box("keys", 0, 0, len(said).to_bytes(4, "big"), names), box("ilst", items))


def box_of(number: int, content: bytes) -> bytes:
    """A box whose name is a number."""
    return struct.pack(">II", len(content) + 8, number) + content


def _value(value: str | int) -> bytes:
    return value.encode() if isinstance(value, str) else value.to_bytes(4, "big")


def boxed(sample: Path, size: int) -> bytes:
    """A sample that was cut down to its metadata, filled up to `size` with a box of nothing."""
    content = sample.read_bytes()
    return content + box("free", pieces.noise(size, sample.name)[: size - len(content)])


def international(name: str, words: str) -> bytes:
    """A text of QuickTime's user data, in no language."""
    data = words.encode()
    return box(name, struct.pack(">HH", len(data), 0x15C7) + data)


def heic(width: int, height: int, exif: bytes, size: int, *, brand: bytes, turned: int = 0) -> bytes:
    """A photo of tiles as iPhones write it: a grid, a small picture of it, its Exif; picture data up to `size`.

    Each tile is the same one, encoded by pillow-heif. `exif`: a TIFF structure. `turned`: quarters, against the clock.
    """
    tile, decoder = _tile()
    columns, rows = -(-width // _TILE), -(-height // _TILE)
    tiles = columns * rows
    grid, small, exif_item = tiles + 1, tiles + 2, tiles + 3
    grid_data = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    exif_data = struct.pack(">I", 6) + b"Exif\0\0" + exif

    items = [(number, "hvc1") for number in range(1, tiles + 1)]
    items += [(grid, "grid"), (small, "hvc1"), (exif_item, "Exif")]
    iinf = full_box(
        "iinf", 0, 0, len(items).to_bytes(2, "big"),
        *(full_box("infe", 2, 1 if number <= tiles else 0, struct.pack(">HH4s", number, 0, kind.encode()), b"\0")
          for number, kind in items),
    )  # fmt: skip
    iref = full_box(
        "iref", 0, 0,
        box("dimg", struct.pack(f">HH{tiles}H", grid, tiles, *range(1, tiles + 1))),
        box("thmb", struct.pack(">HHH", small, 1, grid)),
        box("cdsc", struct.pack(">HHH", exif_item, 1, grid)),
    )  # fmt: skip
    properties = [
        box("colr", b"prof", icc()),
        decoder,
        full_box("ispe", 0, 0, struct.pack(">II", _TILE, _TILE)),
        full_box("ispe", 0, 0, struct.pack(">II", width, height)),
        box("irot", bytes([turned])),
        full_box("pixi", 0, 0, b"\x03\x08\x08\x08"),
    ]
    of_tile, of_grid = (0x01, 0x82, 0x03), (0x01, 0x04, 0x85, 0x06)
    linked = [(number, of_grid if number == grid else of_tile) for number, kind in items if kind != "Exif"]
    ipma = full_box(
        "ipma", 0, 0, len(linked).to_bytes(4, "big"),
        *(struct.pack(">HB", number, len(which)) + bytes(which) for number, which in linked),
    )  # fmt: skip

    def meta(start: int) -> bytes:
        """`start`: where the media data begins."""
        places = [struct.pack(">HHHHII", grid, 1, 0, 1, 0, len(grid_data))]
        at = start
        for number, kind in items:
            if kind == "grid":
                continue
            length = len(exif_data) if kind == "Exif" else len(tile)
            places.append(struct.pack(">HHHHII", number, 0, 0, 1, at, length))
            at += length
        iloc = full_box("iloc", 1, 0, b"\x44\0", len(places).to_bytes(2, "big"), *places)
        return full_box(
            "meta", 0, 0,
            full_box("hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            box("dinf", full_box("dref", 0, 0, b"\0\0\0\x01", full_box("url ", 0, 1))),
            full_box("pitm", 0, 0, grid.to_bytes(2, "big")),
            iinf, iref,
            box("iprp", box("ipco", *properties), ipma),
            box("idat", grid_data),
            iloc,
        )  # fmt: skip

    head = box("ftyp", brand)
    media = tile * (tiles + 1) + exif_data
    media += pieces.noise(max(0, size - len(media)), "heic")[: max(0, size - len(media))]
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box("mdat", media)


def _tile() -> tuple[bytes, bytes]:
    """One tile's coded data, and the box that configures its decoder."""
    encoded = pieces.heic(_TILE, _TILE)
    at = encoded.index(b"hvcC") - 4
    (size,) = struct.unpack_from(">I", encoded, at)
    media = dict(boxes(encoded))["mdat"]
    return media[8:], encoded[at : at + size]
