"""Zip archives: what their lists of members do not name is noticed."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from Src.Media.zip_archive import ZipArchive

PHOTO = b"photo " * 50


class Unseekable(io.RawIOBase):
    """As a pipe, to which members go with a descriptor behind them."""

    def __init__(self) -> None:
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self.content += bytes(piece)
        return len(bytes(piece))


def made(*names: str, forget: str = "", comment: bytes = b"") -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, PHOTO)
        archive.filelist = [one for one in archive.filelist if one.filename != forget]
        archive.comment = comment
        archive.mkdir("folder")
    return into.getvalue()


def streamed() -> bytes:
    into = Unseekable()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", PHOTO)
        with archive.open("b.jpg", "w", force_zip64=True) as member:
            member.write(PHOTO)
    return into.content


def unflagged() -> bytes:
    """As some writers make it: descriptors that no flag announces."""
    content = bytearray(streamed())
    at = content.index(b"PK\1\2")
    while content[at : at + 4] == b"PK\1\2":
        content[at + 8] &= ~0x8
        at += 46 + sum(struct.unpack_from("<HHH", content, at + 28))
    return bytes(content)


def in_one_part() -> bytes:
    """As `zip -s` makes it where one part was enough."""
    content = bytearray(b"PK\7\x08" + made("a.jpg"))
    at = begins = content.index(b"PK\1\2")
    while content[at : at + 4] == b"PK\1\2":
        struct.pack_into("<I", content, at + 42, struct.unpack_from("<I", content, at + 42)[0] + 4)
        at += 46 + sum(struct.unpack_from("<HHH", content, at + 28))
    struct.pack_into("<I", content, at + 16, begins)
    return bytes(content)


def large() -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive, archive.open("b.jpg", "w", force_zip64=True) as member:
        member.write(PHOTO)
    content = into.getvalue()
    end = content.rindex(b"PK\5\6")
    count, length, begins = struct.unpack_from("<HII", content, end + 10)
    whole = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, begins)
    return content[:end] + whole + struct.pack("<4sIQI", b"PK\6\7", 0, end, 1) + content[end:]


def aligned() -> bytes:
    """Its first member's own header has an extra field that the list has not."""
    content = made("a.jpg")
    extra = struct.pack("<HH4x", 0xD935, 4)
    begins = content.index(b"PK\1\2")
    second = content.index(b"PK\3\4", 4)
    moved = bytearray(content[:28] + struct.pack("<H", len(extra)) + content[30:35] + extra + content[35:])
    at = begins + len(extra)
    at += 46 + sum(struct.unpack_from("<HHH", moved, at + 28))
    struct.pack_into("<I", moved, at + 42, second + len(extra))
    struct.pack_into("<I", moved, moved.rindex(b"PK\5\6") + 16, begins + len(extra))
    return bytes(moved)


def more_in(content: bytes) -> tuple[list[str], str | None]:
    def open_file() -> int:
        fd = os.memfd_create("archive")
        os.write(fd, content)
        return fd

    archive = ZipArchive(open_file, ZoneInfo("Europe/Berlin"), checks_all=True)
    with archive.opened():
        return [one.path for one in archive.members()], archive.more


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: made("a.jpg", "b/c.jpg"), ["a.jpg", "b/c.jpg"]),
        (lambda: made("a.jpg", "é.jpg", comment=b"from my phone"), ["a.jpg", "é.jpg"]),
        (streamed, ["a.jpg", "b.jpg"]),
        (large, ["b.jpg"]),
        (aligned, ["a.jpg"]),
        (unflagged, ["a.jpg", "b.jpg"]),
        (in_one_part, ["a.jpg"]),
    ],
)
def test_what_is_usual_is_all_there_is(make: Callable[[], bytes], names: list[str]) -> None:
    assert more_in(make()) == (names, None)


@pytest.mark.parametrize(
    "content",
    [
        made("a.jpg") + made("b.jpg"),
        made("a.jpg", "b.jpg", forget="a.jpg"),
        made("a.jpg", "b.jpg", "c.jpg", forget="b.jpg"),
        made("a.jpg", "b.jpg", forget="b.jpg"),
        made("a.jpg", "b/"),
        made("a.jpg", ".."),
        made("a.jpg", "/"),
        made(),
        PHOTO + made("a.jpg"),
        made("a.jpg") + PHOTO,
        streamed().replace(b"PK\7\x08", b"PK\7\x09", 1),
    ],
    ids=["two", "first", "middle", "last", "folder", "dots", "slash", "none", "before", "behind", "no descriptor"],
)
def test_what_the_list_does_not_name_is_noticed(content: bytes) -> None:
    names, more = more_in(content)
    assert more is not None and "unpack it yourself" in more, names
