"""When an event is late, and when it is backdated: against the rule as it is written down."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from Src.Library.custody.manifests.events.times import LATE, Timed, Times
from Src.Testing.examples import examples

HOUR = 3600.0


def found(*events: tuple[float | None, float | None]) -> list[str | None]:
    """Of events by happened and written, in hours, in the order of their seals."""
    times, kinds = Times(), []
    for happened, written in events:
        one = [None if at is None else at * HOUR for at in (happened, written)]
        trouble = times.trouble(Timed(one[0], str(happened), one[1], str(written)))
        times.note_seal(one[1])
        kinds.append(trouble and trouble[0])
    return kinds


def test_what_came_in_while_the_database_was_away_is_late() -> None:
    assert found((1, 1), (2, 8), (3, 8), (7.5, 8.1)) == [None, "late", "late", None]


def test_the_first_events_of_a_new_database_may_be_old() -> None:
    assert found((-9000, 8), (-1, 8), (8, 8)) == ["late", "late", None]


def test_an_older_date_than_that_of_what_came_in_time_is_backdated() -> None:
    assert found((1, 1), (4, 4), (0.5, 8)) == [None, None, "backdated"]
    assert found((1, 1), (9, 4), (-math.inf, 8), (math.inf, 8)) == [None, "backdated", "backdated", "backdated"]
    assert found((1, math.inf), (1, 1)) == ["backdated", "backdated"]


def test_no_time_of_writing_is_of_before_there_were_seals_only() -> None:
    assert found((-9000, None), (1, None), (2, 2), (1, None), (3, 3)) == [None, None, None, "backdated", None]


def test_a_clock_that_goes_back_is_named_once() -> None:
    assert found((5, 5), (5, 5.5), (1, 1), (1.1, 1.1), (2, 2)) == [None, None, "backdated", None, None]
    assert found((5, 5), (4.5, 4.5)) == [None, None]


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=12))
def test_as_the_rule_says(events: list[tuple[int, int]]) -> None:
    """With a clock that never goes back."""
    order = sorted(events, key=lambda one: one[1])
    expected: list[str | None] = []
    for at, (happened, written) in enumerate(order):
        between = [one for _, one in order[:at] if happened * HOUR + LATE < one * HOUR < written * HOUR - LATE]
        if abs(written - happened) * HOUR <= LATE:
            expected.append(None)
        else:
            expected.append("late" if happened < written and not between else "backdated")
    assert found(*[(float(happened), float(written)) for happened, written in order]) == expected
