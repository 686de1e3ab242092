"""Tells a raw photo that is TIFF inside (DNG, CR2, NEF, ARW, 3FR, …) from a plain TIFF.

A raw photo shows itself by the DNGVersion tag, or by sensor data (PhotometricInterpretation "CFA", TIFF/EP 32803, or
a maker's own Compression) in one of its image directories; whose it is, its Make tag says.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

ReadAt = Callable[[int, int], bytes]  # (offset, size) -> bytes, fewer at the end of the file

_COMPRESSION, _PHOTOMETRIC, _MAKE, _MODEL, _SUB_IFDS, _DNG_VERSION = 0x103, 0x106, 0x10F, 0x110, 0x14A, 0xC612
_CFA = 32803
_JPEG = 6  # as TIFF had it first; an NRW's first directory has its thumbnail so
_MAKERS_COMPRESSION = {
    32767: "ARW",
    32769: "SRW",
    32770: "SRW",
    32772: "SRW",
    32867: "KDC",
    34713: "NEF",
    65000: "DCR",
    65535: "PEF",
}
_BY_MAKE = {
    b"NIKON": "NEF",
    b"SONY": "ARW",
    b"PENTAX": "PEF",
    b"RICOH": "PEF",
    b"ASAHI": "PEF",
    b"SAMSUNG": "SRW",
    b"CANON": "CR2",
    b"HASSELBLAD": "3FR",
    b"SEIKO EPSON": "ERF",
    b"MAMIYA": "MEF",
    b"LEAF": "MOS",
    b"PHASE ONE": "IIQ",
    b"EASTMAN KODAK": "KDC",
    b"KODAK": "DCR",
}
# Sony's raw photos before ARW had other names.
_SONY_MODELS = {b"DSC-R1": "SR2", b"DSC-F828": "SRF", b"DSC-V3": "SRF"}
_MOST_ENTRIES, _MOST_DIRECTORIES = 512, 16  # far beyond any camera's; a bound for hostile files


def kind_of_tiff(read_at: ReadAt) -> str:
    """`TIFF`, or the raw kind that the file really is."""
    header = read_at(0, 16)
    if header[:4] in (b"II+\0", b"MM\0+"):
        return "TIFF"  # BigTIFF: no camera writes raw photos so
    if header[8:10] == b"CR" and header[:2] == b"II":
        return "CR2"
    if header[8:12] in (b"IIII", b"MMMM"):
        return "IIQ"
    order = "<" if header[:2] == b"II" else ">"
    make, model, first_compression = b"", b"", 0
    sensor_data, by_compression = False, ""
    for tag, value in _entries(read_at, order, header):
        if tag == _DNG_VERSION:
            return "GPR" if make.startswith(b"GOPRO") else "DNG"
        if tag == _MAKE and not make:
            make = read_at(value, 16).upper()
        if tag == _MODEL and not model:
            model = read_at(value, 16).upper()
        if tag == _COMPRESSION:
            first_compression = first_compression or value
            by_compression = by_compression or _MAKERS_COMPRESSION.get(value, "")
        if tag == _PHOTOMETRIC and value == _CFA:
            sensor_data = True
        if by_compression:
            break
    kind = by_compression
    if sensor_data and not kind:
        kind = next((kind for name, kind in _BY_MAKE.items() if make.startswith(name)), "TIFF")
    if kind == "NEF" and first_compression == _JPEG:
        return "NRW"
    if kind == "ARW":
        return next((kind for name, kind in _SONY_MODELS.items() if model.startswith(name)), "ARW")
    return kind or "TIFF"


def kind_of_panasonic(read_at: ReadAt) -> str:
    """`RW2`, or `RWL` where a Leica wrote it; the directories of both are TIFF's."""
    for tag, value in _entries(read_at, "<", read_at(0, 16)):
        if tag == _MAKE:
            return "RWL" if read_at(value, 16).upper().startswith(b"LEICA") else "RW2"
    return "RW2"


def _entries(read_at: ReadAt, order: str, header: bytes) -> Iterator[tuple[int, int]]:
    """(tag, value or offset of the value) of every directory, sub-directories last."""
    if len(header) < 8:
        return
    waiting = [struct.unpack_from(order + "I", header, 4)[0]]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        offset = waiting.pop(0)
        if offset in seen or offset == 0:
            continue
        seen.add(offset)
        count_bytes = read_at(offset, 2)
        if len(count_bytes) < 2:
            continue
        count = min(struct.unpack(order + "H", count_bytes)[0], _MOST_ENTRIES)
        table = read_at(offset + 2, count * 12 + 4)
        for at in range(0, min(count * 12, len(table) - 11), 12):
            tag, kind, number = struct.unpack_from(order + "HHI", table, at)
            # A single SHORT stands in the first two bytes of the value field (TIFF 6.0, section 2).
            value = struct.unpack_from(order + ("H" if kind == 3 and number == 1 else "I"), table, at + 8)[0]
            if tag == _SUB_IFDS:
                size = 4 * min(number, _MOST_DIRECTORIES)
                offsets = read_at(value, size) if number > 1 else table[at + 8 : at + 12]
                waiting.extend(struct.unpack(f"{order}{len(offsets) // 4}I", offsets[: len(offsets) // 4 * 4]))
            else:
                yield tag, value
        if len(table) == count * 12 + 4:
            waiting.append(struct.unpack_from(order + "I", table, count * 12)[0])
