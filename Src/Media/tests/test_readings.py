"""By what the files were read: the counts arrive in the report."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from Src.Media.readers import readings
from Src.Media.readers.readings import Reading, Readings

COUNTED = st.dictionaries(
    st.builds(Reading, st.sampled_from(["JPEG", "HEIC", "MP4"]), st.none() | st.text(min_size=1)), st.integers(1)
).map(Counter)


@given(COUNTED)
def test_what_is_reported_is_what_was_counted(counted: Readings) -> None:
    assert readings.from_json([json.loads(json.dumps(readings.as_json(counted)))]) == counted


@given(COUNTED, COUNTED)
def test_the_counts_of_several_are_added(one: Readings, other: Readings) -> None:
    both = one + other
    assert readings.from_json([readings.as_json(one), readings.as_json(other)]) == both
    readings.add(one, other)
    assert one == both


def test_reasons_without_end_are_one() -> None:
    counted: Readings = Counter()
    for number in range(10_000):
        readings.add(counted, Counter({Reading("JPEG", f"invented {number}"): 1}))
    readings.add(counted, Counter({Reading("JPEG", "invented 7"): 1}))
    assert len(counted) < 3000
    assert counted.total() == 10_001
    assert counted[Reading("JPEG", "invented 7")] == 2
