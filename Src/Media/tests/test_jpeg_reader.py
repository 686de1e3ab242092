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

from Src.Media.metadata import Metadata
from Src.Media.readers import jpeg_structure, pillow_reader
from Src.Media.readers.exiftool_reader import ExifToolReader
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.fast_readers import read_fast
from Src.Media.shots import Shot
from Src.Media.tests.jpeg_made import (
    ASCII,
    DATED,
    DESCRIPTION,
    LONG,
    MAKE,
    MODEL,
    PLACE,
    RATIONAL,
    RDF,
    UNDEFINED,
    Entry,
    exif_block,
    jpeg,
    resource,
    samsung_trailer,
    segment,
    xmp_segment,
)
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing import both_readers
from Src.Testing.both_readers import BothReaders, needs_exiftool
from Src.Testing.examples import examples
from Src.Testing.patience import PATIENCE
from Src.Testing.surroundings import open_below

SAMPLES = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples"
CANON, KODAK = SAMPLES / "Canon_40D.jpg", SAMPLES / "Kodak_CX7530.jpg"
ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 12, 0)


@pytest.fixture(scope="module")
def exiftool() -> Iterator[ExifToolReader]:
    with ExifToolReader(PATIENCE) as reader:
        yield reader


def fast(path: Path | str) -> Metadata | None:
    """What `extract` would take from the fast reader."""
    return both_readers.fast(Path(path), "JPEG")


def answered(path: Path | str) -> FastAnswer | None:
    try:
        return read_fast("JPEG", str(path))
    except Unusual:
        return None


def reason(path: Path | str) -> str:
    """Why the file is handed over."""
    with pytest.raises(Unusual) as unusual:
        read_fast("JPEG", str(path))
    return unusual.value.reason


def slow(paths: list[str], exiftool: ExifToolReader) -> list[Metadata]:
    """What ExifTool's answers mean."""
    return BothReaders(exiftool).slow([Path(path) for path in paths], "JPEG")


def corpus() -> Path:
    """The folder of real photos, which is not part of the checkout."""
    beside = Path(__file__).parents[4] / "shared" / "corpus"
    return Path(os.environ.get("FACTORY_CORPUS", beside))


@needs_exiftool
def test_both_readers_agree_on_every_sample(exiftool: ExifToolReader) -> None:
    paths = [str(path) for path in sorted(SAMPLES.iterdir()) if fast(path) is not None]
    assert [fast(path) for path in paths] == slow(paths, exiftool)
    assert {str(CANON), str(KODAK)} <= set(paths)


@needs_exiftool
@pytest.mark.skipif(not corpus().is_dir(), reason="no corpus of real photos here (FACTORY_CORPUS)")
def test_both_readers_agree_on_the_whole_corpus(exiftool: ExifToolReader, capsys: pytest.CaptureFixture[str]) -> None:
    jpegs = [str(path) for path in sorted(corpus().rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    assert jpegs
    paths = [path for path in jpegs if fast(path) is not None]
    for path, metadata in zip(paths, slow(paths, exiftool), strict=True):
        assert fast(path) == metadata, path
    with capsys.disabled():
        print(f"\nthe fast reader answers for {len(paths)} of the corpus' {len(jpegs)} JPEGs")
    # The rest are odd on purpose: broken, edited, from cameras of the last century.
    assert len(paths) > len(jpegs) / 2


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
    from Src.Media.readers.stay_open import StayOpen

    reader = ExifToolReader()
    reader._process = StayOpen(common_args=["-n", "-m", "-overwrite_original"])
    reader._process.time_limit = PATIENCE
    assert reader.version
    with reader:
        yield reader


@pytest.mark.slow
@needs_exiftool
@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
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
    metadata = fast(path)
    assert metadata is None or [metadata] == slow([str(path)], exiftool)


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


NESTED = DESCRIPTION.format(' xmp:Rating="1"', "")


@pytest.mark.parametrize(
    ("packet", "rating"),
    [
        (RDF.format(DESCRIPTION.format(' xmp:Rating="4"', "")), "4"),
        (RDF.format(DESCRIPTION.format("", "<xmp:Rating>-1</xmp:Rating>")), "-1"),
        (
            RDF.format(DESCRIPTION.format(' xmlns:a="http://ns.acdsee.com/iptc/1.0/" a:rating="2" xmp:Rating="4"', "")),
            "4",
        ),
        (RDF.format(DESCRIPTION.format(' xmlns:MicrosoftPhoto="m" MicrosoftPhoto:Rating="50"', "")), None),
        (RDF.format(DESCRIPTION.format("", "")), None),
    ],
)
def test_a_plain_rating_in_xmp_is_read(packet: str, rating: str | None, tmp_path: Path) -> None:
    path = tmp_path / "rated.jpg"
    data = CANON.read_bytes()
    path.write_bytes(data[:2] + xmp_segment(packet) + data[2:])
    answer = read_fast("JPEG", str(path))
    assert answer.tags.get("XMP:Rating") == rating
    assert answer.tags.get("XMP:RatingPercent") == ("50" if "Microsoft" in packet else None)


def test_dates_place_and_camera_in_xmp_are_read(tmp_path: Path) -> None:
    names = ' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    place = ' exif:GPSLatitude="43,28.5N" exif:GPSLongitude="11,53,6W"'
    camera = "<tiff:Make>Canon</tiff:Make><tiff:Model>40D</tiff:Model>"
    packet = RDF.format(DESCRIPTION.format(f'{names}{place} xmp:CreateDate="2008-05-04T16:47:24+09:00"', camera))
    path = tmp_path / "edited.jpg"
    path.write_bytes(jpeg(xmp_segment(packet)))
    metadata = fast(path)
    assert metadata is not None
    assert (metadata.captured_at, metadata.captured_at_offset) == (datetime(2008, 5, 4, 16, 47, 24), 540)
    assert (metadata.date_source, metadata.camera_make, metadata.camera_model) == ("xmp:CreateDate", "Canon", "40D")
    assert (metadata.latitude, metadata.longitude) == pytest.approx((43.475, -11.885))


def test_an_extended_packet_is_passed_over_if_nothing_of_ours_is_in_it(tmp_path: Path) -> None:
    def extended(*parts: bytes) -> bytes:
        head = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">I", sum(map(len, parts)))
        places = [sum(map(len, parts[:number])) for number in range(len(parts))]
        return b"".join(
            segment(0xE1, head + struct.pack(">I", place) + part) for place, part in zip(places, parts, strict=True)
        )

    path = tmp_path / "depth.jpg"
    path.write_bytes(jpeg(extended(b"<x:xmpmeta xmlns:x='adobe:ns:meta/' depth='", b"AAAA'/>")))
    assert answered(path) is not None
    path.write_bytes(jpeg(extended(b"<x:xmpmeta xmlns:x='adobe:ns:meta/' Create", b"Date='AAAA'/>")))
    assert reason(path) == "extended XMP"


@pytest.mark.parametrize(
    "packet",
    [
        RDF.format(DESCRIPTION.format(' xmp:Rating="4"', "<xmp:Rating>3</xmp:Rating>")),
        RDF.format(DESCRIPTION.format(' xmp:Rating="9/2"', "")),
        RDF.format(DESCRIPTION.format(' xmlns:other="o" other:Error="4"', "")),
        RDF.format(DESCRIPTION.format(' xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/" acdsee:rating="2"', "")),
        RDF.format(DESCRIPTION.format(' xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="43.5"', "")),
        RDF.format(DESCRIPTION.format(' xmlns:p="http://ns.adobe.com/xap/1.0/" p:Rating="4"', "<xmp:Rating/>")),
        RDF.format(DESCRIPTION.format(' xmlns:other="o" other:Rating="4"', "")),
        RDF.format(DESCRIPTION.format(' xmlns:exif="e" exif:GPSLatitude="1"', "")),
        RDF.format(DESCRIPTION.format(' xmp:Rating="4"', "")).replace("</x:xmpmeta>", ""),
        RDF.format(DESCRIPTION.format(' xmp:Rating="4"', "")).replace("adobe:ns:meta/", "another:meta/"),
        "<!DOCTYPE x [<!ENTITY r '4'>]>" + RDF.format(DESCRIPTION.format(' xmp:Rating="&r;"', "")),
        RDF.format(DESCRIPTION.format("", "<xmp:Of>" + NESTED + "</xmp:Of>")),
    ],
)
def test_xmp_that_is_not_plain_is_handed_over(packet: str, tmp_path: Path) -> None:
    path = tmp_path / "rated.jpg"
    data = CANON.read_bytes()
    path.write_bytes(data[:2] + xmp_segment(packet) + data[2:])
    assert answered(path) is None


def test_doubled_exif_is_handed_over(tmp_path: Path) -> None:
    data = CANON.read_bytes()
    path = tmp_path / "double.jpg"
    path.write_bytes(data[:2] + exif_segment(data) + data[2:])
    assert reason(path) == "EXIF twice"


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (segment(0xE0, b"unheard of"), "segment APP0"),
        (segment(0xE1, b"PARROT\0II*\0"), "segment APP1"),
        (segment(0xE1, b"Exif\0"), "segment APP1"),
        (segment(0xE1, b"http://ns.example.org/"), "segment APP1"),
        (segment(0xE2, b"FPXR\0"), "segment APP2"),
        (segment(0xE4, b"FPXR\0"), "segment APP4"),
        (segment(0xE9, b"Media Jukebox\0"), "segment APP9"),
        (segment(0xEB, b"JP" + bytes(14) + b"....xml "), "metadata in JUMBF"),
        (segment(0xEB, b"JP\0\0\x7f\0\0\0" + bytes(8)), "JUMBF of odd form"),
        (segment(0xED, b"Photoshop 3.0\0" + resource(0x422, b"II*\0")), "metadata in Photoshop's resources"),
        (segment(0xED, b"Adobe_Photoshop2.5:"), "segment APP13"),
        (xmp_segment(RDF.format("")) * 2, "XMP twice"),
    ],
)
def test_segments_that_exiftool_may_read_otherwise_are_handed_over(odd: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "segment.jpg"
    path.write_bytes(jpeg(odd))
    assert reason(path) == why


@pytest.mark.parametrize(
    "known",
    [
        segment(0xE0, b"AVI1"),
        segment(0xE2, b"MPF\0") + segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0"),
        segment(0xE2, b"\xff\xd8\xff\xdb preview") + segment(0xE2, b"that goes on"),
        segment(0xE3, b"Meta\0\0"),
        segment(0xE5, b"ssuniqueid\0"),
        b"\xff\xff\xff",
    ],
)
def test_segments_without_a_tag_of_ours_are_passed_over(known: bytes, tmp_path: Path) -> None:
    path = tmp_path / "segment.jpg"
    path.write_bytes(jpeg(known))
    assert read_fast("JPEG", str(path)).other_dates is None


@pytest.mark.parametrize("marker", [0xE1, 0xE6, 0xEB, 0xEC])
def test_a_segment_with_a_date_of_its_own_counts_where_exif_has_none(marker: int, tmp_path: Path) -> None:
    path = tmp_path / "segment.jpg"
    maker = segment(marker, {0xE1: b"QVCI\0", 0xEB: b"JP" + bytes(20)}.get(marker, b"of a maker"))
    name = f"segment APP{marker - 0xE0}"
    dated, undated = exif_block([MAKE, MODEL], DATED), exif_block([MAKE, MODEL])
    path.write_bytes(jpeg(segment(0xE1, b"Exif\0\0" + dated), maker))
    assert read_fast("JPEG", str(path)).other_dates == name
    assert fast(path) is not None
    path.write_bytes(jpeg(segment(0xE1, b"Exif\0\0" + undated), maker))
    assert fast(path) is None
    path.write_bytes(jpeg(maker))
    assert reason(path) == name


def test_a_trailer_that_exiftool_reads_is_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "trailer.jpg"
    path.write_bytes(CANON.read_bytes() + b"CANON OPTIONAL DATA" + bytes(45))
    assert reason(path) == "trailer CanonVRD"
    path.write_bytes(CANON.read_bytes() + bytes(1000))
    assert answered(path) is not None


def test_samsung_s_trailer_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "trailer.jpg"
    trailer = samsung_trailer([(0xA30, b"MotionPhoto_Data", b"ftypmp42" * 9000), (0xA01, b"Image_UTC_Data", b"16")])
    path.write_bytes(CANON.read_bytes() + trailer)
    without = fast(CANON)
    assert without is not None
    assert fast(path) == without._replace(shot=Shot(is_motion_photo=True))
    path.write_bytes(CANON.read_bytes() + b"AXS!" + bytes(8) + trailer)
    assert reason(path) == "trailer AFCP"
    path.write_bytes(CANON.read_bytes() + trailer + trailer)
    assert reason(path) == "trailer SEFT"
    path.write_bytes(CANON.read_bytes() + trailer[-40:])
    assert reason(path) == "trailer SEFT of odd form"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")  # to open it would wait for ever
    (tmp_path / "link.jpg").symlink_to(CANON)
    for name in ("fifo.jpg", "link.jpg", "gone.jpg", ""):
        assert reason(tmp_path / name) == "could not be opened"
        assert pillow_reader.read_image(str(tmp_path / name)) == {}
        assert jpeg_structure.jpeg_damage(str(tmp_path / name)) is None


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for path in (CANON, tmp_path / "empty.jpg", tmp_path, SAMPLES / "GIF.gif"):
        answered(path)
        pillow_reader.read_image(str(path))
        jpeg_structure.jpeg_damage(str(path))
    assert open_below(tmp_path) == open_below(SAMPLES) == []


# -- directories made by hand: one oddity each ------------------------------------------------------------


def photo(
    path: Path,
    main: list[Entry],
    exif: list[Entry] | None = None,
    gps: list[Entry] | None = None,
    thumbnail: list[Entry] | None = None,
) -> str:
    """A small JPEG with these EXIF directories."""
    path.write_bytes(jpeg(segment(0xE1, b"Exif\0\0" + exif_block(main, exif, gps, thumbnail))))
    return str(path)


def exif_segment(data: bytes) -> bytes:
    """The APP1 segment of a JPEG, marker and all."""
    start = data.index(b"\xff\xe1")
    return data[start : start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")]


def pointing(tag: int, kind: int, count: int, place: int) -> Entry:
    """An entry whose value stands at `place`, whatever there is."""
    return tag, kind, count, struct.pack("<I", place)


def test_a_plain_directory_is_read(tmp_path: Path) -> None:
    answer = read_fast("JPEG", photo(tmp_path / "x.jpg", [MAKE, MODEL], DATED, PLACE, [MAKE]))
    assert answer.tags["EXIF:Make"] == "Maker"
    assert answer.tags["EXIF:DateTimeOriginal"] == "2001:02:03 04:05:06"
    assert answer.tags["Composite:GPSLatitude"] == "-10.3416666666667"
    assert answer.other_dates is None


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
        pytest.param([MAKE, MODEL], None, [(1, ASCII, 2, b"X\0"), *PLACE[1:]], None, id="no hemisphere"),
        pytest.param([MAKE, MODEL], None, [PLACE[0], (2, RATIONAL, 3, bytes(24))], None, id="0/0 south"),
        pytest.param([MAKE, MODEL, (0xFE, LONG, 1, bytes(4))], None, None, None, id="one of several pictures"),
        pytest.param([MAKE, MODEL], None, [*PLACE[:3], (4, RATIONAL, 1, bytes(8))], None, id="degrees only"),
        pytest.param(
            [MAKE, MODEL, (0x9999, ASCII, 22, b'{"CreateDate":"2001"}\0')],
            None,
            None,
            None,
            id="date in Xiaomi's settings",
        ),
    ],
)
def test_a_directory_with_an_oddity_is_handed_over(
    tmp_path: Path,
    main: list[Entry],
    exif: list[Entry] | None,
    gps: list[Entry] | None,
    thumbnail: list[Entry] | None,
) -> None:
    assert answered(photo(tmp_path / "x.jpg", main, exif, gps, thumbnail)) is None


def test_xiaomi_s_settings_are_passed_over(tmp_path: Path) -> None:
    settings = b'{"mirror":false,"sensor_type":"rear","hdr":"auto","zoomMultiple":1.0}\0'
    assert fast(photo(tmp_path / "x.jpg", [MAKE, MODEL, (0x9999, ASCII, len(settings), settings)], DATED)) is not None


@pytest.mark.parametrize(
    "gps",
    [
        pytest.param(PLACE[1:], id="hemisphere missing"),
        pytest.param([*PLACE[:3], (4, RATIONAL, 3, bytes(24))], id="0/0"),
        pytest.param([(0, 1, 4, b"\2\2\0\0")], id="version alone"),
    ],
)
def test_a_place_that_is_none_is_no_reason_to_ask(gps: list[Entry], tmp_path: Path) -> None:
    metadata = fast(photo(tmp_path / "x.jpg", [MAKE, MODEL], DATED, gps))
    assert metadata is not None
    assert (metadata.latitude, metadata.longitude) == (None, None)


def test_a_gps_time_is_read_where_exif_has_no_date(tmp_path: Path) -> None:
    gps = [*PLACE, (7, RATIONAL, 3, struct.pack("<6I", 4, 1, 5, 1, 65, 10)), (0x1D, ASCII, 11, b"2001:02:03\0")]
    answer = read_fast("JPEG", photo(tmp_path / "x.jpg", [MAKE, MODEL], None, gps))
    assert answer.tags["Composite:GPSDateTime"] == "2001:02:03 04:05:06.5Z"
    assert answer.other_dates is None
    answer = read_fast("JPEG", photo(tmp_path / "x.jpg", [MAKE, MODEL], DATED, gps))
    assert answer.other_dates == "GPS date"


def test_metadata_after_the_frame_is_handed_over(tmp_path: Path) -> None:
    """The size in the frame would not be the last that ExifTool finds."""
    path = tmp_path / "x.jpg"
    path.write_bytes(jpeg(behind_the_frame=segment(0xE1, b"Exif\0\0" + exif_block([MAKE]))))
    assert reason(path) == "metadata behind the frame"
    path.write_bytes(jpeg(behind_the_frame=xmp_segment(RDF.format(DESCRIPTION.format(' other:ImageWidth="5"', "")))))
    assert reason(path) == "metadata behind the frame"
    path.write_bytes(jpeg(behind_the_frame=segment(0xC0, b"\x08\0\x10\0\x10\x03")))
    assert reason(path) == "more than one frame"
    path.write_bytes(jpeg(behind_the_frame=xmp_segment(RDF.format(DESCRIPTION.format(' xmp:Rating="2"', "")))))
    assert read_fast("JPEG", str(path)).tags["XMP:Rating"] == "2"


# -- cut short --------------------------------------------------------------------------------------------


def test_a_jpeg_that_is_cut_short_is_broken_wherever_it_is_cut(tmp_path: Path) -> None:
    data = CANON.read_bytes()
    assert data.endswith(b"\xff\xd9")
    assert data.count(b"\xff\xd9") > 1  # the thumbnail in the headers has an end, too
    path = tmp_path / "cut.jpg"
    for length in (2, 100, 3000, len(data) // 2, len(data) - 200, len(data) - 20):
        path.write_bytes(data[:length])
        assert jpeg_structure.jpeg_damage(str(path)) == jpeg_structure.CUT_SHORT, length
        assert answered(path) is None, length
    path.write_bytes(data)
    assert jpeg_structure.jpeg_damage(str(path)) is None


@pytest.mark.parametrize("sample", ["Canon_40D.jpg", "Kodak_CX7530.jpg", "Nikon_D70.jpg", "DSCN0010.jpg"])
@pytest.mark.parametrize("behind", [b"", bytes(5000), bytes(3_000_000), b"SEFH" + bytes(90) + b"SEFT" * 400])
def test_a_missing_end_alone_is_no_damage_and_missing_pixels_are(sample: str, behind: bytes, tmp_path: Path) -> None:
    data = (SAMPLES / sample).read_bytes().removesuffix(b"\xff\xd9")
    path = tmp_path / "panorama.jpg"
    path.write_bytes(data + behind)
    assert jpeg_structure.jpeg_damage(str(path)) is None
    if not behind.strip(b"\0"):  # a copy that was given its whole length before it was broken off
        path.write_bytes(data[:-100] + behind)
        assert jpeg_structure.jpeg_damage(str(path)) == jpeg_structure.CUT_SHORT


@pytest.mark.parametrize("padding", [10, 5000, 3_000_000])
def test_zeros_behind_the_end_are_no_damage(padding: int, tmp_path: Path) -> None:
    path = tmp_path / "padded.jpg"
    path.write_bytes(CANON.read_bytes() + bytes(padding))
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
