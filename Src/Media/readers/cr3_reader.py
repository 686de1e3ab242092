"""The fast reader for Canon's raw photos of today (CR3): ISO boxes, and EXIF in blocks of its own for each directory.

It answers only where its answer provably equals ExifTool's, and that is where the blocks come before all else that
ExifTool would take a size or a date from.
"""

from __future__ import annotations

import struct

from Src.Media.readers.exif_format import CAMERA, EXIF_POINTER, GPS_POINTER, LONG, SHORT, byte_order
from Src.Media.readers.exif_reader import read_exif
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.iso_boxes import PADDING, Box, IsoFile, boxes_in, demand_once, sample_entries, unknown_box
from Src.Media.readers.xmp_reader import read_xmp
from Src.Media.tags import Tags

_TOP = frozenset({b"ftyp", b"moov", b"uuid", b"mdat", b"free", b"skip"})
_METADATA = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_PREVIEW = bytes.fromhex("eaf42b5e1c984b88b9fbb7dc406e4d16")
_CANON = frozenset({b"CNCV", b"CCTP", b"CTBO", b"CMT1", b"CMT2", b"CMT3", b"CMT4", b"THMB", b"free"})
# The way to the tables of a track's samples, and those tables by the bytes of one row (`stsz` has none).
_TRACK = frozenset({b"tkhd", b"mdia", b"edts", b"tref"})
_MEDIA = frozenset({b"mdhd", b"hdlr", b"minf"})
_INFORMATION = frozenset({b"vmhd", b"nmhd", b"dinf", b"stbl"})
_ROWS = {b"stts": 8, b"stsc": 12, b"stco": 4, b"co64": 8}
_TABLES = frozenset({b"stsd", b"stsz", b"free", *_ROWS})
_LARGE_SAMPLE = 32 * 2**20  # bytes
_MOST_SAMPLES = 256  # of a burst; ExifTool goes through all of them
_MAIN, _EXIF, _NOTES, _GPS = b"CMT1", b"CMT2", b"CMT3", b"CMT4"
_SIZE_IN_MAIN, _SIZE_IN_EXIF = (0x100, 0x101), (0xA002, 0xA003)
_ANOTHER_SIZE = (b"ImageWidth", b"ImageLength", b"ImageHeight")


def read_cr3(fd: int) -> FastAnswer:
    """The tags of a raw photo. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    file = IsoFile(fd)
    movie: Box | None = None
    packet = b""
    for box in file.known_boxes(_TOP, needs_type=True):
        if box.name == b"moov":
            if movie is not None:
                raise Unusual("doubled box")
            movie = box
        elif box.name == b"uuid":
            user = file.read(box.start, min(box.end, box.start + 16))
            if user == _XMP and movie is not None and not packet:
                packet = file.read(box.start + 16, box.end)
            elif user != _PREVIEW:
                raise unknown_box(box.name)
    if movie is None:
        raise Unusual("no table of contents")
    tags = _tags(file.read(movie.start, movie.end), file.size)
    other_dates = "MakerNotes date"  # and each film of a raw burst has a clock
    if packet:
        if any(word in packet for word in _ANOTHER_SIZE):
            raise Unusual("XMP with a size")
        read_xmp(packet, tags)
    return FastAnswer(tags, other_dates)


def _tags(movie: bytes, file_size: int) -> Tags:
    parts = boxes_in(movie, 0, len(movie), {b"uuid", b"mvhd", b"trak", b"free"})
    demand_once(parts, {b"uuid", b"mvhd"})
    if not parts or parts[0].name != b"uuid" or movie[parts[0].start : parts[0].start + 16] != _METADATA:
        raise Unusual("order of boxes")
    for part in parts:
        if part.name == b"trak":
            _demand_plain_track(movie, part, file_size)
    found = boxes_in(movie, parts[0].start + 16, parts[0].end, _CANON)
    demand_once(found, _CANON - {b"free"})
    blocks = {box.name: movie[box.start : box.end] for box in found}
    if not blocks.keys() >= {b"CNCV", _MAIN, _EXIF, _NOTES} or not blocks[b"CNCV"].startswith(b"CanonCR3"):
        raise Unusual("Canon's raw film")
    tags: Tags = {}
    read_exif(blocks[_MAIN], tags, in_jpeg=False)
    if any(f"EXIF:{name}" not in tags for name in CAMERA.values()):
        raise Unusual("no camera in EXIF")
    read_exif(_led_to(blocks[_EXIF], EXIF_POINTER), tags)
    if _GPS in blocks:
        read_exif(_led_to(blocks[_GPS], GPS_POINTER), tags)
    size = _numbers(blocks[_MAIN], _SIZE_IN_MAIN)
    if 0 in size or size != _numbers(blocks[_EXIF], _SIZE_IN_EXIF):
        raise Unusual("size of an image")
    tags["Composite:ImageSize"] = f"{size[0]} {size[1]}"
    return tags


def _demand_plain_track(movie: bytes, track: Box, file_size: int) -> None:
    """Raises Unusual unless the tables of a track are those of some pictures: ExifTool looks into the samples."""
    inside = track
    for known, inner in ((_TRACK, b"mdia"), (_MEDIA, b"minf"), (_INFORMATION, b"stbl")):
        parts = boxes_in(movie, inside.start, inside.end, known)
        demand_once(parts, known)
        within = [part for part in parts if part.name == inner]
        if not within:
            raise Unusual("track without a header")
        inside = within[0]
    tables = boxes_in(movie, inside.start, inside.end, _TABLES)
    demand_once(tables, _TABLES - PADDING)
    for table in tables:
        if table.name == b"stsd":
            sample_entries(movie, table)
        place = table.start + (8 if table.name == b"stsz" else 4)
        if table.name in _ROWS or table.name == b"stsz":
            count = int.from_bytes(movie[place : place + 4], "big")
            row = _ROWS.get(table.name, 0 if any(movie[table.start + 4 : place]) else 4)
            if count > _MOST_SAMPLES or table.end - place - 4 != count * row:
                raise Unusual("tables of samples")
            if table.name == b"stsz":
                sizes = struct.unpack(
                    f">{count if row else 1}I", movie[place + 4 if row else place - 4 :][: 4 * (count if row else 1)]
                )
                if max(sizes, default=0) > max(file_size, _LARGE_SAMPLE):  # ExifTool makes room for as much
                    raise Unusual("tables of samples")


def _led_to(block: bytes, pointer: int) -> bytes:
    """A block that has one directory alone, with a first directory that leads to it."""
    order = byte_order(block)
    (start,) = struct.unpack_from(order + "I", block, 4)
    first = struct.pack(order + "HHHIII", 1, pointer, LONG, 1, start, 0)
    return block[:4] + struct.pack(order + "I", len(block)) + block[8:] + first


def _numbers(block: bytes, tags: tuple[int, int]) -> list[int]:
    """The values of these tags of the first directory, which has each of them once."""
    order = byte_order(block)
    (start,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, start)
    values: list[tuple[int, int]] = []
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, form, number = struct.unpack_from(order + "HHI", block, at)
        if tag in tags:
            if number != 1 or form not in (SHORT, LONG):
                raise Unusual("size of an image")
            values.append((tag, struct.unpack_from(order + ("H" if form == SHORT else "I"), block, at + 8)[0]))
    if [tag for tag, _ in values] != list(tags):
        raise Unusual("size of an image")
    return [value for _, value in values]
