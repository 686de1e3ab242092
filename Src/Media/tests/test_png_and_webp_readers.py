"""The fast readers for PNG and WebP: where they answer at all, every field is what ExifTool's answer gives."""

import io
import random
import struct
import zlib
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from Src.Media.kinds import KINDS
from Src.Media.readers.fast_readers import read_fast
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.anew import write_anew
from Src.Testing.both_readers import BothReaders, damaged, fast, handed_over, kind_at, needs_exiftool
from Src.Testing.examples import examples
from Src.Testing.tiff_files import LONG, RATIONAL, SHORT, exif, numbers, text

SAMPLES = (PROJECT_ROOT / "Src/Librarian/tests/samples", PROJECT_ROOT / "Src/Media/tests/samples")
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PLACE = [
    text(1, "S"), numbers(2, RATIONAL, 10, 1, 20, 1, 3012, 100), text(3, "E"), numbers(4, RATIONAL, 7, 1, 0, 1, 1, 3),
]  # fmt: skip
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmpDM="http://ns.adobe.com/xmp/1.0/DynamicMedia/" {}/>'
    "</rdf:RDF></x:xmpmeta>"
)

# -- what stands in the files -----------------------------------------------------------------------------

DATES = st.one_of(
    st.datetimes(datetime(1800, 1, 1), datetime(2030, 1, 1)).map(lambda moment: f"{moment:%Y:%m:%d %H:%M:%S}"),
    st.sampled_from(["0000:00:00 00:00:00", "1970:01:01 00:00:00", "    :  :     :  :  ", "2008:05"]),
)
CAMERAS = st.text(st.sampled_from("Aa1 .-&<:0+TtrRuUeE"), max_size=8)
MAIN = st.one_of(
    CAMERAS.map(lambda value: text(0x10F, value)),
    CAMERAS.map(lambda value: text(0x110, value)),
    DATES.map(lambda value: text(0x132, value)),
    st.integers(0, 9).map(lambda value: numbers(0x112, SHORT, value)),
    st.integers(0, 6).map(lambda value: numbers(0x4746, SHORT, value)),
    st.sampled_from(
        [numbers(0x100, SHORT, 17), numbers(0x101, LONG, 18), numbers(0xFE, LONG, 0), numbers(0xFE, LONG, 1)]
    ),
)
INNER = st.one_of(
    st.tuples(st.sampled_from([0x9003, 0x9004]), DATES).map(lambda pair: text(*pair)),
    st.sampled_from(["1", "010", "12 ", "x"]).map(lambda value: text(0x9291, value)),
    st.sampled_from(["+01:00", "-03:30", "Z", "   :  "]).map(lambda value: text(0x9011, value)),
    st.sampled_from([numbers(0xA002, LONG, 19), (0x927C, 7, b"Maker's notes")]),
)
EXIF = st.builds(
    lambda main, inner, gps, thumbnail: exif(sorted(main), sorted(inner), PLACE if gps else [], thumbnail),
    st.lists(MAIN, max_size=5, unique_by=lambda entry: entry[0]),
    st.lists(INNER, max_size=4, unique_by=lambda entry: entry[0]),
    st.booleans(),
    st.one_of(st.none(), st.lists(MAIN, max_size=2)),
)
XMPS = st.lists(
    st.sampled_from(
        [
            'xmp:Rating="4"', 'xmp:CreateDate="2004-05-06T07:08:09"', 'tiff:Make="Maker"', 'tiff:ImageWidth="18"',
            'xmpDM:duration="7"', 'exif:DateTimeOriginal="2004-05-06T07:08:09.5+02:00"', 'tiff:Model="M"',
            'exif:GPSLatitude="10,20.5S" exif:GPSLongitude="7,0.1E"', 'photoshop:DateCreated="2003"',
            'exif:GPSLatitude="10.5" exif:GPSLongitude="7.25"', 'xmlns:o="o" o:ImageWidth="18" o:ImageHeight="19"',
        ]
    ),
    max_size=2,
    unique=True,
).map(lambda attributes: XMP.format(" ".join(attributes)).encode())  # fmt: skip

KEYWORDS = st.sampled_from(
    [
        "Creation Time", "creation time", "CreationTime", "create-date", "Creation  time", "date:create", "Software",
        "Title", "Make", "make", "Model", "ImageWidth", "Image Width", "Warning", "Error", "DateTimeOriginal",
        "Date Time Original", "exif:DateTimeOriginal", "Comment", "corrupt", "parameters", "Rating", "Orientation",
        "XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type xmp", "Raw profile type iptc", "Ärger", "",
    ]
)  # fmt: skip
MONTHS = st.sampled_from(["Jan", "feb", "MAR", "Sept", "Dec"])
ZONES = st.sampled_from(["", " GMT", " est", " K", " +0130", " -3:00", " +01:00", " CET", " Z", " (local)"])
WORDY = st.builds(
    "{}{} {} {} {}{}".format,
    st.sampled_from(["", "Mon, "]),
    st.integers(0, 32),
    MONTHS,
    st.sampled_from(["2023", "23", "99", "1823", "3"]),
    st.sampled_from(["20:15:29", "7:05", "24:00:00", "20.15"]),
    ZONES,
)
TEXTS = st.one_of(DATES, WORDY, CAMERAS, st.sampled_from(["2011-02-03T04:05:06Z", "20110203", "é", "a\nb", "a\0b"]))


def hexadecimal(data: bytes, off: int = 0) -> bytes:
    """A profile as ImageMagick writes it."""
    digits = data.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"\nexif\n{len(data) + off:8}\n{lines}\n".encode()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(chunks: list[bytes], behind: list[bytes]) -> bytes:
    """A small PNG with these chunks before its picture, and those behind it."""
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 8, 0, 0, 0, 0))
    picture = chunk(b"IDAT", zlib.compress(bytes(15)))
    return head + b"".join(chunks) + picture + b"".join(behind) + chunk(b"IEND", b"")


def international(keyword: str, value: bytes, language: str = "", compressed: bool = False) -> bytes:
    flags = bytes([compressed, 0])
    body = zlib.compress(value) if compressed else value
    return chunk(b"iTXt", keyword.encode() + b"\0" + flags + language.encode() + b"\0\0" + body)


PNG_CHUNKS = st.one_of(
    EXIF.map(lambda data: chunk(b"eXIf", data)),
    EXIF.map(lambda data: chunk(b"eXIf", b"Exif\0\0" + data)),
    st.builds(lambda data, off: chunk(b"tEXt", b"Raw profile type exif\0" + hexadecimal(data, off)), EXIF, st.just(0)),
    st.builds(lambda data: chunk(b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(hexadecimal(data))), EXIF),
    st.builds(lambda key, value: chunk(b"tEXt", f"{key}\0{value}".encode("latin-1")), KEYWORDS, TEXTS),
    st.builds(lambda key, value: chunk(b"zTXt", key.encode("latin-1") + b"\0\0" + zlib.compress(value.encode())),
              KEYWORDS, TEXTS),
    st.builds(lambda key, value, language, packed: international(key, value.encode(), language, packed),
              KEYWORDS, TEXTS, st.sampled_from(["", "", "de"]), st.booleans()),
    st.builds(lambda packet, packed: international("XML:com.adobe.xmp", packet, "", packed), XMPS, st.booleans()),
    st.sampled_from([
        chunk(b"tIME", bytes([7, 218, 3, 4, 5, 6, 7])), chunk(b"gAMA", bytes(4)), chunk(b"vpAg", bytes(9)),
        chunk(b"iCCP", b"name\0\0" + zlib.compress(PROFILE)), chunk(b"iCCP", b"name\0\0" + zlib.compress(PROFILE[:-9])),
        chunk(b"acTL", bytes(8)), chunk(b"caBX", bytes(20)), chunk(b"abCd", b"x"), chunk(b"exIf", b"II*\0"),
    ]),
)  # fmt: skip


def picture(**options: object) -> bytes:
    kept = io.BytesIO()
    first, *others = (Image.new("RGB", (5, 4), colour) for colour in ("red", "green", "blue"))
    if options.pop("moves", False):
        options |= {"save_all": True, "append_images": others}
    first.save(kept, "WEBP", **options)
    return kept.getvalue()


WEBPS = [picture(), picture(lossless=True), picture(moves=True, duration=[70, 40, 4200]), picture(icc_profile=PROFILE)]


def webp(base: bytes, chunks: list[bytes]) -> bytes:
    """A WebP with these chunks at its end."""
    data = base[8:] + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(data)) + data


def riff_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


WEBP_CHUNKS = st.one_of(
    EXIF.map(lambda data: riff_chunk(b"EXIF", data)),
    EXIF.map(lambda data: riff_chunk(b"EXIF", b"Exif\0\0" + data)),
    XMPS.map(lambda packet: riff_chunk(b"XMP ", packet)),
    st.sampled_from([
        riff_chunk(b"ICCP", PROFILE), riff_chunk(b"VP8X", bytes(10)), riff_chunk(b"abcd", b"x"), b"EXIF", bytes(8),
        riff_chunk(b"ANMF", bytes(12) + b"\x10\xf0\0\0" + bytes(8)), riff_chunk(b"LIST", b"INFOICRD\4\0\0\x002011"),
    ]),
)  # fmt: skip

# -- both say the same ------------------------------------------------------------------------------------

ask_often = settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@needs_exiftool
def test_both_readers_agree_on_every_sample(both_readers: BothReaders) -> None:
    paths = [path for folder in SAMPLES for path in sorted(folder.iterdir()) if path.is_file()]
    of_kind = {kind: [path for path in paths if kind_at(path) == kind] for kind in ("PNG", "WEBP")}
    assert both_readers.answered(of_kind["PNG"], "PNG") >= 2
    both_readers.answered(of_kind["WEBP"], "WEBP")


@pytest.mark.slow
@needs_exiftool
@ask_often
@given(chunks=st.lists(PNG_CHUNKS, max_size=4), behind=st.lists(PNG_CHUNKS, max_size=1))
def test_both_readers_agree_on_any_png(
    chunks: list[bytes], behind: list[bytes], both_readers: BothReaders, tmp_path: Path
) -> None:
    path = tmp_path / "made.png"
    write_anew(path, png(chunks, behind))
    both_readers.answered([path], "PNG")


@pytest.mark.slow
@needs_exiftool
@ask_often
@given(base=st.sampled_from(WEBPS), chunks=st.lists(WEBP_CHUNKS, max_size=3))
def test_both_readers_agree_on_any_webp(
    base: bytes, chunks: list[bytes], both_readers: BothReaders, tmp_path: Path
) -> None:
    path = tmp_path / "made.webp"
    write_anew(path, webp(base, chunks))
    both_readers.answered([path], "WEBP")


PHONE = exif(
    [text(0x10F, "Maker"), text(0x110, "Model"), text(0x132, "2019:08:07 06:05:04")],
    [text(0x9003, "2019:08:07 06:05:04"), text(0x9011, "+02:00"), text(0x9291, "070")],
    PLACE,
)


def sound(kind: str) -> bytes:
    """A file with everything that is read."""
    if kind == "WEBP":
        return webp(WEBPS[3], [riff_chunk(b"EXIF", PHONE), riff_chunk(b"XMP ", XMP.format('xmp:Rating="4"').encode())])
    dated = chunk(b"tEXt", b"Creation Time\0Mon, 16 Jan 2023 20:15:29 GMT")
    return png([chunk(b"iCCP", b"name\0\0" + zlib.compress(PROFILE)), dated, chunk(b"eXIf", PHONE)],
               [international("XML:com.adobe.xmp", XMP.format('xmp:Rating="4"').encode())])  # fmt: skip


@pytest.mark.slow
@needs_exiftool
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_both_readers_agree_on_damaged_files(kind: str, both_readers: BothReaders, tmp_path: Path) -> None:
    chance = random.Random(kind)
    paths = []
    for number in range(examples(300)):
        path = tmp_path / f"{number}.{kind.lower()}"
        write_anew(path, damaged(sound(kind), chance, [60, 900, 1500]))
        paths.append(path)
    # What it never answers for would prove nothing.
    assert both_readers.answered(paths, kind) > len(paths) / 50


# -- what is read, and what is handed over ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_phone_s_picture_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(sound(kind))
    found = fast(path, kind)
    assert found is not None
    assert (found.captured_at, found.captured_at_offset) == (datetime(2019, 8, 7, 6, 5, 4, 70000), 120)
    assert (found.camera_make, found.camera_model, found.rating) == ("Maker", "Model", 4)
    assert found.latitude is not None and found.latitude < -10
    assert (found.width, found.height) == ((5, 4) if kind == "WEBP" else (4, 3))


def test_a_screenshot_s_date_is_that_of_its_text(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png([], [chunk(b"tEXt", b"Creation Time\0Mon, 16 Jan 2023 20:15:29 PDT")]))
    answer = read_fast("PNG", str(path))
    assert answer.tags["PNG:CreationTime"] == "2023:01:16 20:15:29-07:00"


def test_a_moving_webp_lasts_as_long_as_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "x.webp"
    path.write_bytes(picture(moves=True, duration=[70, 40, 50]))
    found = fast(path, "WEBP")
    assert found is not None
    assert found.duration_seconds == 0.16
    assert KINDS["WEBP"].moves


BOMB = zlib.compress(bytes(40_000_000))


ODD_PNGS = {
    "trailer": png([], []) + b"x",
    "cut": png([], [])[:-1],
    "two EXIF": png([chunk(b"eXIf", PHONE), chunk(b"eXIf", PHONE)], []),
    "bomb in a text": png([chunk(b"zTXt", b"Comment\0\0" + BOMB)], []),
    "bomb in a profile": png([chunk(b"iCCP", b"name\0\0" + BOMB)], []),
    "bombs that are small one by one": png([chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**20)))] * 5, []),
    "endless texts": png([chunk(b"tEXt", b"Comment\0")] * 1000, []),
    "endless chunks": png([chunk(b"sBIT", b"")] * 30_000, []),
    "endless XMP": png([international("XML:com.adobe.xmp", XMP.format("").encode() + b" " * 2**19)], []),
    "camera in a text": png([chunk(b"tEXt", b"Make\0Maker")], []),
    "error in a text": png([chunk(b"tEXt", b"Error\0x")], []),
    "camera of the thumbnail": png([chunk(b"eXIf", exif([text(0x110, "M")], thumbnail=[text(0x110, "T")]))], []),
    "date of another spelling": png([chunk(b"tEXt", b"creation time\0Mon, 16 Jan 2023 20:15:29 GMT")], []),
    "two headers": png([chunk(b"IHDR", bytes(13))], []),
    "Apple's own": b"\x89PNG\r\n\x1a\n" + chunk(b"CgBI", bytes(4)) + png([], [])[8:],
}
ODD_WEBPS = {
    "cut": sound("WEBP")[:-2],
    "trailer": sound("WEBP") + b"xx",
    "EXIF first": webp(b"RIFF\0\0\0\0WEBP", [riff_chunk(b"EXIF", PHONE), WEBPS[0][12:]]),
    "duration in XMP": webp(WEBPS[0], [riff_chunk(b"XMP ", XMP.format('xmpDM:duration="7"').encode())]),
    "two EXIF": webp(WEBPS[0], [riff_chunk(b"EXIF", PHONE), riff_chunk(b"EXIF", PHONE)]),
    "endless frames": webp(WEBPS[2], [riff_chunk(b"ANMF", bytes(16))] * 30_000),
    "unknown chunk": webp(WEBPS[0], [riff_chunk(b"abcd", PHONE)]),
    "ICC profile": webp(WEBPS[0], [riff_chunk(b"ICCP", PROFILE[:-1])]),
}


@pytest.mark.parametrize("oddity", ODD_PNGS)
def test_a_png_with_an_oddity_is_handed_over(oddity: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(ODD_PNGS[oddity])
    assert handed_over(path, "PNG")


@pytest.mark.parametrize("oddity", ODD_WEBPS)
def test_a_webp_with_an_oddity_is_handed_over(oddity: str, tmp_path: Path) -> None:
    path = tmp_path / "x.webp"
    path.write_bytes(ODD_WEBPS[oddity])
    assert handed_over(path, "WEBP")
