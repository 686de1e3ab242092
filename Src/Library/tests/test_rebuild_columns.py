"""Which of two answers counts where the vault says another thing than the ledger."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from Src.Library.rebuilding.columns import COMPARED, merge
from Src.Testing.examples import examples

SOURCES = ("exif:DateTimeOriginal", "sidecar:xmp:DateTimeOriginal", "takeout:photoTakenTime", "person")
GUESSES = ("filename", "mtime", "arrival")
DATE = ("captured_at", "captured_at_offset", "date_source", "date_precision")
SPOKEN_OF = {"is_hidden": "hidden", "rotation": "rotation", "is_motion_photo": "no field"}
DECIDED = st.sets(st.sampled_from(("hidden", "rotation")))
DAYS = ("2001-02-03", "2004-05-06")


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    row: dict[str, Any] = {column: draw(st.sampled_from((None, 1, 2))) for column in COMPARED}
    day = draw(st.sampled_from(DAYS))
    return row | {
        "final_path": f"Originals/{day[:4]}/{day}/a.jpg",
        "captured_at": f"{draw(st.sampled_from(DAYS))}T10:00:00",
        "date_source": draw(st.sampled_from((*SOURCES, *GUESSES))),
        "has_errors": draw(st.booleans()),
        "is_hidden": draw(st.booleans()),
        "is_motion_photo": draw(st.booleans()),
        "file_size": draw(st.sampled_from((1, 2))),
        "rotation": draw(st.sampled_from((0, 90))),
    }


@given(rows(), rows(), DECIDED)
@settings(max_examples=examples(300))
def test_a_value_gives_way_to_another_and_never_to_nothing(
    old: dict[str, Any], new: dict[str, Any], decided: set[str]
) -> None:
    merged = merge(old, new, decided)
    assert not merged.taken.keys() & merged.stays.keys()
    is_well_again = old["has_errors"] and not new["has_errors"]
    for column, value in merged.taken.items():
        assert value == new[column] != old[column]
        assert value is not None or column in DATE or (column == "error_message" and is_well_again)
        assert value or column not in SPOKEN_OF or SPOKEN_OF[column] in decided
    for column in COMPARED:
        if column not in (*DATE, *SPOKEN_OF, "final_path") and new[column] not in (None, old[column]):
            assert column in merged.taken or (new["has_errors"] and not old["has_errors"])
    taken = {**old, **merged.taken}
    assert merge(taken, new, decided).taken == {}, "once it is in place, nothing more is to be done"
    assert merge(old, old) == ({}, {})


@given(rows(), rows(), DECIDED)
@settings(max_examples=examples(100))
def test_a_reading_that_failed_replaces_nothing_but_the_size(
    old: dict[str, Any], new: dict[str, Any], decided: set[str]
) -> None:
    merged = merge(old | {"has_errors": False}, new | {"has_errors": True}, decided)
    assert merged.taken.keys() <= {"file_size"} and "has_errors" in merged.stays
    well = merge(old | {"has_errors": True, "error_message": 3}, new | {"has_errors": False}, decided)
    assert (well.taken["has_errors"], well.taken["error_message"]) == (False, new["error_message"])


@given(rows(), rows())
@settings(max_examples=examples(300))
def test_a_date_is_taken_whole_and_never_a_guess(old: dict[str, Any], new: dict[str, Any]) -> None:
    taken = {column: value for column, value in merge(old, new).taken.items() if column in DATE}
    if taken:
        assert {**old, **taken} | {column: new[column] for column in DATE} == {**old, **taken}
        assert new["date_source"] not in GUESSES
        fits = new["captured_at"][:10] == new["final_path"].split("/")[2]
        assert fits or old["captured_at"][:10] != old["final_path"].split("/")[2]
