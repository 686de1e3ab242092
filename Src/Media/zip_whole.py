"""Whether the members of a zip archive are all that it holds (PKWARE's APPNOTE 6.3.10, 4.3).

Two archives one after the other, a member that only its own header names, what stands before, between or behind: none
of it is in the list of members, and nobody would miss it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from zipfile import ZIP_STORED, ZipInfo

_HEADER = b"PK\3\4"
_IN_LIST = b"PK\1\2"
_END = b"PK\5\6"
_END_64 = b"PK\6\6"
_REST_OF_END_64 = struct.pack("<Q", 44)  # bytes, without what may be added there
_LOCATOR_64 = b"PK\6\7"
_DESCRIPTOR = b"PK\7\x08"
_MOST_LIST = 64 * 2**20  # bytes
_OF_ONE_PART = (_DESCRIPTOR, b"PK00")  # before the first header, where it was to be split (APPNOTE 8.5.3, 8.5.4)
_MOST_OF_A_FOLDER = 2  # bytes: deflate of nothing
MORE = "it holds more than its list names; unpack it yourself, and ask for the folder"
_NOTHING = "its list names no file; unpack it yourself, and ask for the folder"


def holds_more(fd: int, infos: Sequence[ZipInfo], begins: int, is_member: Callable[[ZipInfo], bool]) -> str | None:
    """Why the members are not all of an open archive; None: they are. `begins`: the list. Raises OSError."""
    if not any(is_member(one) for one in infos):
        return _NOTHING
    if any(_hides(one, is_member(one)) for one in infos):
        return MORE
    return None if _members_cover(fd, infos, begins) and _list_covers(fd, len(infos), begins) else MORE


def _hides(info: ZipInfo, is_member: bool) -> bool:
    """Whether it has content that no member stands for."""
    if info.compress_type == ZIP_STORED and not info.flag_bits & 0x1 and info.compress_size != info.file_size:
        return True
    return not is_member and (info.file_size > 0 or info.compress_size > _MOST_OF_A_FOLDER)


def _members_cover(fd: int, infos: Sequence[ZipInfo], begins: int) -> bool:
    """Whether headers and members follow each other from the first byte to the list. Raises OSError."""
    ordered = sorted(infos, key=lambda one: one.header_offset)
    nexts = [*(one.header_offset for one in ordered[1:]), begins]
    first = ordered[0].header_offset
    if first != 0 and not (first == 4 and os.pread(fd, 4, 0) in _OF_ONE_PART):
        return False
    for info, after in zip(ordered, nexts, strict=True):
        header = os.pread(fd, 30, info.header_offset)
        if len(header) < 30 or not header.startswith(_HEADER):
            return False
        name, extra = struct.unpack_from("<HH", header, 26)
        end = info.header_offset + 30 + name + extra + info.compress_size
        if end != after and not _is_descriptor(fd, end, after - end, info):  # (some writers set no flag for it)
            return False
    return True


def _is_descriptor(fd: int, at: int, length: int, info: ZipInfo) -> bool:
    """Whether nothing else stands there. Raises OSError."""
    short = struct.pack("<III", info.CRC, info.compress_size & 0xFFFFFFFF, info.file_size & 0xFFFFFFFF)
    long = struct.pack("<IQQ", info.CRC, info.compress_size, info.file_size)
    forms = (short, _DESCRIPTOR + short, long, _DESCRIPTOR + long)
    return any(len(one) == length and os.pread(fd, length, at) == one for one in forms)


def _list_covers(fd: int, count: int, begins: int) -> bool:
    """Whether the list has as many entries as were read, and nothing but its end follows. Raises OSError."""
    at, length = 0, os.fstat(fd).st_size - begins
    if length > _MOST_LIST:
        return False
    content = os.pread(fd, length, begins)
    while content[at : at + 4] == _IN_LIST and at + 46 <= len(content):
        at += 46 + sum(struct.unpack_from("<HHH", content, at + 28))
        count -= 1
    if content[at : at + 4] == _END_64:
        if content[at + 4 : at + 12] != _REST_OF_END_64 or content[at + 56 : at + 60] != _LOCATOR_64:
            return False
        at += 76
    if count or content[at : at + 4] != _END or at + 22 > len(content):
        return False
    return bool(at + 22 + struct.unpack_from("<H", content, at + 20)[0] == length == len(content))
