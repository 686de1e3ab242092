"""What a reader says is data: each field is checked, whatever has become of the reader."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Librarian.passage import Changing, Companion, Gone, IncomingFile, Inspected, NotMedia, Unreadable
from Src.Librarian.read.wire import (
    Finding,
    HandedOver,
    Known,
    Later,
    Nonsense,
    Reply,
    Request,
    message_of,
    place_of,
    reply_line,
    reply_of,
    request_line,
    request_of,
)
from Src.Media import readers
from Src.Media.kinds import KINDS
from Src.Media.metadata import Metadata
from Src.Media.places import NOWHERE, Place
from Src.Media.readers.readings import Reading
from Src.Media.shots import Shot
from Src.Media.takeout import TakeoutNote
from Src.Media.words import Words
from Src.Shared.disk.files import FileState
from Src.Shared.disk.top import Top

FILE = IncomingFile("/inbox/a.jpg", "a.jpg", FileState(1, 2, 3, 4, 5))
METADATA = Metadata(
    datetime(2023, 12, 25, 1, 2, 3, 4),
    60,
    "exif:DateTimeOriginal",
    "second",
    1.5,
    -2.5,
    10,
    20,
    6,
    None,
    "A",
    "B",
    5,
    None,
)
NOTE = TakeoutNote(
    None, Place(1.5, -2.5), "x.jpg", "laughs", is_favourite=True, people=("Anna", "\u00e9"), is_trashed=True
)
GOOD = [
    "inspected",
    "a" * 64,
    "JPEG",
    "2023-12-25T01:02:03",
    60,
    "exif:x",
    "day",
    1.5,
    -2.5,
    10,
    20,
    6,
    None,
    "A",
    "B",
    5,
    None,
    ["T", None, ["a"]],
    ["0A", None, True],
    None,
]


@given(
    path=st.binary(min_size=1).map(lambda name: "/" + name.decode("utf-8", "surrogateescape")),
    state=st.tuples(*[st.integers(-(2**63), 2**64)] * 5),
    alone=st.booleans(),
)
def test_a_request_arrives_as_it_was_sent(path: str, state: tuple[int, int, int, int, int], alone: bool) -> None:
    below = Top("/", (state[0], state[1])) if alone else None
    file = IncomingFile(path, path[1:], FileState(*state), "import", below)
    line = request_line(Request([file], datetime(2024, 2, 29, 1, 2, 3, 456), alone))
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert request_of(line) == Request([file], datetime(2024, 2, 29, 1, 2, 3, 456), alone)


def test_what_is_known_of_a_file_arrives_as_it_was_sent() -> None:
    known = [Known("0" * 64, "HEIC", "why"), Known("1" * 64, None, "why")]
    asked = Request([FILE, FILE], datetime(2024, 2, 29), known=known)
    assert request_of(request_line(asked)) == asked


@pytest.mark.parametrize(
    "inspection",
    [
        Inspected(FILE, "0" * 64, KINDS["JPEG"], METADATA),
        Inspected(FILE, "0" * 64, KINDS["MP4"], METADATA._replace(duration_seconds=0.5, camera_make="caf\udce9\n")),
        Inspected(FILE, "0" * 64, KINDS["JPEG"], METADATA._replace(
            words=Words("T", "d\n", ("a", "\u00e9")), shot=Shot("0A-B", "2019", True)
        )),
        Companion(FILE, "0" * 64, "aae"),
        Companion(FILE, "0" * 64, "takeout", TakeoutNote(datetime(2009, 1, 2), NOWHERE)),
        Companion(FILE, "0" * 64, "takeout", NOTE),
        Companion(FILE, "0" * 64, "takeout", NOTE, "Lisbon \udcff"),
        NotMedia(FILE), Changing(FILE), Gone(FILE), Unreadable(FILE, "why"), Later(FILE, "why"),
        HandedOver(FILE, Known("0" * 64, "HEIC", "no fast reader of this kind")),
        HandedOver(FILE, Known("0" * 64, None, "no fast reader of this kind")),
    ],
)  # fmt: skip
def test_an_inspection_arrives_as_it_was_sent(inspection: Finding) -> None:
    readings = Counter({Reading("JPEG", "trailer SEFT (Samsung)"): 1})
    line = reply_line(Reply([inspection], readings))
    assert line.count(b"\n") == 1
    assert reply_of(message_of(line), [FILE]) == Reply([inspection], readings)


def test_the_file_is_the_one_that_was_asked_about() -> None:
    other = FILE._replace(path="/inbox/b.jpg")
    said = message_of(reply_line(Reply([Inspected(other, "0" * 64, KINDS["JPEG"], METADATA)])))
    assert reply_of(said, [FILE]).inspections[0].file == FILE


def test_every_reason_that_a_reader_gives_arrives() -> None:
    """(One that did not would end the reader, and its file would be taken for damaged.)"""
    given = {
        reason
        for path in Path(readers.__file__).parent.glob("*.py")
        for reason in re.findall(r'Unusual\("([^"]+)"\)', path.read_text())
    }
    assert len(given) > 100 and "Apple's MakerNotes of odd form" in given
    handed_over = [HandedOver(FILE, Known("0" * 64, "JPEG", reason)) for reason in sorted(given)]
    said = message_of(reply_line(Reply(handed_over)))
    assert reply_of(said, [FILE] * len(handed_over)).inspections == handed_over


def changed(at: int, value: Any) -> list[Any]:
    return [*GOOD[:at], value, *GOOD[at + 1 :]]


def note(at: int, value: Any) -> list[Any]:
    good: list[Any] = ["2009-01-02T03:04:05", [1.5, 2.5], "x.jpg", "laughs", True, ["Anna"], False, False]
    return ["companion", "0" * 64, "takeout", [*good[:at], value, *good[at + 1 :]]]


@pytest.mark.parametrize(
    "said",
    [
        [], ["inspected"], GOOD[:-1], [*GOOD, 1], ["unheard of"], ["unreadable"], ["unreadable", 5], "inspected", None,
        {}, 7, changed(1, "A" * 64), changed(1, "a" * 63), changed(1, "../" + "a" * 61), changed(1, 5),
        changed(2, "EXE"), changed(2, ["JPEG"]), changed(3, "yesterday"), changed(3, "2023-12-25T01:02:03+01:00"),
        changed(3, 5), changed(4, 5000), changed(4, 1.5), changed(4, True), changed(5, "a b"), changed(5, None),
        changed(5, "x" * 65), changed(7, 91), changed(7, "1"), changed(8, 181.0), changed(9, 0), changed(9, 2**31),
        changed(9, True), changed(10, -1), changed(12, -0.5), changed(12, 10**400), changed(13, 5),
        changed(13, "x" * 70_000), changed(15, 6), changed(15, -2), changed(16, ["x"]), changed(6, "hour"),
        changed(6, None), changed(11, 0), changed(11, 9),
        changed(17, "T"), changed(17, ["T", None, "a"]), changed(17, [5, None, []]), changed(17, [None, None, [5]]),
        changed(17, [None, None, ["a"] * 1001]), changed(18, "x"), changed(18, ["a b", None, False]),
        changed(18, [None, "x" * 65, False]), changed(18, [None, None, 1]),
        ["handed_over"], ["handed_over", "0" * 64, "EXE", "why"], ["handed_over", "../", "JPEG", "why"],
        ["handed_over", "0" * 64, "JPEG", "w\nhy"], ["handed_over", "0" * 64, "JPEG", 5],
        ["handed_over", "0" * 64, 5, "why"],
        ["companion", "0" * 64, "exe", None], ["companion", "../", "aae", None], ["companion", "0" * 64, ["aae"], None],
        note(0, "yesterday"), note(0, "2023-12-25T01:02:03+01:00"), note(0, 5), note(1, None), note(1, [91, 0]),
        note(1, [1]), note(2, 5), note(3, "x" * 70_000), note(4, 1), note(5, "Anna"), note(5, [5]), note(6, None),
        note(7, "yes"), ["companion", "0" * 64, "takeout", []],
    ],
)  # fmt: skip
def test_an_inspection_of_the_wrong_form_is_nonsense(said: Any) -> None:
    with pytest.raises(Nonsense):
        reply_of({"inspections": [said], "readings": []}, [FILE])


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"[]", b"{", b"\xff", b'{"a":NaN}', b'{"a":Infinity}', b"[" * 100_000, b"1"]
)
def test_a_line_that_is_no_object_is_nonsense(line: bytes) -> None:
    with pytest.raises(Nonsense):
        message_of(line)


@given(
    said=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda x: st.lists(x), max_leaves=20
    )
)
def test_whatever_is_said_is_an_inspection_or_nonsense(said: Any) -> None:
    try:
        found = reply_of({"inspections": json.loads(json.dumps(said)), "readings": []}, [FILE]).inspections
    except Nonsense:
        return
    assert len(found) == 1 and found[0].file == FILE


@pytest.mark.parametrize(
    "said",
    [
        None, {}, 1, "x", [1], [["JPEG", None]], [["EXE", None, 1]], [[["JPEG"], None, 1]], [["JPEG", 5, 1]],
        [["JPEG", "", 1]], [["JPEG", "x" * 61, 1]], [["JPEG", "two\nlines", 1]], [["JPEG", "caf\xe9", 1]],
        [["JPEG", None, 0]], [["JPEG", None, -1]], [["JPEG", None, True]], [["JPEG", None, 1.0]], [["JPEG", None, 2]],
        [["JPEG", None, 1], ["JPEG", "x", 1]],
    ],
)  # fmt: skip
def test_readings_of_the_wrong_form_or_of_more_files_than_were_asked_about_are_nonsense(said: Any) -> None:
    with pytest.raises(Nonsense):
        reply_of({"inspections": [["gone"]], "readings": said}, [FILE])


def test_a_place_that_is_none_on_earth_is_nonsense() -> None:
    assert place_of([-90, 180.0]) == (-90.0, 180.0)
    for said in (
        None,
        [],
        [1],
        [1, 2, 3],
        "ab",
        [None, 1],
        [91, 0],
        [0, -181],
        [True, 0],
        ["1", 2],
        {"a": 1},
        [1e400, 0],
    ):
        with pytest.raises(Nonsense):
            place_of(said)
