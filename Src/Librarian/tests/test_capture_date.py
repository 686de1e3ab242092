"""The design's date table, one rule at a time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Librarian import capture_date
from Src.Librarian.capture_date import Stamp

NOW = datetime(2024, 6, 1, 12, 0, 0)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "when", "offset"),
    [
        ("2008:05:30 15:56:01", datetime(2008, 5, 30, 15, 56, 1), None),
        ("2008:05:30 15:56:01\0", datetime(2008, 5, 30, 15, 56, 1), None),
        ("2008:05:30 15:56:01\0rubbish", datetime(2008, 5, 30, 15, 56, 1), None),
        ("  2008:05:30 15:56:01  ", datetime(2008, 5, 30, 15, 56, 1), None),
        ("2008-05-30T15:56:01", datetime(2008, 5, 30, 15, 56, 1), None),
        ("2008:05:30 15:56", datetime(2008, 5, 30, 15, 56), None),
        ("2008:05:30", datetime(2008, 5, 30), None),
        ("2008:05:30 15:56:01.25", datetime(2008, 5, 30, 15, 56, 1, 250000), None),
        ("2014:09:21 16:00:56.000000+02:00", datetime(2014, 9, 21, 16, 0, 56), 120),
        ("2008:05:25 19:31:26.0+1:00", datetime(2008, 5, 25, 19, 31, 26), 60),
        ("2011:09:23 12:43:03Z", datetime(2011, 9, 23, 12, 43, 3), 0),
        ("2011:09:23 12:43:03 -03:30", datetime(2011, 9, 23, 12, 43, 3), -210),
        ("2011:09:23 12:43:03+99:00", datetime(2011, 9, 23, 12, 43, 3), None),
        ("2008:12:31 23:16:24+01:00", datetime(2008, 12, 31, 23, 16, 24), 60),
    ],
)
def test_what_a_date_looks_like(text: str, when: datetime, offset: int | None) -> None:
    assert capture_date.parse_stamp(text) == Stamp(when, offset)


@pytest.mark.parametrize(
    "text",
    [
        None, "", "    :  :     :  :  ", "0000:00:00 00:00:00", "2008", "2008:05", "2008:05:30 15",
        "2008:00:30 10:00:00", "2008:13:30 10:00:00", "2008:05:00 10:00:00", "2008:02:30 10:00:00",
        "2008:05:30 24:00:00", "2008:05:30 10:60:00", "2008:05:30 10:00:60", "08:05:30 10:00:00",
        "20080530 100000", "2008:05:30 10:00:00 PM", "yesterday", "٢٠٠٨:٠٥:٣٠ ١٠:٠٠:٠٠", "123",
    ],
)  # fmt: skip
def test_what_is_no_date(text: str | None) -> None:
    assert capture_date.parse_stamp(text) is None


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("+00:00", 0), ("Z", 0), ("z", 0), ("+01:00", 60), ("-08:00", -480), ("+5:30", 330), ("+0530", 330),
        ("-0330", -210), ("+02", 120), ("+14:00", 840), ("-12:00", -720), ("+15:00", 900), (" +01:00\0", 60),
        ("+01:00:00", 60), ("+15:01", None), ("-16:00", None), ("+01:60", None), ("01:00", None), ("", None),
        (None, None), ("   :  ", None), ("+", None), ("UTC", None), ("+1:0", None), ("+٠١:٠٠", None),
    ],
)  # fmt: skip
def test_offsets(text: str | None, minutes: int | None) -> None:
    assert capture_date.parse_offset(text) == minutes


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("123", 123000), ("12 ", 120000), ("00", 0), ("016", 16000), ("5", 500000), ("123456789", 123456),
        ("999999999", 999999), ("", 0), (None, 0), ("garbage", 0), ("-5", 0), ("1.5", 0), ("²", 0), ("٣", 0),
    ],
)  # fmt: skip
def test_fractions_of_a_second(text: str | None, microseconds: int) -> None:
    assert capture_date.subseconds(text) == timedelta(microseconds=microseconds)


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("2005:12:14", "14:39:47-05:00", Stamp(datetime(2005, 12, 14, 14, 39, 47), -300)),
        ("2005:12:14", "14:39:47", Stamp(datetime(2005, 12, 14, 14, 39, 47), None)),
        ("2005:12:14", None, Stamp(datetime(2005, 12, 14), None)),
        ("2005:12:14", "25:00:00", Stamp(datetime(2005, 12, 14), None)),
        ("0000:00:00", "14:39:47", None),
        ("2005:12:00", "14:39:47", None),
        (None, "14:39:47", None),
    ],
)
def test_iptc_keeps_day_and_time_apart(date: str | None, time: str | None, expected: Stamp | None) -> None:
    assert capture_date.join_date_and_time(date, time) == expected


@pytest.mark.parametrize(
    ("when", "plausible"),
    [
        (datetime(1825, 12, 31, 23, 59, 59), False),
        (datetime(1826, 1, 1), True),
        (datetime(1904, 1, 1), False),
        (datetime(1904, 1, 1, 0, 0, 0, 500000), False),
        (datetime(1904, 1, 1, 0, 0, 1), True),
        (datetime(1970, 1, 1), False),
        (datetime(1970, 1, 1, 0, 0, 1), True),
        (NOW + timedelta(days=1), True),
        (NOW + timedelta(days=1, seconds=1), False),
        (datetime(9999, 12, 31), False),
    ],
)
def test_which_dates_a_camera_can_have_had(when: datetime, plausible: bool) -> None:
    assert capture_date.is_plausible(when, NOW) is plausible


def test_the_end_of_the_calendar_is_no_trap() -> None:
    assert capture_date.is_plausible(datetime.max, datetime.max)
    assert capture_date.utc_to_wall_clock(datetime.max, BERLIN) is None
    assert capture_date.to_utc(Stamp(datetime.min, 60)) is None
    assert capture_date.from_nanoseconds(2**63 * 1000, BERLIN) is None


def test_utc_becomes_the_wall_clock_of_the_place() -> None:
    winter, summer = datetime(2023, 12, 31, 23, 30), datetime(2023, 7, 1, 22, 30)
    assert capture_date.utc_to_wall_clock(winter, BERLIN) == datetime(2024, 1, 1, 0, 30)
    assert capture_date.utc_to_wall_clock(summer, BERLIN) == datetime(2023, 7, 2, 0, 30)


@pytest.mark.parametrize(
    ("latitude", "longitude", "name"),
    [(35.68, 139.69, "Asia/Tokyo"), (40.71, -74.0, "America/New_York"), (27.7, 85.3, "Asia/Kathmandu")],
)
def test_the_zone_of_a_place(latitude: float, longitude: float, name: str) -> None:
    assert capture_date.zone_at(latitude, longitude) == ZoneInfo(name)


def test_no_place_has_no_zone() -> None:
    assert capture_date.zone_at(None, None) is None
    assert capture_date.zone_at(52.5, None) is None


def test_file_times_are_shown_in_the_factory_s_zone() -> None:
    assert capture_date.from_nanoseconds(1_700_000_000_123_456_789, BERLIN) == datetime(
        2023, 11, 14, 23, 13, 20, 123456
    )
    assert capture_date.from_nanoseconds(-1, BERLIN) == datetime(1970, 1, 1, 0, 59, 59, 999999)


def test_now_may_know_its_zone_or_not() -> None:
    assert capture_date.wall_clock_now(NOW, BERLIN) == NOW
    assert capture_date.wall_clock_now(NOW.replace(tzinfo=UTC), BERLIN) == NOW + timedelta(hours=2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_20231225_123456.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("IMG_20231225_123456(1).jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("IMG_20231225_123456_BURST002.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("PXL_20231225_123456789.jpg", datetime(2023, 12, 25, 12, 34, 56, 789000)),
        ("PXL_20231225_123456789.MP.jpg", datetime(2023, 12, 25, 12, 34, 56, 789000)),
        ("VID-20231225-WA0001.mp4", datetime(2023, 12, 25)),
        ("IMG-20231225-WA0001.jpg", datetime(2023, 12, 25)),
        ("Screenshot_2023-12-25-12-34-56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("Screenshot_20231225-123456.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("2023-12-25 12.34.56.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("2023-12-25 12.34.56-1.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("2023-12-25_12-34-56.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("2023-12-25T12:34:56.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("photo_2023-12-25_12-34-56.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("Screenshot 2023-12-25 at 12.34.56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("Screenshot 2023-12-25 at 1.34.56\u202fPM.png", datetime(2023, 12, 25, 13, 34, 56)),
        ("Screenshot 2023-12-25 at 12.34.56 AM.png", datetime(2023, 12, 25, 0, 34, 56)),
        ("WhatsApp Image 2023-12-25 at 12.34.56.jpeg", datetime(2023, 12, 25, 12, 34, 56)),
        ("signal-2023-12-25-123456.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("20231225123456.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("20231225.jpg", datetime(2023, 12, 25)),
        ("20231225", datetime(2023, 12, 25)),
        ("2023_12_25 Christmas.jpg", datetime(2023, 12, 25)),
        ("holiday-2023.12.25.heic", datetime(2023, 12, 25)),
        ("20231225_0001.jpg", datetime(2023, 12, 25)),
        ("20231225_999999.jpg", datetime(2023, 12, 25)),
        ("caf\udce9 20231225_123456.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("scan of 1931-05-01.tif", datetime(1931, 5, 1)),
    ],
)
def test_dates_in_file_names(name: str, expected: datetime) -> None:
    assert next(capture_date.from_file_name(name), None) == expected


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1234.JPG", "DSC00042.ARW", "20231301_123456.jpg", "20230230.jpg", "12345678.jpg", "30001225.jpg",
        "120231225.jpg", "202312251.jpg", "1703504096789.jpg", "FB_IMG_1703504096789.jpg", "25-12-2023.jpg",
        "2023-1225.jpg", "2023-12.jpg", "", ".jpg", "٢٠٢٣١٢٢٥.jpg",
    ],
)  # fmt: skip
def test_no_date_in_the_file_name(name: str) -> None:
    assert list(capture_date.from_file_name(name)) == []


MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31))


@given(MOMENTS.map(lambda moment: moment.replace(microsecond=0)))
def test_every_date_is_read_back_from_a_name_and_from_a_tag(when: datetime) -> None:
    assert next(capture_date.from_file_name(f"{when:IMG_%Y%m%d_%H%M%S}.jpg")) == when
    assert next(capture_date.from_file_name(f"{when:%Y-%m-%d %H.%M.%S}.jpg")) == when
    assert capture_date.parse_stamp(f"{when:%Y:%m:%d %H:%M:%S}") == Stamp(when, None)


@given(st.text())
def test_no_text_is_a_trap(text: str) -> None:
    capture_date.parse_stamp(text)
    capture_date.parse_offset(text)
    capture_date.subseconds(text)
    capture_date.join_date_and_time(text, text)
    list(capture_date.from_file_name(text))
