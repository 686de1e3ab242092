"""Films made of packets: is a Flash video, a Windows Media film or an Ogg film cut short?"""

from __future__ import annotations

import os
import struct

_MOST_TAGS = 5_000_000
_FLASH_TAGS = (8, 9, 18)
_LARGEST_PAGE = 27 + 255 + 255 * 255  # RFC 3533, section 6
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


def flash_damage(fd: int) -> str | None:
    """Why an FLV is broken: its last tag states more than there is. What follows the last whole tag is no damage."""
    size = os.fstat(fd).st_size
    last = int.from_bytes(os.pread(fd, 4, size - 4), "big") if size > 24 else 0
    if 11 <= last <= size - 17 and _tag_size(os.pread(fd, 11, size - 4 - last)) == last:
        return None
    position = int.from_bytes(os.pread(fd, 4, 5), "big") + 4
    for _ in range(_MOST_TAGS):
        header = os.pread(fd, 11, position)
        if not header or header[0] & 0x1F not in _FLASH_TAGS:
            return None
        stated = position + (_tag_size(header) if len(header) == 11 else 11)
        if len(header) < 11 or stated > size:
            return f"the file is cut short: its last tag states {stated - size:,} bytes more"
        position = stated + 4
    return None


def _tag_size(header: bytes) -> int:
    return 11 + int.from_bytes(header[1:4], "big") if len(header) == 11 and header[0] & 0x1F in _FLASH_TAGS else -1


def asf_damage(fd: int) -> str | None:
    """Why a WMV is broken: its data object states more than there is, or is missing."""
    size, position = os.fstat(fd).st_size, 0
    while position + 24 <= size:
        header = os.pread(fd, 24, position)
        (stated,) = struct.unpack_from("<Q", header, 16)
        if header[:16] == _ASF_DATA:
            more = position + stated - size  # (of a broadcast it states nothing)
            return f"the file is cut short: its data object states {more:,} bytes more" if stated and more > 0 else None
        if stated < 24:
            return None
        position += stated
    return "the file is cut short: it ends before its data"


def ogg_damage(fd: int) -> str | None:
    """Whether an Ogg film ends within a page. Recordings without a last page are no damage."""
    tail = os.pread(fd, _LARGEST_PAGE, max(0, os.fstat(fd).st_size - _LARGEST_PAGE))
    page = tail[tail.rfind(b"OggS") :] if b"OggS" in tail else b""
    if not page or page[4:5] not in (b"", b"\0") or (len(page) > 5 and page[5] > 7):
        return None
    sizes = page[27 : 27 + page[26]] if len(page) > 26 else b""
    stated = 27 + sum(sizes) + (page[26] if len(page) > 26 else 1)
    return (
        f"the file is cut short: its last page states {stated - len(page):,} bytes more" if stated > len(page) else None
    )
