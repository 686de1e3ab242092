"""Zip archives: whatever their bytes are, a member is whole or in trouble, and never larger than it states."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Src.Media.zip_archive import ArchiveTrouble, Member, MemberTrouble, ZipArchive
from Src.Testing.surroundings import open_below

BERLIN = ZoneInfo("Europe/Berlin")
PLAIN, PACKED = b"not packed " * 40, b"packed " * 400


def archive_of(content: bytes) -> ZipArchive:
    def open_file() -> int:
        fd = os.memfd_create("archive")
        os.write(fd, content)
        return fd

    return ZipArchive(open_file, BERLIN)


def sample(**more: bytes) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a/plain.jpg", (2019, 7, 4, 12, 0, 0)), PLAIN)
        archive.writestr("packed.jpg", PACKED, zipfile.ZIP_DEFLATED)
        for name, content in more.items():
            archive.writestr(name, content)
    return into.getvalue()


def read(content: bytes) -> dict[str, bytes]:
    """The members that are whole; that those are, and that no more comes of one than it states, is asserted."""
    archive, whole = archive_of(content), {}
    with archive.opened():
        for member in archive.members():
            pieces: list[bytes] = []
            try:
                if member.trouble() is None:
                    archive.unpack(member, pieces.append)
                    whole[member.path] = b"".join(pieces)
                    assert len(whole[member.path]) == member.size
            except MemberTrouble:
                assert sum(map(len, pieces)) <= member.size
    return whole


def test_members_are_read_as_they_were_packed() -> None:
    assert read(sample()) == {"a/plain.jpg": PLAIN, "packed.jpg": PACKED}
    assert read(b"a program that unpacks itself" + sample()) == {"a/plain.jpg": PLAIN, "packed.jpg": PACKED}


@settings(max_examples=400)
@given(st.data())
def test_changed_bytes_are_trouble_and_nothing_else(data: st.DataObject) -> None:
    content = bytearray(sample())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    with suppress(ArchiveTrouble):
        assert set(read(bytes(content)).values()) <= {PLAIN, PACKED}


@given(st.binary(max_size=400), st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06"]))
def test_any_bytes_are_trouble_or_an_archive(content: bytes, start: bytes) -> None:
    with suppress(ArchiveTrouble):
        assert read(start + content) == {}


@given(st.text(min_size=1, max_size=40))
def test_no_name_leads_anywhere(name: str) -> None:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as packed:
        try:
            packed.writestr(name, PLAIN)
        except (UnicodeEncodeError, ValueError, IndexError):
            return
    archive = archive_of(into.getvalue())
    with archive.opened():
        for member in archive.members():
            assert member.name not in ("", ".", "..")
            assert "/" not in member.name and "\0" not in member.name
            assert not {"", ".", ".."} & set(member.folder.split("/")) - ({""} if not member.folder else set())
            assert not member.path.startswith("/")


def only(content: bytes) -> Member:
    archive = archive_of(content)
    with archive.opened():
        (member,) = archive.members()
    return member


def one(info: zipfile.ZipInfo) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr(info, PLAIN)
    return into.getvalue()


def test_times_are_local_or_utc_where_the_archive_says_so() -> None:
    info = zipfile.ZipInfo("a.jpg", (2019, 7, 4, 12, 0, 0))
    assert only(one(info)).mtime_ns == 1562234400 * 10**9  # 10:00 UTC
    info.extra = struct.pack("<HHBi", 0x5455, 5, 1, 1500000000)
    assert only(one(info)).mtime_ns == 1500000000 * 10**9
    info.extra = b""
    whole = one(info)
    at = whole.index(b"PK\x01\x02")
    no_date = whole[: at + 12] + b"\0\0\0\0" + whole[at + 16 :]
    assert only(no_date).mtime_ns == 315532800 * 10**9


def test_names_of_other_systems() -> None:
    info = zipfile.ZipInfo("x")
    info.filename, info.create_system = "DCIM\\100\\a.jpg", 0
    assert (only(one(info)).folder, only(one(info)).name) == ("DCIM/100", "a.jpg")
    link = zipfile.ZipInfo("l.jpg")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    assert only(one(link)).is_link


def test_a_member_without_a_name_is_none() -> None:
    whole = one(zipfile.ZipInfo("x"))
    start = whole.index(b"PK\x01\x02")
    local = whole[:26] + b"\0\0" + whole[28:30] + whole[31:start]
    entry = whole[start : start + 28] + b"\0\0" + whole[start + 30 : start + 46]
    end = whole[start + 47 :]
    end = end[:12] + struct.pack("<II", len(entry), len(local)) + end[20:]
    assert read(local + entry + end) == {}


def test_it_reads_only_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(sample())
    archive = ZipArchive(lambda: os.open(path, os.O_RDONLY), BERLIN)
    with archive.opened():
        members = archive.members()
    assert open_below(tmp_path) == []
    with pytest.raises(MemberTrouble, match="cannot be read"):
        archive.unpack(members[0], lambda piece: None)
