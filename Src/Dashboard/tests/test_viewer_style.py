"""Numbers and dates as the viewer's country writes them."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Dashboard.viewer_style import style_of
from Src.Shared import words

WHEN = datetime(2026, 11, 2, 14, 3, 9)


@pytest.mark.parametrize(
    ("locale", "size", "count", "percent", "moment"),
    [
        (None, "4.1 GB", "12,345 files", "0.4%", "2 Nov 2026, 14:03"),
        ("en-GB", "4.1 GB", "12,345 files", "0.4%", "2 Nov 2026, 14:03"),
        ("en-US", "4.1 GB", "12,345 files", "0.4%", "Nov 2, 2026, 2:03 PM"),
        ("en-AU", "4.1 GB", "12,345 files", "0.4%", "2 Nov 2026, 2:03 PM"),
        ("de", "4,1 GB", "12.345 files", "0,4 %", "2 Nov 2026, 14:03"),
        ("de-CH", "4.1 GB", "12’345 files", "0.4%", "2 Nov 2026, 14:03"),
        ("fr-FR", "4,1 GB", "12 345 files", "0,4 %", "2 Nov 2026, 14:03"),
        ("pt-BR", "4,1 GB", "12.345 files", "0,4%", "2 Nov 2026, 14:03"),
        ("es-MX", "4.1 GB", "12,345 files", "0.4%", "2 Nov 2026, 2:03 PM"),
        ("zh-Hant-TW", "4.1 GB", "12,345 files", "0.4%", "2 Nov 2026, 14:03"),
    ],
)
def test_each_viewer_reads_what_they_are_used_to(
    locale: str | None, size: str, count: str, percent: str, moment: str
) -> None:
    style = style_of(locale)
    shown = (
        words.size(4_100_000_000, style), words.counted(12_345, "file", style=style), words.percent(0.4, style),
        words.moment(WHEN, style=style),
    )  # fmt: skip
    assert [text.replace("\u00a0", " ") for text in shown] == [size, count, percent, moment]


def test_the_hours_of_a_day_with_twelve() -> None:
    style = style_of("en-US")
    hours = [style.time(WHEN.replace(hour=hour)) for hour in (0, 1, 11, 12, 13, 23)]
    assert hours == ["12:03 AM", "1:03 AM", "11:03 AM", "12:03 PM", "1:03 PM", "11:03 PM"]
    assert style.time(WHEN, seconds=True) == "2:03:09 PM"


@given(st.text(max_size=12))
def test_whatever_a_browser_calls_itself_gets_a_style(locale: str) -> None:
    assert words.moment(WHEN, style=style_of(locale))


@given(st.sampled_from(["de", "fr-FR", "de-CH", "en", None]), st.integers(0, 10**15))
def test_a_number_keeps_its_digits(locale: str | None, number: int) -> None:
    assert "".join(filter(str.isdigit, style_of(locale).number(number))) == str(number)
