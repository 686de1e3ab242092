"""Are the picture data of a photo all there, where its head says where they stand? (TIFF and its kin, BMP)"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

# Kinds whose picture data stand where TIFF says (TIFF 6.0, sections 3 and 15). Other makers write other numbers there.
OF_TIFF = ("TIFF", "DNG", "GPR", "CR2", "NEF", "NRW", "ARW", "PEF", "SRW", "3FR")
CUT = "the file ends before its picture data"

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PLANES = 256, 257, 258, 259, 284
_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES, _SUB_IFDS = 273, 279, 324, 325, 330
_TAGS = (_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PLANES, _STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES, _SUB_IFDS)
_WIDTHS = {3: "H", 4: "I", 13: "I", 16: "Q"}
_MOST_ENTRIES, _MOST_DIRECTORIES, _MOST_NUMBERS = 512, 16, 100_000  # bounds for hostile files
# Some programs round up the size of the last strip.
_ROUNDED = 4096


def tiff_damage(fd: int) -> str | None:
    """Whether its first directory, or strips or tiles of one of its pictures, stand behind the end of the file."""
    size = os.fstat(fd).st_size
    order, is_big, first = _head(fd)
    if first >= size > 8:
        return CUT
    for starts, sizes, excess in _pictures(fd, order, first, is_big=is_big):
        for start, length in zip(starts[:-1], sizes, strict=False):
            if length and (start >= size or start + length > size + _ROUNDED):
                return CUT
        if len(sizes) >= len(starts):
            start, length = starts[-1], sizes[len(starts) - 1]
            if length and (start >= size or start + max(0, length - excess) > size + _ROUNDED):
                return CUT
    return None


def bitmap_damage(fd: int) -> str | None:
    """Whether rows are missing of a bitmap that is not compressed."""
    head = os.pread(fd, 54, 0)
    if len(head) < 54 or int.from_bytes(head[14:18], "little") < 40:
        return None
    start, _, width, height, _, bits, packing = struct.unpack_from("<IIiiHHI", head, 10)
    if packing not in (0, 3) or width <= 0 or bits not in (1, 4, 8, 16, 24, 32):
        return None
    if height == 0:
        return None
    row = (width * bits + 31) // 32 * 4
    needed = start + row * (abs(height) - 1) + (width * bits + 7) // 8  # the last one needs no padding
    return CUT if needed > os.fstat(fd).st_size else None


def _head(fd: int) -> tuple[str, bool, int]:
    """The order of bytes, whether it is BigTIFF, and where the first directory stands (0: nowhere)."""
    head = os.pread(fd, 16, 0)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        return "<", False, 0
    is_big = struct.unpack_from(order + "H", head, 2)[0] == 43
    return order, is_big, struct.unpack_from(order + ("Q" if is_big else "I"), head, 8 if is_big else 4)[0]


def _pictures(
    fd: int, order: str, first: int, *, is_big: bool
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Where the parts of each picture begin, how many bytes each has, and how many of the last are none of its."""
    waiting = [first]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        start = waiting.pop(0)
        if start == 0 or start in seen or start >= 1 << 62:
            continue
        seen.add(start)
        values, following = _directory(fd, order, start, is_big=is_big)
        waiting += values.get(_SUB_IFDS, ())[:_MOST_DIRECTORIES]
        waiting.append(following)
        if _STRIPS in values and _STRIP_SIZES in values:
            yield values[_STRIPS], values[_STRIP_SIZES], _excess(values)
        if _TILES in values and _TILE_SIZES in values:
            yield values[_TILES], values[_TILE_SIZES], 0


def _excess(values: dict[int, tuple[int, ...]]) -> int:
    """Bytes that strips without compression state beyond their picture: libtiff reads such a file as whole."""
    is_plain = values.get(_COMPRESSION, (1,)) == (1,) and values.get(_PLANES, (1,)) == (1,)
    if not is_plain or _WIDTH not in values or _HEIGHT not in values:
        return 0
    row = (values[_WIDTH][0] * sum(values.get(_BITS, (1,))) + 7) // 8
    return max(0, sum(values[_STRIP_SIZES]) - row * values[_HEIGHT][0])


def _directory(fd: int, order: str, start: int, *, is_big: bool) -> tuple[dict[int, tuple[int, ...]], int]:
    """The numbers that matter here, by tag, and where the next directory stands (0: nowhere)."""
    entry, count_format, word = (20, "Q", "Q") if is_big else (12, "H", "I")
    first = struct.calcsize(count_format)
    count_bytes = os.pread(fd, first, start)
    if len(count_bytes) < first:
        return {}, 0
    count = struct.unpack(order + count_format, count_bytes)[0]
    if not 0 < count <= _MOST_ENTRIES:
        return {}, 0
    inside = struct.calcsize(word)
    table = os.pread(fd, count * entry + inside, start + first)
    values: dict[int, tuple[int, ...]] = {}
    for at in range(0, len(table) - entry + 1, entry):
        tag, kind = struct.unpack_from(order + "HH", table, at)
        number = struct.unpack_from(order + word, table, at + 4)[0]
        letter = _WIDTHS.get(kind)
        if tag not in _TAGS or letter is None or tag in values:
            continue
        if not 0 < number <= _MOST_NUMBERS:
            continue
        length = number * struct.calcsize(letter)
        value = table[at + entry - inside : at + entry]
        if length > inside:
            place = struct.unpack(order + word, value)[0]
            value = os.pread(fd, length, place) if place < 1 << 62 else b""
        if len(value) >= length:
            values[tag] = struct.unpack(f"{order}{number}{letter}", value[:length])
    ending = table[count * entry :]
    return values, struct.unpack(order + word, ending)[0] if len(ending) == inside else 0
