"""Counts, sizes and lengths of time as people say them."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Shared import words
from Src.Shared.words import counted, rough_span, short_span, size, span


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (4_100_000_000, "4.1 GB"), (5e15, "5,000.0 TB")],
)
def test_size(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (0, "0 seconds", "0 s"),
        (1.9, "1 second", "2 s"),
        (119, "1 minute", "119 s"),
        (121, "2 minutes", "2 min"),
        (7300, "2 hours", "2 h"),
        (200_000, "2 days", "2 d"),
    ],
)
def test_spans_in_one_unit(seconds: float, long: str, short: str) -> None:
    assert (span(seconds), short_span(seconds)) == (long, short)


def test_counted() -> None:
    assert [counted(1, "entry", "entries"), counted(12_000, "entry", "entries")] == ["1 entry", "12,000 entries"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (29, "29 seconds"),
        (60, "1 minute"),
        (3600, "1 hour"),
        (3660, "1 hour 1 minute"),
        (90060, "1 day 1 hour"),
        (2 * 86400, "2 days"),
    ],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert rough_span(seconds) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (40, "40%"), (0, "0%"), (100, "100%"), (2.04, "2%"), (2.06, "2.1%"), (9.96, "10%"), (0.004, "under 0.01%"),
        (99.97, "99.97%"), (99.995, "over 99.99%"), (99.5, "99.5%"), (55.55, "56%"),
    ],
)  # fmt: skip
def test_percent(value: float, shown: str) -> None:
    assert words.percent(value) == shown


@given(st.floats(0, 100))
def test_what_is_not_all_or_nothing_is_never_shown_as_that(value: float) -> None:
    shown = words.percent(value)
    assert (shown == "100%") is (value == 100)
    assert (shown == "0%") is (value == 0)
    assert " %" not in shown


def test_days_and_moments() -> None:
    assert words.PLAIN.day(date(2026, 11, 2)) == "2 Nov 2026"
    assert words.weekday(date(2026, 11, 2)) == "Monday, 2 Nov 2026"
    assert words.moment(datetime(2026, 11, 2, 14, 3, 9)) == "2 Nov 2026, 14:03"
    assert words.moment(datetime(2026, 11, 2, 14, 3, 9), seconds=True) == "2 Nov 2026, 14:03:09"
