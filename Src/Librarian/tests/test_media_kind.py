"""Kinds by content: real samples and minimal headers, with ExifTool as the judge; and hostile files."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from Src.Librarian.media_kind import HEAD_SIZE, KINDS, kind_of
from Src.Librarian.tiff_family import kind_of_tiff

SAMPLES = Path(__file__).parent / "samples"

CFA, RGB = 32803, 2
SHORT, LONG = 3, 4


def tag(number: int, kind: int, count: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        value = struct.pack("<H", value) if kind == SHORT else struct.pack("<I", value)
    return struct.pack("<HHI", number, kind, count) + value.ljust(4, b"\0")


def directory(*tags: bytes, following: int = 0) -> bytes:
    return struct.pack("<H", len(tags)) + b"".join(tags) + struct.pack("<I", following)


def tiff(
    make: bytes = b"",
    compression: int = 1,
    photometric: int = RGB,
    sub: tuple[int, int] | None = None,
    dng: bool = False,
) -> bytes:
    """A TIFF without a picture. `sub`: compression and photometric interpretation of a sub-directory."""
    tags = [tag(0x100, LONG, 1, 16), tag(0x101, LONG, 1, 16), tag(0x103, SHORT, 1, compression)]
    tags.append(tag(0x106, SHORT, 1, photometric))
    count = len(tags) + bool(make) + bool(sub) + bool(dng)
    behind = 8 + len(directory()) + 12 * count
    tail = b""
    if make:
        tags.append(tag(0x10F, 2, len(make) + 1, behind if len(make) > 3 else make))
        tail += make + b"\0" * (2 - len(make) % 2)
    if sub:
        tags.append(tag(0x14A, LONG, 1, behind + len(tail)))
        tail += directory(tag(0x103, SHORT, 1, sub[0]), tag(0x106, SHORT, 1, sub[1]))
    if dng:
        tags.append(tag(0xC612, 1, 4, b"\1\4\0\0"))
    return b"II*\0" + struct.pack("<I", 8) + directory(*tags) + tail


def box(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def brand(major: bytes, *compatible: bytes) -> bytes:
    return box(b"ftyp", major + b"\0\0\0\0" + b"".join(compatible)) + box(b"free") + box(b"mdat", bytes(8))


def packets(before: bytes) -> bytes:
    return b"".join(before + b"\x47\x40\x11\x10" + bytes(184) for _ in range(12))


RIFF = b"RIFF\x28\0\0\0"
MOVIE = box(b"mdat", bytes(8))
# kind -> minimal files of it
MINIMAL = {
    "JPEG": [b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xd9", b"\xff\xd8\xff\xdb\0\x43" + bytes(70)],
    "PNG": [
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0) + b"0000"
    ],
    "GIF": [b"GIF87a" + bytes(20), b"GIF89a" + bytes(20)],
    "WEBP": [RIFF + b"WEBPVP8 " + bytes(30), RIFF + b"WEBPVP8L" + bytes(30)],
    "AVI": [RIFF + b"AVI LIST" + bytes(40)],
    "HEIC": [brand(b"heic", b"mif1"), brand(b"heix", b"mif1"), brand(b"mif1", b"heic"), brand(b"hevc", b"msf1")],
    "HEIF": [brand(b"mif1"), brand(b"mif1", b"mif1", b"miaf"), brand(b"msf1")],
    "AVIF": [brand(b"avif", b"mif1", b"miaf"), brand(b"mif1", b"miaf", b"avif"), brand(b"avis", b"msf1")],
    "CR3": [brand(b"crx ", b"crx ", b"isom")],
    "MP4": [brand(b"isom", b"mp41"), brand(b"mp42"), brand(b"XAVC"), brand(b"MSNV", b"mp42"), brand(b"dby1")],
    "M4V": [brand(b"M4V ", b"mp42"), brand(b"M4VH"), brand(b"M4VP")],
    "3GP": [brand(b"3gp4", b"isom"), brand(b"3gp5"), brand(b"3g2a")],
    "MOV": [
        brand(b"qt  "),
        box(b"moov", box(b"free")),
        MOVIE,
        box(b"wide") + MOVIE,
        box(b"free") + MOVIE,
        box(b"skip", bytes(100_000)) + MOVIE,
        box(b"pnot", bytes(12)) + box(b"PICT", bytes(400)) + MOVIE,
    ],
    "M2TS": [packets(b""), packets(bytes(4))],
    "MKV": [],
    "WEBM": [
        bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765626d42878104428581021853806701" + "ff" * 7)
    ],
    "JXL": [
        b"\xff\x0a\xfa\x7f\x01\x90\x08\x06\0" + bytes(40),
        b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \0\0\0\0jxl ") + bytes(20),
    ],
    "TIFF": [
        tiff(),
        tiff(b"SONY"),
        tiff(b"NIKON CORPORATION", compression=7, photometric=6),
        tiff(photometric=CFA),
        b"II+\0" + struct.pack("<HHQ", 8, 0, 16) + bytes(16),
        b"MM\0+" + struct.pack(">HHQ", 8, 0, 16) + bytes(16),
        b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHIHH", 0x103, SHORT, 1, 1, 0) + bytes(4),
    ],
    "DNG": [tiff(b"Canon", dng=True), tiff(b"Apple", sub=(7, CFA), dng=True)],
    "CR2": [b"II*\0\x10\0\0\0CR\2\0" + bytes(60)],
    "NEF": [tiff(b"NIKON CORPORATION", sub=(34713, CFA)), tiff(b"NIKON", sub=(1, CFA))],
    "ARW": [tiff(b"SONY", sub=(32767, CFA)), tiff(b"SONY", sub=(7, CFA))],
    "PEF": [tiff(b"PENTAX Corporation", 65535, CFA), tiff(b"RICOH IMAGING COMPANY, LTD.", 1, CFA)],
    "SRW": [tiff(b"SAMSUNG", sub=(32770, CFA)), tiff(b"SAMSUNG", sub=(1, CFA))],
    "ORF": [b"IIRO" + tiff(b"OLYMPUS")[4:], b"IIRS" + tiff(b"OLYMPUS")[4:]],
    "RAF": [],
    "RW2": [],
}
# What ExifTool calls finer sorts of a kind, or a file that has nothing but the header.
FINER = {
    "JXL": {"JXL Codestream"},
    "WEBP": {"Extended WEBP"},
    "HEIC": {"HEIF", "HEICS", "HEIFS"},
    "HEIF": {"HEIFS"},
    "AVIF": {"HEIF", "MP4"},
    "TIFF": {"BTF"},
    "M2TS": {"M2T"},
    "3GP": {"3G2"},
    "CR3": {"CRX"},
}
SAMPLE_KINDS = MappingProxyType({".jpg": "JPEG", ".jpeg": "JPEG", ".mts": "M2TS", ".heif": "HEIC"})
NOT_MEDIA = {
    "empty": b"",
    "one byte": b"\xff",
    "text": b"Dear diary, today I took no photo.\n" * 50,
    "text about photos": b"GIF and JPEG and ftypisom",
    "zip": b"PK\3\4\x14\0\0\0\0\0" + bytes(60),
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "mp3": b"ID3\3\0\0\0\0\0\x0a" + bytes(20) + b"\xff\xfb\x90\0" * 20,
    "mp3 without a tag": (b"\xff\xfb\x90\x64" + bytes(413)) * 5,
    "m4a": brand(b"M4A ", b"mp42", b"isom"),
    "m4b": brand(b"M4B "),
    "wav": RIFF + b"WAVEfmt " + bytes(40),
    "ogg": b"OggS\0\2" + bytes(50),
    "svg": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
    "html": b"<!DOCTYPE html><html><img src='a.jpg'></html>",
    "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + brand(b"jp2 "),
    "program": b"\x7fELF\2\1\1" + bytes(60),
    "atoms of no movie": box(b"free", bytes(10)) + box(b"free") + b"nothing that follows",
    "an endless atom": b"\0\0\0\0free" * 20,
    "word of four letters": b"The free press",
    "zeros": bytes(20_000),
    "letters of a transport stream": b"G" * 100,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def kind_in(folder: Path, content: bytes, name: str = "file") -> str | None:
    path = folder / name
    path.write_bytes(content)
    return kind_at(path)


def kind_at(path: Path) -> str | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        kind = kind_of(fd, os.pread(fd, HEAD_SIZE, 0))
        return kind.name if kind is not None else None
    finally:
        os.close(fd)


def test_there_is_a_file_of_every_kind_to_test_with() -> None:
    tested = {kind for kind, files in MINIMAL.items() if files} | {kind_at(path) for path in SAMPLES.iterdir()}
    assert set(KINDS) == tested - {None}


@pytest.mark.parametrize(("kind", "content"), [(kind, file) for kind, files in MINIMAL.items() for file in files])
def test_a_kind_is_told_by_its_content(kind: str, content: bytes, folder: Path) -> None:
    assert kind_in(folder, content) == kind


@pytest.mark.parametrize("path", [path for path in sorted(SAMPLES.iterdir()) if path.suffix != ".md"], ids=str)
def test_a_real_file_is_told_whatever_its_ending(path: Path, folder: Path) -> None:
    wanted = SAMPLE_KINDS.get(path.suffix, path.suffix[1:].upper())
    for name in ("photo.jpg", "film.MP4", "notes.txt", "no ending"):
        assert kind_in(folder, path.read_bytes(), name) == wanted


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")
def test_exiftool_agrees(folder: Path) -> None:
    # With their endings: those help ExifTool where a raw photo says no more than "sensor data".
    files = {f"{number}.{kind}": content for kind, those in MINIMAL.items() for number, content in enumerate(those)}
    files |= {path.name: path.read_bytes() for path in SAMPLES.iterdir() if path.suffix != ".md"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    command = ["exiftool", "-json", "-FileType", "-MIMEType", *(str(folder / name) for name in files)]
    answers = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    assert len(answers) == len(files)
    disagreements = {}
    for answer in answers:
        path = Path(answer["SourceFile"])
        ours = kind_at(path)
        assert ours is not None
        same = (ours, KINDS[ours].mime_type) == (answer.get("FileType"), answer.get("MIMEType"))
        if not same and answer.get("FileType") not in FINER.get(ours, ()):
            disagreements[path.name] = (ours, answer.get("FileType"), answer.get("MIMEType"))
    assert not disagreements


@pytest.mark.parametrize("name", NOT_MEDIA)
def test_what_is_no_photo_or_video_is_none(name: str, folder: Path) -> None:
    for ending in ("", ".jpg", ".mp4"):
        assert kind_in(folder, NOT_MEDIA[name], "x" + ending) is None


def test_readme_of_the_samples_is_not_media() -> None:
    assert kind_at(SAMPLES / "README.md") is None


class Reads:
    """Counts what is read of a file."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self.count = self.bytes = 0

    def __call__(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        found = self._file.read(size)
        self.count += 1
        self.bytes += len(found)
        return found


def hostile_tiffs() -> dict[str, bytes]:
    head = b"II*\0" + struct.pack("<I", 8)
    many_subs = directory(*[tag(0x14A, LONG, 0xFFFFFFFF, 8)] * 500, following=8)
    chain = b"".join(directory(following=8 + 6 * (at + 1)) for at in range(5000))
    return {
        "points to itself": head + directory(following=8),
        "sub-directory is the directory": head + directory(tag(0x14A, LONG, 1, 8)),
        "endless chain": head + chain,
        "sub-directories without number": head + many_subs + bytes(5000),
        "more entries than there are": head + b"\xff\xff" + tag(0x100, LONG, 1, 1) * 10,
        "a directory at the end of the world": b"II*\0\xff\xff\xff\xff" + bytes(100),
        "make at the end of the world": head + directory(*[tag(0x10F, 2, 100, 0xFFFFFFF0)] * 600),
        "cut in a directory": (head + directory(*[tag(0x103, SHORT, 1, 1)] * 5))[:30],
        "cut in the header": b"II*\0\x08\0",
        "65535 empty entries": head + b"\xff\xff" + bytes(65535 * 12),
    }


@pytest.mark.parametrize("name", hostile_tiffs())
def test_a_hostile_tiff_is_a_tiff_and_read_no_further_than_a_bound(name: str, folder: Path) -> None:
    content = hostile_tiffs()[name]
    reads = Reads(content)
    assert kind_of_tiff(reads) == "TIFF"
    assert reads.count < 20_000 and reads.bytes < 2_000_000
    assert kind_in(folder, content) in ("TIFF", None)


offsets = st.integers(0, 120) | st.sampled_from([0xFFFFFFFF, 0x7FFFFFFF])
numbers = st.sampled_from([0x103, 0x106, 0x10F, 0x14A, 0xC612]) | st.integers(0, 0xFFFF)
tags = st.builds(
    tag,
    numbers,
    st.sampled_from([1, 2, SHORT, LONG]),
    st.integers(0, 3) | offsets,
    offsets.map(lambda value: struct.pack("<I", value)),
)


@given(st.sampled_from([b"II", b"MM"]), offsets, st.lists(tags, max_size=12), offsets, st.binary(max_size=60))
def test_any_tiff_gets_an_answer_in_bounded_reads(
    order: bytes, first: int, entries: list[bytes], following: int, tail: bytes
) -> None:
    mark, pack = (b"*\0", "<I") if order == b"II" else (b"\0*", ">I")
    reads = Reads(order + mark + struct.pack(pack, first) + directory(*entries, following=following) + tail)
    assert kind_of_tiff(reads) in KINDS
    assert reads.count < 20_000 and reads.bytes < 2_000_000


@pytest.fixture
def reads_counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    pread = os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        sizes.append(size)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    return sizes


STARTS = sorted({file[:cut] for files in MINIMAL.values() for file in files for cut in (4, 8, 12, 16, 40)} | {b""})


@given(st.sampled_from(STARTS), st.binary(max_size=300))
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@example(b"", b"\0\0\0\0ftyp")
@example(b"", b"\0\0\0\1ftypmif1")
@example(b"\0\0\0\x08pnot" * 3, b"")
def test_whatever_a_file_holds_it_gets_an_answer_in_bounded_reads(
    folder: Path, reads_counted: list[int], start: bytes, rest: bytes
) -> None:
    reads_counted.clear()
    assert kind_in(folder, start + rest) in {None, *KINDS}
    assert len(reads_counted) < 20_000 and sum(reads_counted) < 10_000_000
