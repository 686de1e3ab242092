"""How far a long run has come, in words that fit, and as often as it helps."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Factory.progress import PlainLines, Step, fitted, step_words, time_left

STEP = Step(1_200, 48_000, 3_200_000_000, 120_000_000_000, "/photos/2019/Summer [holidays]", "12 duplicates")


def test_the_words_of_a_step() -> None:
    assert step_words(Step(1_200, None, 5_000_000, None, "/photos"), 0) == ["1,200 files found", "5.0 MB"]
    assert step_words(STEP, 100.0) == [
        "1,200/48,000 files",
        "3.2 GB of 120.0 GB",
        "61 min left",
        "12 duplicates",
        "12 files/s 32 MB/s",
    ]


def test_the_time_left_goes_by_bytes_where_they_are_known() -> None:
    assert time_left(Step(1, 2, 10, 100), 10.0) == 90.0
    assert time_left(Step(1, 2), 10.0) == 10.0
    assert time_left(Step(0, 2, 0, 100), 10.0) is None
    assert time_left(Step(5, None, 10), 10.0) is None
    assert time_left(Step(2, 2, 120, 100), 10.0) == 0.0


@given(
    st.builds(
        Step,
        st.integers(0, 10**7),
        st.none() | st.integers(0, 10**7),
        st.integers(0, 10**14),
        st.none() | st.integers(0, 10**14),
        st.text(max_size=300),
        st.sampled_from(["", "12 duplicates, 3 failed"]),
    ),
    st.floats(0, 10**6),
    st.integers(20, 200),
)
def test_a_line_is_one_line_of_the_terminals_width(step: Step, seconds: float, room: int) -> None:
    text = fitted(step, seconds, room)
    assert len(text) <= room
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text


def test_the_folder_stays_in_sight_and_the_speed_goes_first() -> None:
    assert fitted(STEP, 100.0, 200).endswith("MB/s, /photos/2019/Summer [holidays]")
    assert fitted(STEP, 100.0, 80) == "1,200/48,000 files, 3.2 GB of 120.0 GB, 61 min left, …tos/2019/Summer [holidays]"


def test_plain_lines_come_soon_and_then_ever_fewer(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    lines = PlainLines("Importing", clock=lambda: now)
    caplog.set_level(logging.INFO)
    came: list[float] = []
    for tick in range(5 * 600):
        now = tick / 5
        lines.show(STEP)
        if len(caplog.records) > len(came):
            came.append(now)
    assert came[:6] == [10.0, 30.0, 60.0, 120.0, 180.0, 240.0]
    assert caplog.messages[0].startswith("Importing: 1,200/48,000 files, 3.2 GB of 120.0 GB, ")
    assert caplog.messages[0].endswith(", in /photos/2019/Summer [holidays]")
