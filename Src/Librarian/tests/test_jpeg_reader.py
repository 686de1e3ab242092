"""The fast reader: where it answers at all, every field is what ExifTool's answer gives."""

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from Src.Librarian import jpeg_reader, jpeg_structure, pillow_reader
from Src.Librarian.exiftool_reader import Answer, ExifToolReader
from Src.Librarian.metadata_extractor import Metadata, Subject, _with_damage, interpret
from Src.Librarian.tests.conftest import PATIENCE, open_below

SAMPLES = Path(__file__).parent / "samples"
CANON, KODAK = SAMPLES / "Canon_40D.jpg", SAMPLES / "Kodak_CX7530.jpg"
ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 12, 0)

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


@pytest.fixture(scope="module")
def exiftool() -> Iterator[ExifToolReader]:
    with ExifToolReader(PATIENCE) as reader:
        yield reader


def fast(path: Path | str) -> Metadata | None:
    """What `extract` would take from the fast reader."""
    answer = jpeg_reader.read_jpeg(str(path))
    if answer is None:
        return None
    metadata = interpret(Subject(str(path), "x.jpg", "JPEG", 0), Answer(answer.tags), None, ZONE, NOW)
    return metadata if answer.dates_complete or metadata.date_source.startswith("exif:") else None


def slow(paths: list[str], exiftool: ExifToolReader) -> list[Metadata]:
    """What ExifTool's answers mean."""
    subjects = [Subject(path, "x.jpg", "JPEG", 0) for path in paths]
    answers = exiftool.read(paths)
    return [
        interpret(subject, _with_damage(subject, answer), None, ZONE, NOW)
        for subject, answer in zip(subjects, answers, strict=True)
    ]


def corpus() -> Path:
    """The folder of real photos, which is not part of the checkout."""
    beside = Path(__file__).parents[4] / "shared" / "corpus"
    return Path(os.environ.get("FACTORY_CORPUS", beside))


@needs_exiftool
def test_both_readers_agree_on_every_sample(exiftool: ExifToolReader) -> None:
    answered = [str(path) for path in sorted(SAMPLES.iterdir()) if fast(path) is not None]
    assert [fast(path) for path in answered] == slow(answered, exiftool)
    assert {str(CANON), str(KODAK)} <= set(answered)


@needs_exiftool
@pytest.mark.skipif(not corpus().is_dir(), reason="no corpus of real photos here (FACTORY_CORPUS)")
def test_both_readers_agree_on_the_whole_corpus(exiftool: ExifToolReader, capsys: pytest.CaptureFixture[str]) -> None:
    jpegs = [str(path) for path in sorted(corpus().rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    assert jpegs
    answered = [path for path in jpegs if fast(path) is not None]
    for path, metadata in zip(answered, slow(answered, exiftool), strict=True):
        assert fast(path) == metadata, path
    with capsys.disabled():
        print(f"\nthe fast reader answers for {len(answered)} of the corpus' {len(jpegs)} JPEGs")
    # The rest are odd on purpose: broken, edited, from cameras of the last century.
    assert len(answered) > len(jpegs) / 2


# -- what it may never get wrong --------------------------------------------------------------------------

TEXT = st.text(st.sampled_from("Aa1 .é-&<:0+TtrRuUeE"), max_size=12)
DATE = st.one_of(
    st.datetimes(datetime(1800, 1, 1), datetime(2030, 1, 1)).map(lambda d: f"{d:%Y:%m:%d %H:%M:%S}"),
    st.sampled_from(["0000:00:00 00:00:00", "1970:01:01 00:00:00", "    :  :     :  :  ", "2008:05", ""]),
)
COORDINATE = st.one_of(st.floats(-181, 181), st.sampled_from([0.0, 90.0, 180.0, 1e-7]))
VALUES: dict[str, st.SearchStrategy[str]] = {
    "EXIF:DateTimeOriginal": DATE,
    "EXIF:CreateDate": DATE,
    "IFD0:DateTimeOriginal": DATE,
    "EXIF:SubSecTimeOriginal": st.sampled_from(["1", "010", "123456789", "12 ", "x", ""]),
    "EXIF:SubSecTimeDigitized": st.sampled_from(["5", "garbage"]),
    "EXIF:OffsetTimeOriginal": st.sampled_from(["+01:00", "-03:30", "+5:30", "Z", "+99:00", "   :  "]),
    "EXIF:OffsetTimeDigitized": st.sampled_from(["+02:00", "+0530"]),
    "IFD0:Make": TEXT,
    "IFD0:Model": st.one_of(TEXT, st.sampled_from(["true", "False", "1.50", "007", "1e5", "-0"])),
    "IFD1:Make": TEXT,
    "IFD0:Rating": st.integers(0, 6).map(str),
    "IFD0:ImageWidth": st.just("17"),
    "GPS:GPSLatitude": COORDINATE.map(lambda value: str(abs(value))),
    "GPS:GPSLatitudeRef": st.sampled_from(["N", "S", "", "X"]),
    "GPS:GPSLongitude": COORDINATE.map(lambda value: str(abs(value))),
    "GPS:GPSLongitudeRef": st.sampled_from(["E", "W"]),
    "GPS:GPSDateStamp": st.just("2011:02:03"),
    "GPS:GPSTimeStamp": st.just("04:05:06"),
    "XMP-xmp:Rating": st.sampled_from(["-1", "0", "5", "3.5", "9", "none"]),
    "XMP-microsoft:RatingPercent": st.just("75"),
    "XMP-xmp:CreateDate": DATE,
    "XMP-photoshop:DateCreated": DATE,
    "XMP-tiff:Make": TEXT,
    "XMP-tiff:ImageWidth": st.just("18"),
    "XMP-exif:GPSLatitude": COORDINATE.map(str),
    "XMP-exif:GPSLongitude": COORDINATE.map(str),
    "XMP-dc:Title": TEXT,
    "IPTC:DateCreated": st.just("2001:02:03"),
    "Photoshop:CopyrightFlag": st.just("1"),
    "Comment": TEXT,
    "JFIF:XResolution": st.just("72"),
}
# Few at a time: with many there is always one that the fast reader does not touch.
TAGS = st.sets(st.sampled_from(sorted(VALUES)), max_size=5).flatmap(
    lambda names: st.fixed_dictionaries({name: VALUES[name] for name in sorted(names)})
)


@pytest.fixture(scope="module")
def writer() -> Iterator[ExifToolReader]:
    """A second ExifTool, that writes: no list of tags to print may stand in its way."""
    from Src.Librarian.exiftool_reader import _StayOpen

    reader = ExifToolReader()
    reader._process = _StayOpen(common_args=["-n", "-m", "-overwrite_original"])
    reader._process.time_limit = PATIENCE
    assert reader.version
    with reader:
        yield reader


@pytest.mark.slow
@needs_exiftool
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tags=TAGS, base=st.sampled_from(["plain", "canon", "kodak"]))
def test_both_readers_agree_on_whatever_exiftool_writes(
    tags: dict[str, str], base: str, exiftool: ExifToolReader, writer: ExifToolReader, tmp_path: Path
) -> None:
    path = tmp_path / "written.jpg"
    if base == "plain":
        Image.new("RGB", (4, 3)).save(path)
    else:
        shutil.copyfile(CANON if base == "canon" else KODAK, path)
    arguments = [f"-{name}={value}".encode() for name, value in tags.items()]
    assert writer._process is not None
    writer._process.ask([*arguments, os.fsencode(path)])
    answered = fast(path)
    assert answered is None or [answered] == slow([str(path)], exiftool)


@pytest.mark.slow
@needs_exiftool
@pytest.mark.parametrize("seed", range(3))
def test_both_readers_agree_on_damaged_headers(seed: int, exiftool: ExifToolReader, tmp_path: Path) -> None:
    """The strongest test of "answers only where it is sure": bytes changed anywhere in the headers."""
    chance = random.Random(seed)
    sound = [SAMPLES / name for name in ("Canon_40D.jpg", "Kodak_CX7530.jpg", "Nikon_D70.jpg")]
    sound.append(SAMPLES / "PaintTool_sample.jpg")
    paths, answers = [], []
    for number in range(300):
        data = bytearray(chance.choice(sound).read_bytes())
        for _ in range(chance.choice([1, 1, 2, 4])):
            place = chance.randrange(2, min(len(data), chance.choice([400, 1500, 6000])))
            data[place] = chance.choice([0, 1, 2, 4, 5, 8, 0x20, 0x30, 0x39, 0xFF, chance.randrange(256)])
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(data)
        answer = fast(path)
        if answer is not None:
            paths.append(str(path))
            answers.append(answer)
    assert len(paths) > 50  # what it never answers for would prove nothing
    assert answers == slow(paths, exiftool)


# -- what it hands over -----------------------------------------------------------------------------------


def exif_segment(data: bytes) -> bytes:
    """The APP1 segment of a JPEG, marker and all."""
    start = data.index(b"\xff\xe1")
    return data[start : start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")]


def xmp_segment(packet: str) -> bytes:
    body = b"http://ns.adobe.com/xap/1.0/\0" + packet.encode()
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


RDF = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{}'
    "</rdf:RDF></x:xmpmeta>"
)
DESCRIPTION = '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"{}>{}</rdf:Description>'

NESTED = DESCRIPTION.format(' xmp:Rating="1"', "")


@pytest.mark.parametrize(
    ("packet", "rating"),
    [
        (RDF.format(DESCRIPTION.format(' xmp:Rating="4"', "")), "4"),
        (RDF.format(DESCRIPTION.format("", "<xmp:Rating>-1</xmp:Rating>")), "-1"),
        (RDF.format(DESCRIPTION.format(' xmlns:MicrosoftPhoto="m" MicrosoftPhoto:Rating="50"', "")), None),
        (RDF.format(DESCRIPTION.format("", "")), None),
    ],
)
def test_a_plain_rating_in_xmp_is_read(packet: str, rating: str | None, tmp_path: Path) -> None:
    path = tmp_path / "rated.jpg"
    data = CANON.read_bytes()
    path.write_bytes(data[:2] + xmp_segment(packet) + data[2:])
    answer = jpeg_reader.read_jpeg(str(path))
    assert answer is not None
    assert answer.tags.get("XMP:Rating") == rating
    assert not answer.dates_complete


@pytest.mark.parametrize(
    "packet",
    [
        RDF.format(DESCRIPTION.format(' xmp:Rating="4"', "<xmp:Rating>3</xmp:Rating>")),
        RDF.format(DESCRIPTION.format(' xmp:Rating="4.5"', "")),
        RDF.format(DESCRIPTION.format(' xmlns:p="http://ns.adobe.com/xap/1.0/" p:Rating="4"', "<xmp:Rating/>")),
        RDF.format(DESCRIPTION.format(' xmlns:other="o" other:Rating="4"', "")),
        RDF.format(DESCRIPTION.format(' xmlns:exif="e" exif:GPSLatitude="1"', "")),
        RDF.format(DESCRIPTION.format(' xmp:Rating="4"', "")).replace("</x:xmpmeta>", ""),
        "<!DOCTYPE x [<!ENTITY r '4'>]>" + RDF.format(DESCRIPTION.format(' xmp:Rating="&r;"', "")),
        RDF.format(DESCRIPTION.format("", "<xmp:Of>" + NESTED + "</xmp:Of>")),
    ],
)
def test_xmp_that_is_not_plain_is_handed_over(packet: str, tmp_path: Path) -> None:
    path = tmp_path / "rated.jpg"
    data = CANON.read_bytes()
    path.write_bytes(data[:2] + xmp_segment(packet) + data[2:])
    assert jpeg_reader.read_jpeg(str(path)) is None


def test_doubled_exif_is_handed_over(tmp_path: Path) -> None:
    data = CANON.read_bytes()
    path = tmp_path / "double.jpg"
    path.write_bytes(data[:2] + exif_segment(data) + data[2:])
    assert jpeg_reader.read_jpeg(str(path)) is None


@pytest.mark.parametrize(
    "segment",
    [
        b"\xff\xeb\0\x06JP\0\0",
        b"\xff\xe3\0\x08Meta\0\0",
        b"\xff\xe1\0\x08QVCI\0\0",
        b"\xff\xe0\0\x06AVI1",
        b"\xff\xed\0\x16Photoshop 3.0\x008BIM\x04\x22",
    ],
)
def test_segments_that_are_not_known_to_be_harmless_are_handed_over(segment: bytes, tmp_path: Path) -> None:
    data = CANON.read_bytes()
    path = tmp_path / "segment.jpg"
    path.write_bytes(data[:2] + segment + data[2:])
    assert jpeg_reader.read_jpeg(str(path)) is None


def test_a_trailer_that_exiftool_reads_is_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "trailer.jpg"
    path.write_bytes(CANON.read_bytes() + bytes(40) + b"\0\0SEFT")
    assert jpeg_reader.read_jpeg(str(path)) is None
    path.write_bytes(CANON.read_bytes() + bytes(1000))
    assert jpeg_reader.read_jpeg(str(path)) is not None


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")  # to open it would wait for ever
    (tmp_path / "link.jpg").symlink_to(CANON)
    for name in ("fifo.jpg", "link.jpg", "gone.jpg", ""):
        assert jpeg_reader.read_jpeg(str(tmp_path / name)) is None
        assert pillow_reader.read_image(str(tmp_path / name)) == {}
        assert jpeg_structure.jpeg_damage(str(tmp_path / name)) is None


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for path in (CANON, tmp_path / "empty.jpg", tmp_path, SAMPLES / "GIF.gif"):
        jpeg_reader.read_jpeg(str(path))
        pillow_reader.read_image(str(path))
        jpeg_structure.jpeg_damage(str(path))
    assert open_below(tmp_path) == open_below(SAMPLES) == []


# -- directories made by hand: one oddity each ------------------------------------------------------------

Entry = tuple[int, int, int, bytes]  # tag, format, count, value (four bytes or less stand in the entry)
ASCII, LONG, RATIONAL, UNDEFINED = 2, 4, 5, 7
MAKE: Entry = (0x10F, ASCII, 6, b"Maker\0")
MODEL: Entry = (0x110, ASCII, 6, b"Model\0")
DATED: list[Entry] = [(0x9003, ASCII, 20, b"2001:02:03 04:05:06\0")]
LATITUDE = struct.pack("<6I", 10, 1, 20, 1, 30, 1)
PLACE: list[Entry] = [
    (1, ASCII, 2, b"S\0"), (2, RATIONAL, 3, LATITUDE), (3, ASCII, 2, b"E\0"), (4, RATIONAL, 3, LATITUDE),
]  # fmt: skip


def directory(entries: list[Entry], start: int, following: int = 0) -> bytes:
    head, values = struct.pack("<H", len(entries)), b""
    for tag, kind, count, value in entries:
        head += struct.pack("<HHI", tag, kind, count)
        if len(value) > 4:
            head += struct.pack("<I", start + 2 + 12 * len(entries) + 4 + len(values))
            values += value
        else:
            head += value.ljust(4, b"\0")
    return head + struct.pack("<I", following) + values


def photo(
    path: Path,
    main: list[Entry],
    exif: list[Entry] | None = None,
    gps: list[Entry] | None = None,
    thumbnail: list[Entry] | None = None,
) -> str:
    """A small JPEG with these EXIF directories, 500 bytes apart."""
    pointers = [(0x8769, LONG, 1, struct.pack("<I", 500))] if exif else []
    pointers += [(0x8825, LONG, 1, struct.pack("<I", 1000))] if gps else []
    tiff = b"II*\0" + struct.pack("<I", 8) + directory([*main, *pointers], 8, 1500 if thumbnail else 0)
    for start, entries in ((500, exif), (1000, gps), (1500, thumbnail)):
        if entries:
            tiff = tiff.ljust(start, b"\0") + directory(entries, start)
    Image.new("RGB", (4, 3)).save(path)
    data = path.read_bytes()
    body = b"Exif\0\0" + tiff.ljust(2000, b"\0")
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
    return str(path)


def pointing(tag: int, kind: int, count: int, place: int) -> Entry:
    """An entry whose value stands at `place`, whatever there is."""
    return tag, kind, count, struct.pack("<I", place)


def test_a_plain_directory_is_read(tmp_path: Path) -> None:
    answer = jpeg_reader.read_jpeg(photo(tmp_path / "x.jpg", [MAKE, MODEL], DATED, PLACE, [MAKE]))
    assert answer is not None
    assert answer.tags["EXIF:Make"] == "Maker"
    assert answer.tags["EXIF:DateTimeOriginal"] == "2001:02:03 04:05:06"
    assert answer.tags["Composite:GPSLatitude"] == "-10.3416666666667"
    assert answer.dates_complete


@pytest.mark.parametrize(
    ("main", "exif", "gps", "thumbnail"),
    [
        pytest.param([MAKE, MODEL, MAKE], None, None, None, id="doubled tag"),
        pytest.param([pointing(0x10F, ASCII, 5, 2), MODEL], None, None, None, id="value in the header"),
        pytest.param([pointing(0x10F, ASCII, 6, 20), MODEL], None, None, None, id="value in the directory"),
        pytest.param([pointing(0x10F, ASCII, 6, 1998), MODEL], None, None, None, id="value past the end"),
        pytest.param([(0x10F, UNDEFINED, 6, b"Maker\0"), MODEL], None, None, None, id="text that is none"),
        pytest.param([(0x10F, ASCII, 0, b""), MODEL], None, None, None, id="text of no bytes"),
        pytest.param([(0x10F, 14, 6, b"Maker\0"), MODEL], None, None, None, id="unknown format"),
        pytest.param([(0x10F, ASCII, 6, b"Mak\xe9r\0"), MODEL], None, None, None, id="text not ASCII"),
        pytest.param([MAKE, (0x110, ASCII, 5, b"True\0")], None, None, None, id="text that JSON would turn"),
        pytest.param([MAKE, MODEL, pointing(0x8769, LONG, 1, 8)], None, None, None, id="circle"),
        pytest.param(
            [MAKE, MODEL, pointing(0x8769, LONG, 1, 500), pointing(0x8825, LONG, 1, 500)],
            None,
            None,
            None,
            id="one directory twice",
        ),
        pytest.param([MAKE, MODEL, (0x2BC, 1, 4, b"<x/>")], None, None, None, id="XMP in EXIF"),
        pytest.param([MAKE, MODEL, pointing(0x14A, LONG, 1, 500)], None, None, None, id="more directories"),
        pytest.param([MAKE], [*DATED, (0x927C, UNDEFINED, 4, b"note")], None, None, id="model in maker notes?"),
        pytest.param([MAKE], DATED, None, [MODEL], id="model of the thumbnail"),
        pytest.param([MAKE, MODEL, *DATED], None, None, None, id="date in the wrong directory"),
        pytest.param([MAKE, MODEL], [(0x9003, ASCII, 5, b"2001\0")], None, None, id="odd date"),
        pytest.param([MAKE, MODEL], None, [(1, ASCII, 2, b"X\0"), *PLACE[1:]], None, id="no hemisphere"),
        pytest.param([MAKE, MODEL], None, PLACE[1:], None, id="hemisphere missing"),
        pytest.param([MAKE, MODEL], None, [*PLACE[:3], (4, RATIONAL, 3, bytes(24))], None, id="divided by 0"),
        pytest.param([MAKE, MODEL], None, [*PLACE[:3], (4, RATIONAL, 1, bytes(8))], None, id="degrees only"),
    ],
)
def test_a_directory_with_an_oddity_is_handed_over(
    tmp_path: Path,
    main: list[Entry],
    exif: list[Entry] | None,
    gps: list[Entry] | None,
    thumbnail: list[Entry] | None,
) -> None:
    assert jpeg_reader.read_jpeg(photo(tmp_path / "x.jpg", main, exif, gps, thumbnail)) is None


def test_a_gps_time_is_a_date_that_the_fast_reader_leaves_out(tmp_path: Path) -> None:
    dated = [*PLACE, (0x1D, ASCII, 11, b"2001:02:03\0")]
    answer = jpeg_reader.read_jpeg(photo(tmp_path / "x.jpg", [MAKE, MODEL], None, dated))
    assert answer is not None
    assert not answer.dates_complete


def test_metadata_after_the_frame_is_handed_over(tmp_path: Path) -> None:
    """The size in the frame would not be the last that ExifTool finds."""
    data = CANON.read_bytes()
    frame = data.index(b"\xff\xc0\0\x11", 20 + len(exif_segment(data)))  # not the thumbnail's
    end = frame + 2 + 17
    path = tmp_path / "x.jpg"
    path.write_bytes(data[:frame] + xmp_segment(RDF.format("")) + data[frame:])
    assert jpeg_reader.read_jpeg(str(path)) is not None
    path.write_bytes(data[:end] + xmp_segment(RDF.format("")) + data[end:])
    assert jpeg_reader.read_jpeg(str(path)) is None
    path.write_bytes(data[:end] + data[frame:end] + data[end:])
    assert jpeg_reader.read_jpeg(str(path)) is None


# -- cut short --------------------------------------------------------------------------------------------


def test_a_jpeg_that_is_cut_short_is_broken_wherever_it_is_cut(tmp_path: Path) -> None:
    data = CANON.read_bytes()
    assert data.endswith(b"\xff\xd9")
    assert data.count(b"\xff\xd9") > 1  # the thumbnail in the headers has an end, too
    path = tmp_path / "cut.jpg"
    for length in (2, 100, 3000, len(data) // 2, len(data) - 2, len(data) - 1):
        path.write_bytes(data[:length])
        assert jpeg_structure.jpeg_damage(str(path)) == jpeg_structure.CUT_SHORT, length
        assert jpeg_reader.read_jpeg(str(path)) is None, length
    path.write_bytes(data)
    assert jpeg_structure.jpeg_damage(str(path)) is None


@pytest.mark.parametrize("trailer", [10, 5000, 900_000])
def test_what_phones_append_does_not_hide_the_end(trailer: int, tmp_path: Path) -> None:
    path = tmp_path / "motion.jpg"
    path.write_bytes(CANON.read_bytes() + bytes(trailer))
    assert jpeg_structure.jpeg_damage(str(path)) is None


# -- without ExifTool -------------------------------------------------------------------------------------


def test_pillow_reads_what_it_can() -> None:
    tags = pillow_reader.read_image(str(SAMPLES / "DSCN0010.jpg"))
    assert tags["EXIF:Model"] == "COOLPIX P6000"
    assert tags["EXIF:DateTimeOriginal"] == "2008:10:22 16:28:39"
    assert float(tags["Composite:GPSLatitude"]) == pytest.approx(43.46744833)
    assert (tags["ImageWidth"], tags["ImageHeight"]) == ("640", "480")
    assert pillow_reader.read_image(str(SAMPLES / "PNG.png")) == {"ImageWidth": "16", "ImageHeight": "16"}
    assert pillow_reader.read_image(str(SAMPLES / "Matroska.mkv")) == {}


def test_a_decompression_bomb_does_not_explode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert pillow_reader.read_image(str(KODAK)) == {}  # an error of Pillow's, not ours
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)
    assert pillow_reader.read_image(str(SAMPLES / "PNG.png"))["ImageWidth"] == "16"  # a warning only


def test_the_fast_reader_agrees_with_a_fresh_exiftool_about_a_place(tmp_path: Path) -> None:
    if shutil.which("exiftool") is None:
        pytest.skip("needs ExifTool")
    path = tmp_path / "place.jpg"
    shutil.copyfile(CANON, path)
    place = [
        "-GPSLatitude=33.8688197",
        "-GPSLatitudeRef=S",
        "-GPSLongitude=151.2092955",
        "-GPSLongitudeRef=E",
    ]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *place, str(path)], check=True)
    ask = ["exiftool", "-n", "-s3", "-Composite:GPSLatitude", "-Composite:GPSLongitude", str(path)]
    told = [float(line) for line in subprocess.check_output(ask).split()]
    metadata = fast(path)
    assert metadata is not None
    assert [metadata.latitude, metadata.longitude] == told
    assert told[0] < 0 < told[1]
    assert metadata._replace(latitude=None, longitude=None) == fast(CANON)
