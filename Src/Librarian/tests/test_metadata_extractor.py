"""When, where, with what: the design's table on real files, and whatever happens, an answer."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tzfpy import get_tz

from Src.Librarian import jpeg_structure, metadata_extractor
from Src.Librarian.exiftool_reader import ASKED, Answer, ExifToolReader
from Src.Librarian.metadata_extractor import Metadata, MetadataExtractor, Subject, interpret
from Src.Librarian.tests.conftest import PATIENCE, LimitOnlyFor

SAMPLES = Path(__file__).parent / "samples"
CANON = SAMPLES / "Canon_40D.jpg"
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 12, 0)
MTIME = datetime(2020, 2, 2, 3, 4, 5)  # in Berlin
MTIME_NS = int(MTIME.replace(tzinfo=BERLIN).timestamp()) * 10**9

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


def subject(path: Path, kind: str = "JPEG", name: str = "IMG_0001.JPG") -> Subject:
    return Subject(str(path), name, kind, MTIME_NS)


def meaning(tags: dict[str, str], beside: dict[str, str] | None = None, **about: Any) -> Metadata:
    """What `tags` of a file and of its sidecar mean."""
    asked = subject(Path("/inbox/x"), **about)
    sidecar = None if beside is None else Answer(beside)
    return interpret(asked, Answer(tags), sidecar, BERLIN, NOW)


@pytest.fixture(scope="module")
def extractor() -> Iterator[MetadataExtractor]:
    with MetadataExtractor(BERLIN, PATIENCE) as shared:
        yield shared


# -- the table, source by source --------------------------------------------------------------------------

# In the order of the design, each with the date it should be read as.
SOURCES: list[tuple[str, dict[str, str], datetime, int | None]] = [
    (
        "exif:DateTimeOriginal",
        {"EXIF:DateTimeOriginal": "2001:01:01 10:00:00"},
        datetime(2001, 1, 1, 10),
        None,
    ),
    ("exif:CreateDate", {"EXIF:CreateDate": "2002:01:01 10:00:00"}, datetime(2002, 1, 1, 10), None),
    (
        "quicktime:CreationDate",
        {"QuickTime:CreationDate": "2003:01:01 10:00:00-05:00"},
        datetime(2003, 1, 1, 10),
        -300,
    ),
    (
        "h264:DateTimeOriginal",
        {"H264:DateTimeOriginal": "2004:01:01 10:00:00+01:00"},
        datetime(2004, 1, 1, 10),
        60,
    ),
    (
        "riff:DateTimeOriginal",
        {"RIFF:DateTimeOriginal": "2005:01:01 10:00:00"},
        datetime(2005, 1, 1, 10),
        None,
    ),
    ("quicktime:CreateDate", {"QuickTime:CreateDate": "2006:01:01 10:00:00"}, datetime(2006, 1, 1, 11), None),
    (
        "quicktime:MediaCreateDate",
        {"QuickTime:MediaCreateDate": "2007:07:01 10:00:00"},
        datetime(2007, 7, 1, 12),
        None,
    ),
    (
        "matroska:DateTimeOriginal",
        {"Matroska:DateTimeOriginal": "2008:01:01 10:00:00Z"},
        datetime(2008, 1, 1, 11),
        None,
    ),
    ("xmp:DateCreated", {"XMP:DateCreated": "2009:01:01 10:00:00+09:00"}, datetime(2009, 1, 1, 10), 540),
    ("xmp:DateTimeOriginal", {"XMP:DateTimeOriginal": "2010:01:01"}, datetime(2010, 1, 1), None),
    ("xmp:CreateDate", {"XMP:CreateDate": "2011:01:01 10:00:00Z"}, datetime(2011, 1, 1, 10), 0),
    (
        "iptc:DateCreated",
        {"IPTC:DateCreated": "2012:01:01", "IPTC:TimeCreated": "10:00:00-02:00"},
        datetime(2012, 1, 1, 10),
        -120,
    ),
    ("gps:DateTime", {"Composite:GPSDateTime": "2014:01:01 10:00:00Z"}, datetime(2014, 1, 1, 11), None),
]


@pytest.mark.parametrize("number", range(len(SOURCES)))
def test_the_first_source_that_has_a_date_wins(number: int) -> None:
    source, _, when, offset = SOURCES[number]
    tags = {name: value for _, one, _, _ in SOURCES[number:] for name, value in one.items()}
    beside = {"XMP:DateCreated": "2013:01:01 10:00:00"} if source != "gps:DateTime" else None
    found = meaning(tags, beside, name="IMG_20150101_100000.jpg")
    assert (found.date_source, found.captured_at, found.captured_at_offset) == (source, when, offset)


@pytest.mark.parametrize("invalid", ["0000:00:00 00:00:00", "1970:01:01 00:00:00", "2027:01:01 00:00:00", "2001"])
def test_a_source_without_a_valid_date_leaves_it_to_the_next(invalid: str) -> None:
    for number in range(len(SOURCES) - 1):
        tags = {name: value for _, one, _, _ in SOURCES[number:] for name, value in one.items()}
        tags[next(iter(SOURCES[number][1]))] = invalid
        if SOURCES[number][0] == "iptc:DateCreated":
            del tags["IPTC:TimeCreated"]  # the day alone decides then
        assert meaning(tags).date_source == SOURCES[number + 1][0]


def test_every_tag_that_counts_is_asked_for() -> None:
    names = {name for _, one, _, _ in SOURCES for name in one}
    assert names <= set(ASKED)


def test_the_sidecar_s_date_comes_after_the_file_s_own_and_before_gps() -> None:
    beside = {"XMP:CreateDate": "2013:01:01 10:00:00"}
    gps = {"Composite:GPSDateTime": "2014:01:01 10:00:00Z"}
    assert meaning(gps, beside).date_source == "sidecar:xmp:CreateDate"
    assert meaning({**gps, "XMP:CreateDate": "2011:01:01 10:00:00"}, beside).date_source == "xmp:CreateDate"
    assert meaning({**gps, "IPTC:DateCreated": "2011:01:01"}, beside).date_source == "iptc:DateCreated"


def test_the_file_name_comes_after_all_tags_and_before_the_file_time() -> None:
    named = meaning({}, name="VID-20231225-WA0001.mp4")
    assert (named.captured_at, named.date_source) == (datetime(2023, 12, 25), "filename")
    future = meaning({}, name="VID-20291225-WA0001.mp4")
    assert (future.captured_at, future.date_source) == (MTIME, "mtime")


def test_a_file_time_that_no_calendar_has_is_now() -> None:
    asked = Subject("/inbox/x", "x.jpg", "JPEG", 2**80)
    assert interpret(asked, Answer(), None, BERLIN, NOW).captured_at == NOW


def test_fraction_and_offset_belong_to_their_own_date() -> None:
    tags = {
        "EXIF:DateTimeOriginal": "2001:01:01 10:00:00",
        "EXIF:SubSecTimeOriginal": "016",
        "EXIF:OffsetTimeOriginal": "+5:30",
        "EXIF:CreateDate": "2002:01:01 10:00:00",
        "EXIF:SubSecTimeDigitized": "25 ",
        "EXIF:OffsetTimeDigitized": "Z",
    }
    found = meaning(tags)
    assert (found.captured_at.microsecond, found.captured_at_offset) == (16000, 330)
    found = meaning({**tags, "EXIF:DateTimeOriginal": "    :  :     :  :  "})
    assert (found.captured_at.microsecond, found.captured_at_offset) == (250000, 0)
    found = meaning({**tags, "EXIF:SubSecTimeOriginal": "x", "EXIF:OffsetTimeOriginal": "+99:00"})
    assert (found.captured_at.microsecond, found.captured_at_offset) == (0, None)


def test_utc_is_shown_where_the_photo_was_taken() -> None:
    utc = {"QuickTime:CreateDate": "2023:12:31 20:00:00"}
    tokyo = {"Composite:GPSLatitude": "35.68", "Composite:GPSLongitude": "139.69"}
    assert meaning(utc).captured_at == datetime(2023, 12, 31, 21)
    found = meaning({**utc, **tokyo})
    assert (found.captured_at, found.captured_at_offset) == (datetime(2024, 1, 1, 5), None)
    # …and the sidecar may be the one that knows the place.
    beside = {"XMP:GPSLatitude": "35.68", "XMP:GPSLongitude": "139.69"}
    assert meaning(utc, beside).captured_at == datetime(2024, 1, 1, 5)


def test_a_clock_s_zero_is_one_in_utc() -> None:
    """In Berlin it would be one in the morning, and pass."""
    assert meaning({"QuickTime:CreateDate": "1904:01:01 00:00:00"}).date_source == "mtime"
    assert meaning({"QuickTime:CreateDate": "1970:01:01 01:00:00+01:00"}).date_source == "mtime"


@pytest.mark.parametrize(
    ("latitude", "longitude", "place"),
    [
        ("52.5", "13.4", (52.5, 13.4)),
        ("-33.8688197", "151.2092955", (-33.8688197, 151.2092955)),
        ("0", "13.4", (0.0, 13.4)),
        ("90", "-180", (90.0, -180.0)),
        ("0", "0", (None, None)),
        ("0.0", "-0", (None, None)),
        ("90.1", "13.4", (None, None)),
        ("52.5", "180.1", (None, None)),
        ("52.5", None, (None, None)),
        ("undef", "13.4", (None, None)),
        ("nan", "13.4", (None, None)),
        ("inf", "13.4", (None, None)),
    ],
)
def test_places(latitude: str | None, longitude: str | None, place: tuple[float | None, ...]) -> None:
    named = (("Composite:GPSLatitude", latitude), ("Composite:GPSLongitude", longitude))
    found = meaning({name: value for name, value in named if value is not None})
    assert (found.latitude, found.longitude) == place


def test_the_sidecar_fills_gaps_only() -> None:
    own = {"Composite:GPSLatitude": "1", "Composite:GPSLongitude": "2", "XMP:Rating": "0"}
    beside = {"XMP:GPSLatitude": "3", "XMP:GPSLongitude": "4", "XMP:Rating": "5"}
    found = meaning(own, beside)
    assert (found.latitude, found.longitude, found.rating) == (1, 2, 0)
    found = meaning({"Composite:GPSLatitude": "1"}, beside)
    assert (found.latitude, found.longitude, found.rating) == (3, 4, 5)


@pytest.mark.parametrize(
    ("tags", "rating"),
    [
        ({"XMP:Rating": "4"}, 4),
        ({"XMP:Rating": "4.0"}, 4),
        ({"XMP:Rating": "-1"}, -1),
        ({"XMP:Rating": "99", "EXIF:Rating": "3"}, 3),
        ({"XMP:Rating": "2", "EXIF:Rating": "3"}, 2),
        ({"EXIF:Rating": "6"}, None),
        ({"XMP:Rating": "good"}, None),
    ],
)
def test_ratings(tags: dict[str, str], rating: int | None) -> None:
    assert meaning(tags).rating == rating


@pytest.mark.parametrize(
    ("tags", "make"),
    [
        ({"EXIF:Make": "Canon", "XMP:Make": "x", "Make": "y"}, "Canon"),
        ({"EXIF:Make": "  Pentax \0", "Make": "y"}, "Pentax"),
        ({"EXIF:Make": "  ", "QuickTime:Make": "Apple", "XMP:Make": "x", "Make": ""}, "Apple"),
        ({"XMP:Make": "x", "Make": "y"}, "x"),
        ({"Make": "4113"}, "4113"),
        ({}, None),
    ],
)
def test_cameras(tags: dict[str, str], make: str | None) -> None:
    assert meaning(tags).camera_make == make


def test_only_what_moves_has_a_duration() -> None:
    assert meaning({"Duration": "4.5"}, kind="MOV").duration_seconds == 4.5
    assert meaning({"Duration": "1"}, kind="CR3").duration_seconds is None


@pytest.mark.parametrize("size", ["0", "-1", "x", "1e300", "nan", "2147483648"])
def test_sizes_that_no_image_has(size: str) -> None:
    assert meaning({"ImageWidth": size}).width is None


@given(st.dictionaries(st.sampled_from(ASKED), st.text()), st.text(), st.integers())
def test_no_tag_is_a_trap(tags: dict[str, str], name: str, mtime_ns: int) -> None:
    interpret(Subject("/inbox/x", name, "MOV", mtime_ns), Answer(tags), Answer(tags), BERLIN, NOW)


# -- real files -------------------------------------------------------------------------------------------


@needs_exiftool
@pytest.mark.parametrize(
    ("name", "kind", "when", "offset", "source", "size", "camera"),
    [
        ("Canon_40D.jpg", "JPEG", datetime(2008, 5, 30, 15, 56, 1), None, "exif:DateTimeOriginal",
         (100, 68), ("Canon", "Canon EOS 40D")),
        ("WWL_ION230.jpg", "JPEG", MTIME, None, "mtime", (75, 100), ("WWL", "ION230")),
        ("image02206.jpg", "JPEG", datetime(2009, 8, 4, 10, 35, 3), 0, "xmp:CreateDate", None, (None, None)),
        ("IPTC.jpg", "JPEG", datetime(2004, 2, 26), None, "iptc:DateCreated", (8, 8), (None, None)),
        ("QuickTime.mov", "MOV", datetime(2005, 8, 11, 16, 3, 54), None, "quicktime:CreateDate",
         (320, 240), ("PENTAX DIGITAL CAMERA", None)),
        ("M2TS.mts", "M2TS", datetime(2008, 12, 31, 23, 16, 24), 60, "h264:DateTimeOriginal",
         (1920, 1080), ("4113", None)),
        ("Matroska.mkv", "MKV", datetime(2010, 2, 3, 22, 17, 48), None, "matroska:DateTimeOriginal",
         (704, 576), (None, None)),
        ("RIFF.avi", "AVI", datetime(2003, 3, 10, 15, 4, 43), None, "riff:DateTimeOriginal",
         (320, 240), (None, None)),
        ("Nikon.nef", "NEF", datetime(2004, 6, 9, 16, 2, 35), None, "exif:DateTimeOriginal",
         (3040, 2014), ("NIKON CORPORATION", "NIKON D70")),
        ("CanonRaw.cr3", "CR3", datetime(2018, 2, 21, 12, 8, 56, 210000), 0, "exif:DateTimeOriginal",
         (6000, 4000), ("Canon", "Canon EOS M50")),
        ("samplefilehub.heif", "HEIC", MTIME, None, "mtime", (640, 426), (None, None)),
    ],
)  # fmt: skip
def test_samples(
    extractor: MetadataExtractor,
    name: str,
    kind: str,
    when: datetime,
    offset: int | None,
    source: str,
    size: tuple[int, int] | None,
    camera: tuple[str | None, str | None],
) -> None:
    (found,) = extractor.extract([subject(SAMPLES / name, kind)], NOW)
    assert (found.captured_at, found.captured_at_offset, found.date_source) == (when, offset, source)
    assert size is None or (found.width, found.height) == size
    assert (found.camera_make, found.camera_model) == camera
    assert found.error is None


@needs_exiftool
def test_answers_come_in_order_whoever_gives_them(extractor: MetadataExtractor) -> None:
    names = ["Canon_40D.jpg", "GIF.gif", "Kodak_CX7530.jpg", "Nikon.nef", "IPTC.jpg", "Canon_40D.jpg"]
    kinds = ["JPEG", "GIF", "JPEG", "NEF", "JPEG", "JPEG"]
    asked = [subject(SAMPLES / name, kind) for name, kind in zip(names, kinds, strict=True)]
    together = extractor.extract(asked, NOW)
    assert together == [extractor.extract([one], NOW)[0] for one in asked]
    assert together[0] == together[-1]
    assert len(set(together)) == 5
    assert extractor.extract([], NOW) == []


def test_a_camera_s_jpeg_needs_no_exiftool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExifToolReader, "read", lambda self, paths: pytest.fail("asked ExifTool"))
    with MetadataExtractor(BERLIN) as extractor:
        (found,) = extractor.extract([subject(CANON)], NOW)
    assert found.camera_model == "Canon EOS 40D"


@needs_exiftool
def test_a_jpeg_in_disguise_is_read_as_what_it_is(extractor: MetadataExtractor, tmp_path: Path) -> None:
    path = tmp_path / "really.mov"
    shutil.copyfile(CANON, path)
    assert extractor.extract([subject(path)], NOW) == extractor.extract([subject(CANON)], NOW)


@needs_exiftool
@pytest.mark.parametrize("beside", ["x.jpg.xmp", "x.xmp", "x.XMP", "x.jpg.Xmp"])
def test_a_sidecar_s_place_rating_and_date_are_taken(extractor: MetadataExtractor, tmp_path: Path, beside: str) -> None:
    path = tmp_path / "x.jpg"
    shutil.copyfile(SAMPLES / "PaintTool_sample.jpg", path)
    written = [
        "-XMP:GPSLatitude=52.5",
        "-XMP:GPSLongitude=-13.4",
        "-XMP:Rating=4",
        "-XMP:DateCreated=2011:02:03",
    ]
    made = tmp_path / "made.xmp"
    subprocess.run(["exiftool", "-q", *written, str(made)], check=True)
    made.rename(tmp_path / beside)
    (found,) = extractor.extract([subject(path)], NOW)
    assert (found.latitude, found.longitude, found.rating) == (52.5, -13.4, 4)
    assert (found.captured_at, found.date_source) == (datetime(2011, 2, 3), "sidecar:xmp:DateCreated")


@needs_exiftool
def test_a_camera_s_jpeg_is_asked_for_its_sidecar_too(extractor: MetadataExtractor, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    shutil.copyfile(CANON, path)
    subprocess.run(["exiftool", "-q", "-XMP:Rating=4", str(tmp_path / "x.xmp")], check=True)
    (found,) = extractor.extract([subject(path)], NOW)
    assert (found.rating, found.date_source) == (4, "exif:DateTimeOriginal")


def test_the_sidecar_of_this_very_file_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    assert metadata_extractor.find_sidecar(str(path)) is None
    (tmp_path / "x.xmp").touch()
    assert metadata_extractor.find_sidecar(str(path)) == str(tmp_path / "x.xmp")
    (tmp_path / "x.jpg.XMP").touch()
    assert metadata_extractor.find_sidecar(str(path)) == str(tmp_path / "x.jpg.XMP")


# -- broken files -----------------------------------------------------------------------------------------


@needs_exiftool
@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("Canon_40D.jpg", "JPEG", "JPEG format error"), ("32-lens_data.jpeg", "JPEG", "cut short"),
        ("PNG.png", "PNG", "Corrupted"), ("RIFF.webp", "WEBP", "corrupted"), ("RIFF.avi", "AVI", "corrupted"),
        ("QuickTime.mov", "MOV", "Truncated"), ("samplefilehub.heif", "HEIC", "Truncated"),
        ("CanonRaw.cr3", "CR3", "Truncated|Error reading"), ("Nikon.nef", "NEF", "Error reading"),
        ("Arbitro.tiff", "TIFF", "Bad IFD0"),
    ],
)  # fmt: skip
def test_a_file_cut_short_is_broken_and_answered_nonetheless(
    extractor: MetadataExtractor, tmp_path: Path, name: str, kind: str, told: str
) -> None:
    data = (SAMPLES / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) // 2])
    whole, cut = extractor.extract([subject(SAMPLES / name, kind), subject(path, kind)], NOW)
    assert whole.error is None
    assert cut.error is not None
    assert re.search(told, cut.error)
    assert cut.captured_at <= NOW


@needs_exiftool
def test_a_broken_jpeg_keeps_what_its_headers_tell(extractor: MetadataExtractor, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(CANON.read_bytes()[:-2])
    whole, cut = extractor.extract([subject(CANON), subject(path)], NOW)
    assert cut.error == jpeg_structure.CUT_SHORT
    assert cut[:-1] == whole[:-1]


@needs_exiftool
def test_no_sample_is_called_broken_that_is_not(extractor: MetadataExtractor) -> None:
    kinds = {"jpg": "JPEG", "jpeg": "JPEG", "mts": "M2TS", "heif": "HEIC"}
    asked = [
        subject(path, kinds.get(path.suffix[1:], path.suffix[1:].upper()))
        for path in sorted(SAMPLES.iterdir())
        if path.suffix != ".md"
    ]
    errors = zip(asked, extractor.extract(asked, NOW), strict=True)
    assert {one.path.rpartition("/")[2] for one, found in errors if found.error} <= {
        # of these ExifTool's author kept the headers only
        "IPTC.jpg", "Nikon.nef", "DNG.dng", "CanonRaw.cr2", "Panasonic.rw2", "FujiFilm.raf",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("warning", "damage"),
    [
        ("Truncated 'mdat' data (missing 123 bytes)", True),
        ("Corrupted PNG image", True),
        ("Error reading RIFF file (corrupted?)", True),
        ("Invalid atom size", True),
        ("Bad IFD0 directory", True),
        ("[minor] Possibly corrupt RAF information", False),
        ("Error reading MakerNotes", False),
        ("Invalid CanonAFInfo data", False),
        ("IPTCDigest is not current. XMP may be out of sync", False),
        ("XMP format error (no closing tag for x)", False),
        ("Error reading PreviewImage from file", False),
        ("[minor] Adjusted MakerNotes base by -54", False),
    ],
)
def test_which_warnings_mean_that_a_file_is_damaged(warning: str, damage: bool) -> None:
    assert (metadata_extractor.damage_in(["[minor] x", warning]) == warning) is damage


@needs_exiftool
@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\xff\xff", b"text"])
@pytest.mark.parametrize("kind", ["JPEG", "HEIC", "NEF", "MP4"])
def test_no_content_is_a_trap(extractor: MetadataExtractor, tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    (found,) = extractor.extract([subject(path, kind, name="20111213.x")], NOW)
    assert (found.captured_at, found.date_source) == (datetime(2011, 12, 13), "filename")
    assert found.error or (content == b"text" and kind != "JPEG")  # to ExifTool a text is fine as such


@needs_exiftool
def test_a_file_that_has_gone_costs_its_neighbours_nothing(extractor: MetadataExtractor, tmp_path: Path) -> None:
    gif = subject(SAMPLES / "GIF.gif", "GIF")
    for kind in ("JPEG", "GIF"):
        before, gone, after = extractor.extract([gif, subject(tmp_path / "gone", kind), gif], NOW)
        assert before == after == extractor.extract([gif], NOW)[0]
        assert gone.error == "not a readable regular file"
        assert gone.captured_at == MTIME


# Tells its version, and stops at everything else.
HANGING = """#!/bin/sh
while read -r line; do
    case "$line" in
    -ver) asked=version ;;
    -execute*)
        [ "$asked" = version ] || kill -STOP $$
        asked=; number=${line#-execute}
        echo "{quiet$number}" >&2; echo "12.57{ready$number}" ;;
    esac
done
"""


def test_a_file_that_hangs_exiftool_goes_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_only_for: LimitOnlyFor
) -> None:
    limit_only_for("GIF.gif")
    tool = tmp_path / "exiftool"
    tool.write_text(HANGING)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with MetadataExtractor(BERLIN, time_limit=0.5) as extractor:
        assert extractor.exiftool_version == "12.57"
        fast, slow = extractor.extract([subject(CANON), subject(SAMPLES / "GIF.gif", "GIF", "20111213.gif")], NOW)
    assert fast.error is None
    assert slow.error == "ExifTool gave no answer in 0.5 s"
    assert slow.captured_at == datetime(2011, 12, 13)


# -- without ExifTool -------------------------------------------------------------------------------------


def test_without_exiftool_pillow_answers_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(CANON.read_bytes()[:-2])
    with MetadataExtractor(BERLIN) as extractor:
        assert extractor.exiftool_version is None
        canon, place, png, film, broken = extractor.extract(
            [
                subject(CANON),
                subject(SAMPLES / "DSCN0010.jpg"),
                subject(SAMPLES / "PNG.png", "PNG", "2011-12-13 14.15.16.png"),
                subject(SAMPLES / "QuickTime.mov", "MOV"),
                subject(cut),
            ],
            NOW,
        )
    assert canon.camera_model == "Canon EOS 40D"
    assert place.captured_at == datetime(2008, 10, 22, 16, 28, 39)
    assert place.width == 640
    assert place.latitude == pytest.approx(43.46744833)
    assert (png.captured_at, png.width) == (datetime(2011, 12, 13, 14, 15, 16), 16)
    assert (film.captured_at, film.date_source, film.error) == (MTIME, "mtime", None)
    assert (broken.error, broken.camera_model) == (jpeg_structure.CUT_SHORT, "Canon EOS 40D")


# -- against ExifTool itself, read by other code than ours ------------------------------------------------


def corpus() -> Path:
    """The folder of real photos, which is not part of the checkout."""
    beside = Path(__file__).parents[4] / "shared" / "corpus"
    return Path(os.environ.get("FACTORY_CORPUS", beside))


def numbers(text: object) -> list[int]:
    return [int(digits) for digits in re.findall(r"[0-9]+", str(text))]


def stated_offset(text: object) -> int | None:
    found = re.search(r"([+-])(\d+):(\d\d)$|Z$", str(text or ""))
    if found is None:
        return None
    if found[0] == "Z":
        return 0
    return (int(found[2]) * 60 + int(found[3])) * (-1 if found[1] == "-" else 1)


def moment(text: object) -> datetime | None:
    parts = numbers(text)
    if len(parts) < 3 or "undef" in str(text):
        return None
    try:
        when = datetime(*[*parts, 0, 0, 0][:6])  # type: ignore[arg-type]
    except ValueError:
        return None
    zero = when in (datetime(1904, 1, 1), datetime(1970, 1, 1))
    return None if zero or when.year < 1826 or when > NOW + timedelta(days=1) else when


def expected(every: dict[str, Any], plain: dict[str, Any]) -> tuple[Any, ...]:
    """The design's table once more, on `exiftool -n -j -G1 -a` and on `exiftool -n -j`."""

    def first(*keys: str) -> Any:
        return next((every[key] for key in keys if str(every.get(key, "")).strip()), None)

    latitude, longitude = first("Composite:GPSLatitude"), first("Composite:GPSLongitude")
    if latitude is None or longitude is None:
        latitude, longitude = first("XMP-exif:GPSLatitude"), first("XMP-exif:GPSLongitude")
    if None in (latitude, longitude) or (latitude, longitude) == (0, 0):
        latitude = longitude = None
    zone = BERLIN if latitude is None else ZoneInfo(get_tz(longitude, latitude))
    when, offset = MTIME, None
    for keys, kind, subsecond, offset_key in (
        (
            ("ExifIFD:DateTimeOriginal", "IFD0:DateTimeOriginal"),
            "local",
            "SubSecTimeOriginal",
            "OffsetTimeOriginal",
        ),
        (("ExifIFD:CreateDate",), "local", "SubSecTimeDigitized", "OffsetTimeDigitized"),
        (("Keys:CreationDate",), "local", "", ""),
        (("QuickTime:CreateDate", "Track1:MediaCreateDate"), "utc", "", ""),
        (("XMP-photoshop:DateCreated",), "local", "", ""),
        (("XMP-exif:DateTimeOriginal",), "local", "", ""),
        (("XMP-xmp:CreateDate",), "local", "", ""),
        (("IPTC:DateCreated",), "iptc", "", ""),
        (("Composite:GPSDateTime",), "utc", "", ""),
    ):
        text = first(*keys)
        if kind == "iptc" and text and first("IPTC:TimeCreated"):
            text = f"{text} {first('IPTC:TimeCreated')}"
        found = moment(text)
        if found is None:
            continue
        if kind == "utc":
            when = found.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
            break
        fraction = str(every.get(f"ExifIFD:{subsecond}", "")).strip()
        fraction = fraction or "".join(re.findall(r":\d\d\.(\d+)", str(text)))
        when = found + timedelta(seconds=float(f"0.{fraction or 0}"))
        offset = stated_offset(every.get(f"ExifIFD:{offset_key}")) if offset_key else None
        offset = stated_offset(text) if offset is None else offset
        break
    camera = [
        str(first(f"IFD0:{tag}", f"QuickTime:{tag}", f"XMP-tiff:{tag}") or plain.get(tag) or "").strip()
        for tag in ("Make", "Model")
    ]
    size = plain.get("ImageWidth"), plain.get("ImageHeight")
    return (when, offset, latitude, longitude, *size, camera[0] or None, camera[1] or None)


def ask(paths: list[str], *options: str) -> list[dict[str, Any]]:
    run = subprocess.run(["exiftool", "-n", "-j", *options, *paths], capture_output=True, check=False)
    records: list[dict[str, Any]] = json.loads(run.stdout.decode("utf-8", "replace"), strict=False)
    assert len(records) == len(paths)
    return records


@needs_exiftool
@pytest.mark.skipif(not corpus().is_dir(), reason="no corpus of real photos here (FACTORY_CORPUS)")
def test_the_whole_corpus_means_what_exiftool_says(extractor: MetadataExtractor) -> None:
    kinds = {".jpg": "JPEG", ".jpeg": "JPEG", ".heic": "HEIC", ".heif": "HEIC", ".tiff": "TIFF"}
    files = [path for path in sorted(corpus().rglob("*")) if path.suffix.lower() in kinds]
    paths = [str(path) for path in files]
    assert paths
    found = extractor.extract([subject(path, kinds[path.suffix.lower()]) for path in files], NOW)
    for path, metadata, every, plain in zip(paths, found, ask(paths, "-G1", "-a"), ask(paths), strict=True):
        ours = (
            metadata.captured_at, metadata.captured_at_offset, metadata.latitude, metadata.longitude,
            metadata.width, metadata.height, metadata.camera_make, metadata.camera_model,
        )  # fmt: skip
        assert ours == expected(every, plain), path
