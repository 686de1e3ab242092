"""The design's date table, one rule at a time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Media import capture_date
from Src.Media.capture_date import Stamp

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
        ("2008:05:30 15:56:01.25", datetime(2008, 5, 30, 15, 56, 1, 250000), None),
        ("2014:09:21 16:00:56.000000+02:00", datetime(2014, 9, 21, 16, 0, 56), 120),
        ("2008:05:25 19:31:26.0+1:00", datetime(2008, 5, 25, 19, 31, 26), 60),
        ("2011:09:23 12:43:03Z", datetime(2011, 9, 23, 12, 43, 3), 0),
        ("2011:09:23 12:43:03 -03:30", datetime(2011, 9, 23, 12, 43, 3), -210),
        ("2011:09:23 12:43:03+99:00", datetime(2011, 9, 23, 12, 43, 3), None),
        ("2008:12:31 23:16:24+01:00", datetime(2008, 12, 31, 23, 16, 24), 60),
        ("2016:02:02 24:28:33", datetime(2016, 2, 2, 0, 28, 33), None),
        ("2008:12:31 23:59:60", datetime(2009, 1, 1), None),
        ("2008:05:30 10:60:00", datetime(2008, 5, 30, 11), None),
        ("2008:05:30 10:00:75", datetime(2008, 5, 30, 10), None),
        ("2019:11:28 14:38:40:794", datetime(2019, 11, 28, 14, 38, 40, 794000), None),
        ("2012:5:3 7:08:09", datetime(2012, 5, 3, 7, 8, 9), None),
        ("2012: 5: 3  7: 8: 9", datetime(2012, 5, 3, 7, 8, 9), None),
        ("2024:08:13 17:14:26abcd", datetime(2024, 8, 13, 17, 14, 26), None),
        ("2019:04:24 22:24:00+02:00 DST", datetime(2019, 4, 24, 22, 24), 120),
        ("2019:04:24 22:24:00 DST", datetime(2019, 4, 24, 22, 24), None),
        ("2019:04:24 22:24:00 CEST", datetime(2019, 4, 24, 22, 24), None),
        ("2019:04:24 22:24:00 GMT+02:00", datetime(2019, 4, 24, 22, 24), 120),
        ("2019:04:24 22:24:00 UTC", datetime(2019, 4, 24, 22, 24), 0),
        ("٢٠١٤:٠٣:٠٤ ٠٥:٠٦:٠٧", datetime(2014, 3, 4, 5, 6, 7), None),
        ("۲۰۱۴:۰۳:۰۴ ۰۵:۰۶:۰۷", datetime(2014, 3, 4, 5, 6, 7), None),
        ("２０１４:０３:０４ ０５:０６:０７", datetime(2014, 3, 4, 5, 6, 7), None),
        ("2008:05:30 10:00:00 PM", datetime(2008, 5, 30, 22), None),
        ("2001/ 1/27  1:42PM", datetime(2001, 1, 27, 13, 42), None),
        ("2005/11/28/ 09:19", datetime(2005, 11, 28, 9, 19), None),
        ("20080530 100000", datetime(2008, 5, 30, 10), None),
        ("20080530100000", datetime(2008, 5, 30, 10), None),
        ("20080530155601250", datetime(2008, 5, 30, 15, 56, 1, 250000), None),
        ("20080530155601.25Z", datetime(2008, 5, 30, 15, 56, 1, 250000), 0),
        ("200805301556", datetime(2008, 5, 30, 15, 56), None),
        ("20080530T1556+02:00", datetime(2008, 5, 30, 15, 56), 120),
        ("2008.05.30 15.56.01", datetime(2008, 5, 30, 15, 56, 1), None),
        ("2008-05-30 15-56-01", datetime(2008, 5, 30, 15, 56, 1), None),
        ("2008-05-30_15-56-01.25", datetime(2008, 5, 30, 15, 56, 1, 250000), None),
        ("2008:05:30_15:56:01", datetime(2008, 5, 30, 15, 56, 1), None),
        ("2008.05.30 3.56.01 PM+02:00", datetime(2008, 5, 30, 15, 56, 1), 120),
        ("20160325T114600+0100", datetime(2016, 3, 25, 11, 46), 60),
        ("2016-03-25T11:46:00.000Z", datetime(2016, 3, 25, 11, 46), 0),
        ("Mon, 16 Jan 2023 20:15:29 GMT", datetime(2023, 1, 16, 20, 15, 29), 0),
        ("16 Jan 2023 20:15:29 +0100", datetime(2023, 1, 16, 20, 15, 29), 60),
        ("Mon Mar 10 15:04:43 2003", datetime(2003, 3, 10, 15, 4, 43), None),
        ("January 16, 2023 8:15:29 PM", datetime(2023, 1, 16, 20, 15, 29), None),
    ],
)
def test_what_a_date_looks_like(text: str, when: datetime, offset: int | None) -> None:
    assert capture_date.parse_stamp(text) == Stamp(when, offset)


@pytest.mark.parametrize(
    "text",
    [
        None, "", "    :  :     :  :  ", "0000:00:00 00:00:00", "2008:13:30 10:00:00", "2008:05:32 10:00:00",
        "08:05:30 10:00:00", "yesterday", "123", "1703504096", "99999:01:01", "30 Foo 2008",
    ],
)  # fmt: skip
def test_what_is_no_date(text: str | None) -> None:
    assert capture_date.parse_stamp(text) is None


@pytest.mark.parametrize(
    ("text", "when", "precision"),
    [
        ("2008", datetime(2008, 1, 1), "year"), ("2008:00:30 10:00:00", datetime(2008, 1, 1), "year"),
        ("1993:00:00 12:00:00", datetime(1993, 1, 1), "year"), ("2008:  :     :  :  ", datetime(2008, 1, 1), "year"),
        ("2008:05", datetime(2008, 5, 1), "month"), ("2008:05:00 10:00:00", datetime(2008, 5, 1), "month"),
        ("2008-02-30", datetime(2008, 2, 1), "month"), ("2008:05:30", datetime(2008, 5, 30), "day"),
        ("2008:05:30 15", datetime(2008, 5, 30), "day"), ("2008:05:30 25:00:00", datetime(2008, 5, 30), "day"),
        ("2008:05:30   :  :  ", datetime(2008, 5, 30), "day"), ("20080530", datetime(2008, 5, 30), "day"),
        ("16 January 2023", datetime(2023, 1, 16), "day"),
    ],
)  # fmt: skip
def test_a_date_is_read_as_far_as_it_is_sound(text: str, when: datetime, precision: str) -> None:
    assert capture_date.parse_stamp(text) == (when, None, precision)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("+00:00", 0), ("Z", 0), ("z", 0), ("+01:00", 60), ("-08:00", -480), ("+5:30", 330), ("+0530", 330),
        ("-0330", -210), ("+02", 120), ("+14:00", 840), ("-12:00", -720), ("+15:00", 900), (" +01:00\0", 60),
        ("GMT+02:00", 120),
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
        ("2005:12:14", None, Stamp(datetime(2005, 12, 14), None, "day")),
        ("2005:12:14", "25:00:00", Stamp(datetime(2005, 12, 14), None, "day")),
        ("2005:12:14", "24:00:30", Stamp(datetime(2005, 12, 14, 0, 0, 30), None)),
        ("0000:00:00", "14:39:47", None),
        ("2005:12:00", "14:39:47", Stamp(datetime(2005, 12, 1), None, "month")),
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
        (NOW + timedelta(days=1), True),
        (NOW + timedelta(days=1, seconds=1), False),
        (datetime(9999, 12, 31), False),
    ],
)
def test_which_dates_a_camera_can_have_had(when: datetime, plausible: bool) -> None:
    assert capture_date.is_plausible(when, NOW) is plausible


ZEROS = sorted(capture_date.CLOCK_ZEROS)


@given(st.sampled_from(ZEROS), st.integers(-12 * 4, 14 * 4), st.integers(0, 999_999))
def test_a_clock_s_zero_is_none_in_any_zone(zero: datetime, quarters: int, microseconds: int) -> None:
    local = zero + timedelta(minutes=15 * quarters)
    assert capture_date.is_clock_zero(Stamp(local.replace(microsecond=microseconds), None))
    assert capture_date.is_clock_zero(Stamp(local, 15 * quarters))
    assert not capture_date.is_clock_zero(Stamp(local + timedelta(seconds=1), None))
    assert not capture_date.is_clock_zero(Stamp(local, 15 * quarters + 5)) or local == zero


@pytest.mark.parametrize(
    ("stamp", "is_zero"),
    [
        (Stamp(datetime(1980, 1, 1), None, "day"), True), (Stamp(datetime(1980, 1, 2), None, "day"), False),
        (Stamp(datetime(1980, 1, 1), None, "month"), False), (Stamp(datetime(1970, 1, 1), None, "year"), False),
        (Stamp(datetime(1970, 1, 1, 12), 60), False), (Stamp(datetime(1970, 1, 1), 60), True),
    ],
)  # fmt: skip
def test_what_a_person_wrote_is_no_clock_s(stamp: Stamp, is_zero: bool) -> None:
    assert capture_date.is_clock_zero(stamp) is is_zero


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


MOMENTS = st.datetimes(datetime(1826, 1, 1), datetime(2099, 12, 31))
OFFSETS = st.integers(-15 * 60, 15 * 60)


@given(MOMENTS, OFFSETS, st.sampled_from(["", " DST", " CET", "abcd", " (summer)", "\0rubbish"]))
def test_every_date_is_read_back_whatever_follows_it(when: datetime, offset: int, behind: str) -> None:
    whole = when.replace(microsecond=0)
    assert capture_date.parse_stamp(f"{whole:%Y:%m:%d %H:%M:%S}{behind}") == Stamp(whole, None)
    assert capture_date.parse_stamp(f"{when:%Y-%m-%dT%H:%M:%S.%f}") == Stamp(when, None)
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    stated = f"{whole:%Y:%m:%d %H:%M:%S}{sign}{minutes // 60:02}:{minutes % 60:02}"
    assert capture_date.parse_stamp(stated) == Stamp(whole, offset)


@given(MOMENTS, st.sampled_from(["٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९", "๐๑๒๓๔๕๖๗๘๙", "０１２３４５６７８９"]))
def test_a_date_is_the_same_in_any_digits(when: datetime, digits: str) -> None:
    text = f"{when:%Y:%m:%d %H:%M:%S}"
    assert capture_date.parse_stamp(text.translate({48 + n: d for n, d in enumerate(digits)})) == (
        capture_date.parse_stamp(text)
    )


@given(MOMENTS)
def test_a_date_is_the_same_without_its_padding(when: datetime) -> None:
    whole = when.replace(microsecond=0)
    loose = f"{whole.year}:{whole.month}:{whole.day} {whole.hour}:{whole.minute}:{whole.second}"
    blank = f"{whole.year}:{whole.month:2}:{whole.day:2} {whole.hour:2}:{whole.minute:2}:{whole.second:2}"
    assert capture_date.parse_stamp(loose) == capture_date.parse_stamp(blank) == Stamp(whole, None)


@given(st.text() | st.from_regex(r"[0-9 :/.-]{4,30}", fullmatch=True))
def test_no_text_is_a_trap(text: str) -> None:
    capture_date.parse_stamp(text)
    capture_date.parse_offset(text)
    capture_date.subseconds(text)
    capture_date.join_date_and_time(text, text)
