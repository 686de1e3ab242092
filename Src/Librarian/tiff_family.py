"""Tells a raw photo that is TIFF inside (DNG, CR2, NEF, ARW, PEF, SRW) from a plain TIFF.

A raw photo shows itself by the DNGVersion tag, or by sensor data (PhotometricInterpretation "CFA", TIFF/EP 32803, or
a maker's own Compression) in one of its image directories; whose it is, its Make tag says.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

ReadAt = Callable[[int, int], bytes]  # (offset, size) -> bytes, fewer at the end of the file

_COMPRESSION, _PHOTOMETRIC, _MAKE, _SUB_IFDS, _DNG_VERSION = 0x103, 0x106, 0x10F, 0x14A, 0xC612
_CFA = 32803
_MAKERS_COMPRESSION = {32767: "ARW", 32769: "SRW", 32770: "SRW", 32772: "SRW", 34713: "NEF", 65535: "PEF"}
_BY_MAKE = {
    b"NIKON": "NEF",
    b"SONY": "ARW",
    b"PENTAX": "PEF",
    b"RICOH": "PEF",
    b"ASAHI": "PEF",
    b"SAMSUNG": "SRW",
    b"CANON": "CR2",
}
_MOST_ENTRIES, _MOST_DIRECTORIES = 512, 16  # far beyond any camera's; a bound for hostile files


def kind_of_tiff(read_at: ReadAt) -> str:
    """`TIFF`, or the raw kind that the file really is."""
    header = read_at(0, 16)
    if header[:4] in (b"II+\0", b"MM\0+"):
        return "TIFF"  # BigTIFF: no camera writes raw photos so
    if header[8:10] == b"CR" and header[:2] == b"II":
        return "CR2"
    order = "<" if header[:2] == b"II" else ">"
    make, sensor_data = b"", False
    for tag, value in _entries(read_at, order, header):
        if tag == _DNG_VERSION:
            return "DNG"
        if tag == _MAKE and not make:
            make = read_at(value, 16).upper()
        if tag == _COMPRESSION and value in _MAKERS_COMPRESSION:
            return _MAKERS_COMPRESSION[value]
        if tag == _PHOTOMETRIC and value == _CFA:
            sensor_data = True
    if sensor_data:
        return next((kind for name, kind in _BY_MAKE.items() if make.startswith(name)), "TIFF")
    return "TIFF"


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
