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

from Src.Media.kind_detection import HEAD_SIZE, kind_of
from Src.Media.kinds import KINDS
from Src.Media.tiff_family import kind_of_tiff
from Src.Shared.settings import PROJECT_ROOT

SAMPLES = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples"

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
    model: bytes = b"",
) -> bytes:
    """A TIFF without a picture. `sub`: compression and photometric interpretation of a sub-directory."""
    tags = [tag(0x100, LONG, 1, 16), tag(0x101, LONG, 1, 16), tag(0x103, SHORT, 1, compression)]
    tags.append(tag(0x106, SHORT, 1, photometric))
    count = len(tags) + bool(make) + bool(model) + bool(sub) + bool(dng)
    behind = 8 + len(directory()) + 12 * count
    tail = b""
    if make:
        tags.append(tag(0x10F, 2, len(make) + 1, behind if len(make) > 3 else make))
        tail += make + b"\0" * (2 - len(make) % 2)
    if model:
        tags.append(tag(0x110, 2, len(model) + 1, behind + len(tail)))
        tail += model + b"\0" * (2 - len(model) % 2)
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


def element(number: str, content: bytes, length: int = 1) -> bytes:
    """An EBML element whose size takes so many bytes."""
    size = (len(content) | 1 << 7 * length).to_bytes(length, "big")
    return bytes.fromhex(number) + size + content


def ebml(doc_type: bytes, tracks: bytes, length: int = 1) -> bytes:
    segment = element(
        "18538067", element("1549a966", element("2ad7b1", b"\x0f\x42\x40")) + element("1654ae6b", tracks), 8
    )
    return element("1a45dfa3", element("4282", doc_type, length), length) + segment


def track(type_: int) -> bytes:
    return element("ae", element("d7", b"\1") + element("83", bytes([type_])))


def film_of(*handlers: bytes) -> bytes:
    """A film without pictures whose tracks are of these kinds."""
    tracks = (box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + one + bytes(13)))) for one in handlers)
    return box(b"moov", box(b"mvhd", bytes(100)) + b"".join(tracks)) + box(b"mdat", bytes(8))


def ogg(first: bytes) -> bytes:
    return b"OggS\0\2" + bytes(20) + bytes([1, len(first)]) + first


def dv(start: bytes) -> bytes:
    blocks = [
        start.ljust(80, b"\xff"),
        *[b"\x3f\x07\0".ljust(80, b"\xff")] * 2,
        *[b"\x56\x07\0".ljust(80, b"\xff")] * 3,
    ]
    return b"".join(blocks)


ASF, ASF_VIDEO = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
ASF_SOUND = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
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
    "HEIF": [
        brand(b"mif1"),
        brand(b"mif1", b"mif1", b"miaf"),
        brand(b"msf1"),
        brand(b"avci", b"mif1"),
        brand(b"j2ki"),
        brand(b"mif1", b"jpeg"),
        brand(b"unif"),
        box(b"ftyp", b"mif3vvic") + box(b"meta") + box(b"mdat", bytes(8)),
    ],
    "AVIF": [
        brand(b"avif", b"mif1", b"miaf"),
        brand(b"mif1", b"miaf", b"avif"),
        brand(b"avis", b"msf1"),
        box(b"ftyp", b"mif3avif") + box(b"meta") + box(b"mdat", bytes(8)),
    ],
    "CR3": [brand(b"crx ", b"crx ", b"isom")],
    "MP4": [
        box(b"ftyp", b"isom" + bytes(4)) + film_of(b"soun", b"vide"),
        brand(b"isom", b"mp41"),
        brand(b"mp42"),
        brand(b"XAVC"),
        brand(b"MSNV", b"mp42"),
        brand(b"dby1"),
    ],
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
    "MKV": [ebml(b"matroska", track(1)), ebml(b"matroska", track(2) + track(1)), ebml(b"matroska", b"")],
    "WEBM": [
        ebml(b"webm", track(1)),
        ebml(b"webm", track(1), length=2),
        ebml(b"webm", track(1), length=8),
        bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765626d42878104428581021853806701" + "ff" * 7),
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
    "BMP": [b"BM" + struct.pack("<IIIIiiHHIIIIII", 58, 0, 54, 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0) + bytes(4)],
    "JP2": [b"\0\0\0\x0cjP  \r\n\x87\n" + brand(b"jp2 ", b"jp2 ")],
    "JPX": [b"\0\0\0\x0cjP  \r\n\x87\n" + brand(b"jpx ", b"jp2 ")],
    "JPM": [b"\0\0\0\x0cjP  \r\n\x87\n" + brand(b"jpm ", b"jp2 ")],
    "J2C": [b"\xff\x4f\xff\x51\0\x29\0\0" + bytes(50)],
    "PSD": [b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 1, 1, 8, 3) + bytes(20)],
    "PSB": [b"8BPS\0\2" + bytes(6) + struct.pack(">HIIHH", 3, 1, 1, 8, 3) + bytes(20)],
    "CRW": [b"II\x1a\0\0\0HEAPCCDR\2\0\1\0" + bytes(60)],
    "MRW": [b"\0MRM" + struct.pack(">I", 16) + b"\0PRD" + struct.pack(">I", 8) + bytes(8)],
    "X3F": [b"FOVb\2\0\2\0" + bytes(100)],
    "3FR": [tiff(b"Hasselblad", sub=(1, CFA))],
    "ERF": [tiff(b"SEIKO EPSON CORP.", sub=(1, CFA))],
    "MEF": [tiff(b"Mamiya-OP Co.,Ltd.", sub=(1, CFA))],
    "MOS": [tiff(b"Leaf", 1, CFA)],
    "IIQ": [b"II*\0\x10\0\0\0IIIITwaR" + directory(tag(0x100, LONG, 1, 16)), tiff(b"Phase One", 1, CFA)],
    "KDC": [tiff(b"EASTMAN KODAK COMPANY", 1, CFA), tiff(b"Kodak", 32867, CFA)],
    "DCR": [tiff(b"Kodak", 65000, CFA), tiff(b"KODAK", 1, CFA)],
    "NRW": [tiff(b"NIKON", 6, 6, sub=(34713, CFA))],
    "SR2": [tiff(b"SONY", sub=(32767, CFA), model=b"DSC-R1")],
    "SRF": [tiff(b"SONY", sub=(1, CFA), model=b"DSC-F828")],
    "GPR": [tiff(b"GoPro", sub=(9, CFA), dng=True)],
    "RWL": [b"IIU\0" + tiff(b"LEICA CAMERA AG")[4:]],
    "MPEG": [
        bytes.fromhex("000001ba44000400040100000303f8") + bytes(40),
        bytes.fromhex("000001ba2100010001800001") + bytes(40),
        bytes.fromhex("000001b316012013ffff e018") + bytes(40),
    ],
    "WMV": [ASF + b"..." + ASF_VIDEO + bytes(40)],
    "FLV": [b"FLV\1\5\0\0\0\x09" + bytes(40), b"FLV\1\1\0\0\0\x09" + bytes(40)],
    "OGV": [ogg(b"\x80theora\3\2\1") + ogg(b"\1vorbis"), ogg(b"\1vorbis") + ogg(b"OVP80\1")],
    "MXF": [bytes.fromhex("060e2b34020501010d0102010102040083000078") + bytes(40)],
    "RM": [b".RMF\0\0\0\x12\0\0" + bytes(20) + b"video/x-pn-realvideo" + bytes(40)],
    "DV": [dv(b"\x1f\x07\0\x3f"), dv(b"\x1f\x07\0\xbf")],
    "H264": [
        bytes.fromhex("00000001 6742c00d") + bytes(9) + bytes.fromhex("00000001 68ce3c80"),
        bytes.fromhex("00000001 0910 00000001 6764000d") + b"..." + bytes.fromhex("000001 68ce3c80"),
    ],
    "HEVC": [bytes.fromhex("00000001 40010c01 00000001 42010101 00000001 4401c172")],
    "R3D": [b"\0\0\1\0RED1" + bytes(60), b"\0\0\1\0RED2" + bytes(60)],
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
FINER: dict[str, set[str | None]] = {
    "JXL": {"JXL Codestream"},
    "WEBP": {"Extended WEBP"},
    "HEIC": {"HEIF", "HEICS", "HEIFS"},
    "HEIF": {"HEIFS", "MP4"},  # ExifTool knows few brands
    "AVIF": {"HEIF", "MP4"},
    "TIFF": {"BTF"},
    "M2TS": {"M2T"},
    "WMV": {"ASF"},
    "H264": {None},
    "HEVC": {None},
    "GPR": {"DNG"},
    "NRW": {"NEF"},
    "SR2": {"ARW"},
    "RWL": {"RAW"},
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
    "motion jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + brand(b"mjp2"),
    "sound in mp4": box(b"ftyp", b"isom" + bytes(4)) + film_of(b"soun"),
    "sound in 3gp": box(b"ftyp", b"3gp4" + bytes(4)) + film_of(b"soun", b"text"),
    "sound in mov": film_of(b"soun"),
    "sound in matroska": ebml(b"matroska", track(2)),
    "sound in webm": ebml(b"webm", track(2) + track(17)),
    "another ebml": ebml(b"mkv3d", track(1)),
    "sound in asf": ASF + ASF_SOUND + bytes(60),
    "sound in flv": b"FLV\1\4\0\0\0\x09" + bytes(40),
    "sound in realmedia": b".RMF\0\0\0\x12\0\0" + bytes(20) + b"audio/x-pn-realaudio" + bytes(40),
    "rust": b"mod ftyp;\nmod moov;\n" + b"pub fn nothing() {}\n" * 40,
    "words like boxes": b"The moov and the mdat of a film. " * 20,
    "more words like boxes": b"mod mdat;\nmod wide;\n" * 20,
    "words like a bitmap": b"BMW is no bitmap, and BM is none either. " * 5,
    "words like a psd": b"8BPS is how a Photoshop file begins",
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
