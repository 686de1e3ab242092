"""What tags mean: the design's table, source by source."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Media.metadata import LONGEST_TEXT, Metadata, Subject, interpret
from Src.Media.places import Place
from Src.Media.readers.exiftool_reader import ASKED
from Src.Media.tags import Answer
from Src.Media.takeout import TakeoutNote

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 12, 0)
MTIME = datetime(2020, 2, 2, 3, 4, 5)  # in Berlin
MTIME_NS = int(MTIME.replace(tzinfo=BERLIN).timestamp()) * 10**9


def subject(path: Path, kind: str = "JPEG", name: str = "IMG_0001.JPG") -> Subject:
    return Subject(str(path), name, kind, MTIME_NS)


def meaning(tags: dict[str, str], beside: dict[str, str] | None = None, **about: Any) -> Metadata:
    """What `tags` of a file and of its sidecar mean."""
    asked = subject(Path("/inbox/x"), **about)
    sidecar = None if beside is None else Answer(beside)
    return interpret(asked, Answer(tags), sidecar, BERLIN, NOW)


def local(tag: str, year: int) -> tuple[str, dict[str, str], datetime, int | None]:
    group, _, name = tag.partition(":")
    return f"{group.lower()}:{name}", {tag: f"{year}:01:01 10:00:00"}, datetime(year, 1, 1, 10), None


def with_offset(tag: str, year: int) -> tuple[str, dict[str, str], datetime, int | None]:
    source, tags, when, _ = local(tag, year)
    return source, {tag: f"{tags[tag]}-05:00"}, when, -300


def utc(tag: str, year: int) -> tuple[str, dict[str, str], datetime, int | None]:
    source, tags, when, _ = local(tag, year)
    return source, tags, when.replace(hour=11), None  # as in Berlin


# In the order of the design, each with the date it should be read as.
SOURCES: list[tuple[str, dict[str, str], datetime, int | None]] = [
    local("EXIF:DateTimeOriginal", 2001),
    with_offset("QuickTime:CreationDate", 2002),
    with_offset("QuickTime:ContentCreateDate", 2003),
    with_offset("QuickTime:DateTimeOriginal", 2004),
    local("RIFF:DateTimeOriginal", 2005),
    with_offset("XML:CreationDateValue", 2006),
    local("MakerNotes:DateTimeOriginal", 2007),
    local("APP12:DateTimeOriginal", 2008),
    local("EXIF:CreateDate", 2009),
    utc("QuickTime:CreateDate", 2010),
    utc("QuickTime:MediaCreateDate", 2011),
    (
        "matroska:DateTimeOriginal",
        {"Matroska:DateTimeOriginal": "2012:01:01 10:00:00Z"},
        datetime(2012, 1, 1, 11),
        None,
    ),
    utc("ASF:CreationDate", 2013),
    utc("MXF:CreateDate", 2014),
    utc("Flash:Creation_time", 2003),
    with_offset("H264:DateTimeOriginal", 2015),
    local("Flash:CreateDate", 2016),
    local("Real:CreateDate", 2017),
    local("Vorbis:Date", 2018),
    with_offset("XMP:DateCreated", 2009),
    ("xmp:DateTimeOriginal", {"XMP:DateTimeOriginal": "2010:01:01"}, datetime(2010, 1, 1), None),
    ("xmp:CreateDate", {"XMP:CreateDate": "2011:01:01 10:00:00Z"}, datetime(2011, 1, 1, 10), 0),
    (
        "iptc:DateCreated",
        {"IPTC:DateCreated": "2012:01:01", "IPTC:TimeCreated": "10:00:00-02:00"},
        datetime(2012, 1, 1, 10),
        -120,
    ),
    local("PNG:CreationTime", 2019),
    local("PNG:CreateDate", 2020),
    local("RIFF:DateCreated", 2021),
    ("gps:DateTime", {"Composite:GPSDateTime": "2014:01:01 10:00:00Z"}, datetime(2014, 1, 1, 11), None),
    ("gps:DateTime", {"XMP:GPSDateTime": "2013:01:01 10:00:00Z"}, datetime(2013, 1, 1, 11), None),
]


def tags_from(number: int) -> dict[str, str]:
    """What the sources from one on say; where two share a tag, the first."""
    tags: dict[str, str] = {}
    for _, one, _, _ in SOURCES[number:]:
        tags = {**one, **tags}
    # (a scan's date is asked before CreateDate where they differ: see below)
    if "EXIF:CreateDate" in tags:
        tags.pop("XMP:DateCreated", None)
    return tags


@pytest.mark.parametrize("number", range(len(SOURCES)))
def test_the_first_source_that_has_a_date_wins(number: int) -> None:
    source, _, when, offset = SOURCES[number]
    found = meaning(tags_from(number), name="IMG_20150101_100000.jpg")
    assert (found.date_source, found.captured_at, found.captured_at_offset) == (source, when, offset)


@pytest.mark.parametrize("invalid", ["0000:00:00 00:00:00", "1970:01:01 00:00:00", "2027:01:01 00:00:00", "yesterday"])
def test_a_source_without_a_valid_date_leaves_it_to_the_next(invalid: str) -> None:
    for number in range(len(SOURCES) - 1):
        tags = tags_from(number)
        tags[next(iter(SOURCES[number][1]))] = invalid
        if SOURCES[number][0] == "iptc:DateCreated":
            del tags["IPTC:TimeCreated"]  # the day alone decides then
        following = SOURCES[number + 1][0]
        if following == "xmp:DateCreated":
            tags |= SOURCES[number + 1][1]
        assert meaning(tags).date_source == following


def test_every_tag_that_counts_is_asked_for() -> None:
    names = {name.rpartition(":")[2] for _, one, _, _ in SOURCES for name in one}
    assert names | {"ModifyDate"} <= set(ASKED)


def test_the_sidecar_s_own_dates_come_first_and_its_creation_after_the_file_s() -> None:
    own = {"EXIF:DateTimeOriginal": "2001:01:01 10:00:00"}
    for tag in ("XMP:DateTimeOriginal", "XMP:DateCreated"):
        found = meaning(own, {tag: "1987:06:05 04:03:02", "XMP:CreateDate": "2013:01:01 10:00:00"})
        assert (found.date_source, found.captured_at.year) == (f"sidecar:xmp:{tag[4:]}", 1987)
    beside = {"XMP:CreateDate": "2013:01:01 10:00:00"}
    gps = {"Composite:GPSDateTime": "2014:01:01 10:00:00Z"}
    assert meaning(gps, beside).date_source == "sidecar:xmp:CreateDate"
    assert meaning({**gps, "XMP:CreateDate": "2011:01:01 10:00:00"}, beside).date_source == "xmp:CreateDate"
    assert meaning({**gps, "IPTC:DateCreated": "2011:01:01"}, beside).date_source == "iptc:DateCreated"


def test_a_scan_s_original_comes_before_the_scan() -> None:
    scan = {"EXIF:CreateDate": "2015:10:11 13:40:12"}
    for created, precision in (("1975:07:04", "day"), ("1975:07", "month"), ("1975", "year")):
        found = meaning({**scan, "XMP:DateCreated": created})
        assert (found.date_source, found.captured_at.year, found.date_precision) == ("xmp:DateCreated", 1975, precision)
    for created in ("2015:10:11 13:40:00", "2015:10:12 10:00:00", "2015:10", "2015"):
        assert meaning({**scan, "XMP:DateCreated": created}).date_source == "exif:CreateDate"


@pytest.mark.parametrize(
    ("text", "when", "precision"),
    [("1993:00:00 12:00:00", datetime(1993, 1, 1), "year"), ("1970", datetime(1970, 1, 1), "year"),
     ("1980:01:00 00:00:00", datetime(1980, 1, 1), "month"), ("1975:07:04", datetime(1975, 7, 4), "day")],
)  # fmt: skip
def test_a_year_or_month_alone_gives_its_first_day(text: str, when: datetime, precision: str) -> None:
    found = meaning({"EXIF:DateTimeOriginal": text, "EXIF:ModifyDate": "2015:10:11 13:40:12"})
    assert (found.captured_at, found.date_precision, found.date_source) == (when, precision, "exif:DateTimeOriginal")


def test_a_later_source_makes_a_year_exact_only_within_it() -> None:
    year = {"QuickTime:ContentCreateDate": "2022"}
    found = meaning({**year, "QuickTime:CreateDate": "2022:12:30 10:00:00"}, kind="MP4")
    assert (found.captured_at, found.date_precision) == (datetime(2022, 12, 30, 11), "second")
    assert meaning({**year, "QuickTime:CreateDate": "2024:12:30 10:00:00"}).captured_at == datetime(2022, 1, 1)
    # …and a year after the film was made is the one it was published in.
    assert meaning({**year, "QuickTime:CreateDate": "2005:12:30 10:00:00"}).captured_at == datetime(2005, 12, 30, 11)


def test_exif_date_time_comes_last_before_the_file_time() -> None:
    modified = {"EXIF:ModifyDate": "2007:02:19 12:13:14", "EXIF:SubSecTime": "5", "EXIF:OffsetTime": "+02:00"}
    found = meaning({**modified, "EXIF:DateTimeOriginal": "0000:00:00 00:00:00"})
    assert (found.captured_at, found.captured_at_offset) == (datetime(2007, 2, 19, 12, 13, 14, 500000), 120)
    assert meaning(modified, name="IMG_20150101_100000.jpg").date_source == "filename"
    assert meaning(modified, {"XMP:CreateDate": "2001:01:01"}).date_source == "sidecar:xmp:CreateDate"


def test_the_general_offset_counts_only_while_nobody_changed_the_file() -> None:
    taken = {"EXIF:DateTimeOriginal": "2019:02:03 10:00:00", "EXIF:OffsetTime": "+09:00"}
    assert meaning(taken).captured_at_offset == 540
    assert meaning({**taken, "EXIF:ModifyDate": "2019:02:03 10:00:01"}).captured_at_offset == 540
    assert meaning({**taken, "EXIF:ModifyDate": "2023:02:03 10:00:01"}).captured_at_offset is None


def test_takeout_s_date_wins_where_it_was_corrected() -> None:
    note = TakeoutNote(datetime(2009, 11, 16, 12, 51, 58), Place(30.657819, 104.0739))
    asked = subject(Path("/inbox/x"))

    def with_note(tags: dict[str, str], beside: dict[str, str] | None = None) -> Metadata:
        sidecar = None if beside is None else Answer(beside)
        return interpret(asked, Answer(tags), sidecar, BERLIN, NOW, note)

    found = with_note({})
    assert (found.captured_at, found.latitude) == (datetime(2009, 11, 16, 20, 51, 58), 30.657819)
    assert with_note({"EXIF:DateTimeOriginal": "2009:11:16 20:51:00"}).date_source == "exif:DateTimeOriginal"
    assert with_note({"EXIF:DateTimeOriginal": "2019:11:16 20:51:00"}).date_source == "takeout:photoTakenTime"
    beside = {"XMP:DateCreated": "2011:11:16 20:51:00"}
    assert with_note({"EXIF:DateTimeOriginal": "2019:11:16 20:51:00"}, beside).date_source == "sidecar:xmp:DateCreated"


def test_a_gopro_writes_local_time_where_utc_belongs() -> None:
    film = {"QuickTime:CreateDate": "2019:11:18 15:45:32"}
    for told in ({"QuickTime:CompressorName": "GoPro AVC encoder"}, {"QuickTime:FirmwareVersion": "HD7.01.01.70.00"}):
        assert meaning({**film, **told}, kind="MP4").captured_at == datetime(2019, 11, 18, 15, 45, 32)
    assert meaning(film, kind="MP4").captured_at == datetime(2019, 11, 18, 16, 45, 32)


def test_a_film_may_state_its_zone() -> None:
    found = meaning({"QuickTime:CreateDate": "2019:11:18 15:45:32", "QuickTime:TimeZone": "-480"}, kind="MP4")
    assert (found.captured_at, found.captured_at_offset) == (datetime(2019, 11, 18, 7, 45, 32), -480)


def test_the_file_name_comes_after_all_tags_and_before_the_file_time() -> None:
    named = meaning({}, name="VID-20231225-WA0001.mp4")
    assert (named.captured_at, named.date_source) == (datetime(2023, 12, 25), "filename")
    future = meaning({}, name="VID-20291225-WA0001.mp4")
    assert (future.captured_at, future.date_source) == (MTIME, "mtime")


def test_a_file_time_that_no_calendar_has_is_now() -> None:
    asked = Subject("/inbox/x", "x.jpg", "JPEG", 2**80)
    found = interpret(asked, Answer(), None, BERLIN, NOW)
    assert (found.captured_at, found.date_source) == (NOW, "arrival")


@pytest.mark.parametrize("zero", [0, 3600, 315532800, 315529200, 315964800, -2082844800])
def test_a_file_time_at_a_clock_s_zero_is_none(zero: int) -> None:
    asked = Subject("/inbox/x", "x.jpg", "JPEG", zero * 10**9)
    assert interpret(asked, Answer(), None, BERLIN, NOW).date_source == "arrival"


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
    beside |= {"XMP:GPSLatitudeRef": "N", "XMP:GPSLongitudeRef": "E"}
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


def test_the_sidecar_wins() -> None:
    """Somebody wrote it about this photo later."""
    own = {"Composite:GPSLatitude": "1", "Composite:GPSLongitude": "2", "XMP:Rating": "0"}
    beside = {"XMP:GPSLatitude": "3", "XMP:GPSLongitude": "4", "XMP:Rating": "5"}
    assert meaning(own, beside)[4:6] == meaning(own)[4:6] == (1, 2)  # whose sign nobody knows is no place
    signed = {**beside, "Composite:StatedGPSLatitude": "3,0N", "XMP:GPSLongitudeRef": "W"}
    found = meaning(own, signed)
    assert (found.latitude, found.longitude, found.rating) == (3, -4, 5)


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
        ({"Make": "4113", "H264:Make": "4113"}, "Canon"),
        ({"Make": "9", "H264:Make": "9"}, None),
        ({"XML:DeviceManufacturer": "Sony"}, "Sony"),
        ({}, None),
    ],
)
def test_cameras(tags: dict[str, str], make: str | None) -> None:
    assert meaning(tags).camera_make == make


def test_only_what_moves_has_a_duration() -> None:
    assert meaning({"Duration": "4.5"}, kind="MOV").duration_seconds == 4.5
    assert meaning({"Duration": "1"}, kind="CR3").duration_seconds is None


@pytest.mark.parametrize(
    ("tags", "seconds"),
    [({"Duration": "0"}, None), ({"Duration": "00:00:00.400000000"}, 0.4), ({"Duration": "1:02:03"}, 3723.0),
     ({"Duration": "0", "Matroska:Duration": "2.5"}, 2.5), ({"Duration": "0.08", "Structure:Duration": "0.4"}, 0.4)],
)  # fmt: skip
def test_durations(tags: dict[str, str], seconds: float | None) -> None:
    assert meaning(tags, kind="MKV").duration_seconds == seconds


def test_sizes_are_those_of_the_pixels() -> None:
    shown = {"ImageWidth": "256", "ImageHeight": "144"}
    stored = {"QuickTime:SourceImageWidth": "176", "QuickTime:SourceImageHeight": "144"}
    found = meaning({**shown, **stored}, kind="MP4")
    assert (found.width, found.height) == (176, 144)
    assert meaning({**shown, "Composite:ImageSize": "3648 2736"}, kind="CR2").width == 3648
    assert meaning({**shown, "Composite:ImageSize": "3648 2736"}, kind="TIFF").width == 256


def test_which_turn_a_viewer_must_make() -> None:
    assert meaning({"EXIF:Orientation": "6"}).orientation == 6
    assert meaning({"EXIF:Orientation": "9"}).orientation is None
    assert meaning({"EXIF:Orientation": "6", "QuickTime:Rotation": "270"}, kind="HEIC").orientation == 8
    assert meaning({"QuickTime:Rotation": "3"}, kind="HEIC").orientation == 8, "in quarters, as ExifTool 13 has it"
    assert meaning({"EXIF:Orientation": "6"}, kind="HEIC").orientation is None
    assert meaning({"Composite:Rotation": "90"}, kind="MP4").orientation == 6


@pytest.mark.parametrize("size", ["0", "-1", "x", "1e300", "nan", "2147483648"])
def test_sizes_that_no_image_has(size: str) -> None:
    assert meaning({"ImageWidth": size}).width is None


GROUPS = ("EXIF:", "QuickTime:", "XMP:", "Composite:", "H264:", "Matroska:", "IPTC:", "")
KEYS = [f"{group}{name}" for name in ASKED for group in GROUPS]


@given(st.dictionaries(st.sampled_from(KEYS), st.text()), st.text(), st.integers())
def test_no_tag_is_a_trap(tags: dict[str, str], name: str, mtime_ns: int) -> None:
    interpret(Subject("/inbox/x", name, "MOV", mtime_ns), Answer(tags), Answer(tags), BERLIN, NOW)


def test_of_a_text_without_end_the_beginning_is_kept() -> None:
    endless = "x" * 2_000_000
    said = interpret(
        subject(Path("/inbox/x")),
        Answer({"EXIF:Make": endless, "EXIF:Model": endless}, error=endless),
        None,
        BERLIN,
        NOW,
    )
    assert said.camera_make == said.camera_model == said.error == "x" * LONGEST_TEXT
