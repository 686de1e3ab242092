"""The selection language: what each term means, by a real ledger; and that errors point at the letter."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from Src.Library.selection.grammar import MOST_LETTERS, SelectionError, Term, parse, quoted
from Src.Library.selection.selection import read_selection
from Src.Shared.database import Database
from Src.Shared.models import Companion, MediaAsset

ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NFD, NFC = "Cafe\u0301.jpg", "Caf\u00e9.jpg"


def original(name: str, taken: str, **more: Any) -> dict[str, Any]:
    when = datetime.fromisoformat(taken)
    known = {
        "id": uuid.UUID(int=int(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(), 16)),
        "file_hash": hashlib.sha256(name.encode()).hexdigest(),
        "file_size": 1000,
        "original_name": name,
        "original_path": name,
        "final_path": f"Originals/{when:%Y/%Y-%m-%d}/{name}",
        "media_kind": "JPEG",
        "mime_type": "image/jpeg",
        "captured_at": when,
        "date_source": "exif:DateTimeOriginal",
        "date_precision": "second",
        "ingested_at": datetime(2026, 11, 28, 22, 30, tzinfo=UTC),
        "rating": None,
        "camera_make": None,
        "camera_model": None,
        "location": None,
        "duration_seconds": None,
        "width": 4000,
        "height": 3000,
        "has_errors": False,
    }
    return {**known, **more}


CANON = {"camera_make": "Canon", "camera_model": "Canon EOS 40D"}
ORIGINALS = [
    original("IMG_1.jpg", "2019-01-01 00:00", **CANON, rating=5),
    original("IMG_2.cr2", "2019-12-31 23:59:59", **CANON, media_kind="CR2", rating=4, file_size=25_000_000),
    original("IMG_10.jpg", "2020-02-29 12:00", camera_make="Canon", camera_model="Canon EOS 40D Mark II", rating=0),
    original(
        "DSC_1.nef", "2021-07-04 08:00", camera_make="NIKON", camera_model="D90", media_kind="NEF", has_errors=True
    ),
    original(
        "film.mp4", "2022-05-01 10:00", media_kind="MP4", duration_seconds=61.5, location={"lat": 52.5, "lon": 13.4}
    ),
    original("scan 100%.tif", "1965-01-01", media_kind="TIFF", date_precision="year"),
    original(NFD, "2024-03-01", date_source="mtime", location={"lat": -33.86, "lon": 151.21}),
    original("x_y.jpg", "2024-03-02", ingested_at=datetime(2026, 11, 29, 1, tzinfo=UTC)),
    original("a\\\\b*.jpg", "2024-03-03"),
    original("or", "2024-03-04", width=None, height=None),
]
WITH_SIDECAR = "IMG_2.cr2"


@pytest.fixture
def chosen(database: Database) -> Callable[[str], set[str]]:
    """Asks a ledger with those originals; the names that it gives."""
    database.ensure_ready()
    sidecar = {"kind": "xmp", "path_id": uuid.uuid4(), "original_path": "IMG_2.xmp", "companion_hash": "0" * 64}
    with database.session() as session:
        session.execute(insert(MediaAsset), ORIGINALS)
        of = hashlib.sha256(WITH_SIDECAR.encode()).hexdigest()
        session.execute(insert(Companion).values(**sidecar, companion_size=1, original_hash=of))
        of = hashlib.sha256(b"DSC_1.nef").hexdigest()
        adjusted = sidecar | {"kind": "aae", "path_id": uuid.uuid4(), "original_path": "DSC_1.AAE"}
        session.execute(insert(Companion).values(**adjusted, companion_size=1, original_hash=of))

    def ask(text: str) -> set[str]:
        condition = read_selection(text, ZONE, NOW).condition
        with database.session() as session:
            found = set(session.scalars(select(MediaAsset.original_name).where(condition)))
            looked_up = read_selection(text, ZONE, NOW, session).condition
            assert set(session.scalars(select(MediaAsset.original_name).where(looked_up))) == found
        return found

    return ask


# What somebody writes, and the originals that it means.
MEANINGS: list[tuple[str, set[str]]] = [
    ("*", {one["original_name"] for one in ORIGINALS}),
    ('camera:"Canon EOS 40D"', {"IMG_1.jpg", "IMG_2.cr2"}),
    ('camera:"canon eos 40d*"', set()),
    ("camera:canon*40d*", {"IMG_1.jpg", "IMG_2.cr2", "IMG_10.jpg"}),
    ("camera:canon", {"IMG_1.jpg", "IMG_2.cr2", "IMG_10.jpg"}),
    ('camera:"NIKON D90"', {"DSC_1.nef"}),
    ("year:2019", {"IMG_1.jpg", "IMG_2.cr2"}),
    ("year:2019..2020", {"IMG_1.jpg", "IMG_2.cr2", "IMG_10.jpg"}),
    ("year:..2019", {"IMG_1.jpg", "IMG_2.cr2", "scan 100%.tif"}),
    ("date:2020-02", {"IMG_10.jpg"}),
    ("date:2020-2-29", {"IMG_10.jpg"}),
    ("date>2019 date<2022-05", {"IMG_10.jpg", "DSC_1.nef"}),
    ("date>=2022-05-01 date<=2022-05-01", {"film.mp4"}),
    ("taken:2019-12-31..2020-02-29", {"IMG_2.cr2", "IMG_10.jpg"}),
    ("date:guessed", {"scan 100%.tif", NFD}),
    ("year:2024 date:exact", {"x_y.jpg", "a\\\\b*.jpg", "or"}),
    ("added:today", {"x_y.jpg"}),
    ("added:yesterday -year:2024 -year:2019 -camera:*", {"film.mp4", "scan 100%.tif"}),
    ("added:2026-11-28 name:IMG*", {"IMG_1.jpg", "IMG_2.cr2", "IMG_10.jpg"}),
    ("kind:raw", {"IMG_2.cr2", "DSC_1.nef"}),
    ("is:raw rating>=4", {"IMG_2.cr2"}),
    ("kind:video", {"film.mp4"}),
    ("kind:tif", {"scan 100%.tif"}),
    ("rating:0", {"IMG_10.jpg"}),
    ("rating:4..5", {"IMG_1.jpg", "IMG_2.cr2"}),
    ("name:IMG* -rating>=4", {"IMG_10.jpg"}),
    ("is:favourite", {"IMG_1.jpg"}),
    ("is:favorite or is:damaged", {"IMG_1.jpg", "DSC_1.nef"}),
    ("has:position", {"film.mp4", NFD}),
    ("has:sidecar", {"IMG_2.cr2"}),
    ("has:companion", {"IMG_2.cr2", "DSC_1.nef"}),
    ("near:52.52,13.40,3", {"film.mp4"}),
    ("near:-33.9,151.2,5km", {NFD}),
    ("near:52.52,13.40,2", set()),
    ("duration>1 duration<=61.5", {"film.mp4"}),
    ("size>=25MB", {"IMG_2.cr2"}),
    ("size<=1kB kind:raw", {"DSC_1.nef"}),
    ("-width>0", {"or"}),
    ("IMG_1*", {"IMG_1.jpg", "IMG_10.jpg"}),
    ("IMG_?.*", {"IMG_1.jpg", "IMG_2.cr2"}),
    ("x_y.jpg", {"x_y.jpg"}),
    ("x?y.JPG", {"x_y.jpg"}),
    ('"scan 100%.tif"', {"scan 100%.tif"}),
    ('name:"*.tif"', set()),
    (r'"a\\b*.jpg"', {"a\\\\b*.jpg"}),
    (NFC, {NFD}),
    ('"or"', {"or"}),
    ("path:2019/*", {"IMG_1.jpg", "IMG_2.cr2"}),
    ("path:Originals/2022/2022-05-01/film.mp4", {"film.mp4"}),
    (f"hash:{hashlib.sha256(b'film.mp4').hexdigest()[:12]}", {"film.mp4"}),
    (f"id:{ORIGINALS[0]['id']}", {"IMG_1.jpg"}),
    ("(kind:video or kind:raw) -(rating:4 or rating:5)", {"film.mp4", "DSC_1.nef"}),
    ("not (kind:video OR kind:raw) AND year:2019", {"IMG_1.jpg"}),
    ("--kind:video", {"film.mp4"}),
]  # fmt: skip


def test_each_term_means_what_the_manual_says(chosen: Callable[[str], set[str]]) -> None:
    wrong = {text: found for text, expected in MEANINGS if (found := chosen(text)) != expected}
    assert wrong == {}


# Makes and models as files have them: none, empty, one model of two makes, a make that is a model, without an end.
CAMERAS = [
    (None, None), ("", None), (None, ""), ("Canon", None), (None, "Canon"), ("Canon", "Canon"), ("NIKON", "D90"),
    ("NIKON CORPORATION", "D90"), (None, "D90"), ("nikon", "d90"), ("A B", "C"), ("A", "B C"), ("É", "100%"), ("", "x"),
]  # fmt: skip
SAID = [
    "D90", '"nikon d90"', "nikon*", "*d90", "*", "?", '"A B C"', "é", '"é 100%"', "canon", '"canon canon"', '" x"',
    "x*", "m*", "*00",
]  # fmt: skip


@pytest.mark.parametrize("more", [[], [("M" * 101, "D90")], [("NIKON", "D90" + 4000 * "0")]], ids=["", "make", "model"])
def test_cameras_that_are_looked_up_are_those_that_are_compared(
    database: Database, more: list[tuple[str | None, str | None]]
) -> None:
    database.ensure_ready()
    rows = [
        original(f"{place}", "2019-01-01", camera_make=make, camera_model=model)
        for place, (make, model) in enumerate([*CAMERAS, *more])
    ]
    with database.session() as session:
        session.execute(insert(MediaAsset), rows)
        for said in SAID:
            found = [
                set(session.scalars(select(MediaAsset.original_name).where(read_selection(*asked).condition)))
                for asked in ((f"camera:{said}", ZONE, NOW), (f"camera:{said}", ZONE, NOW, session))
            ]
            assert found[0] == found[1], said


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.recursive(
    st.sampled_from([text for text, _ in MEANINGS if " " not in text]).map(lambda text: (text, text)),
    lambda inner: st.tuples(st.sampled_from(["and", " ", "or"]), inner, inner) | st.tuples(st.just("not"), inner),
    max_leaves=6,
))  # fmt: skip
def test_terms_are_joined_as_in_logic(chosen: Callable[[str], set[str]], tree: Any) -> None:
    everything, known = chosen("*"), dict(MEANINGS)

    def written(node: Any) -> str:
        match node:
            case ("not", inner):
                return f"-({written(inner)})"
            case (text, _):
                return str(text)
            case (joined, left, right):
                return f"({written(left)} {joined} {written(right)})"
        raise AssertionError(node)

    def meant(node: Any) -> set[str]:
        match node:
            case ("not", inner):
                return everything - meant(inner)
            case (text, _):
                return known[text]
            case ("or", left, right):
                return meant(left) | meant(right)
            case (_, left, right):
                return meant(left) & meant(right)
        raise AssertionError(node)

    assert chosen(written(tree)) == meant(tree)


# What somebody writes, where the error points, and a part of what it says.
ERRORS = [
    ("", 0, "empty"),
    ("   ", 0, "empty"),
    ("year:2019 rating:6", 17, "most is 5"),
    ("colour:red", 0, "no field 'colour'"),
    ("is:raw camra:x", 7, "did you mean camera?"),
    ('camera:"Canon', 7, "never closed"),
    ("(is:raw", 7, "closing parenthesis"),
    ("is:raw)", 6, "no meaning here"),
    ("is:raw or", 9, "missing"),
    ("or is:raw", 0, "joins"),
    ("camera:", 7, "a value is missing after camera:"),
    ("is:raw rating:", 14, "a value is missing after rating:"),
    ("(rating:) year:2019", 8, "a value is missing after rating:"),
    ('name:""', 5, "missing"),
    ("is:blue", 3, "favourite"),
    ("has:everything", 4, "sidecar"),
    ("kind:word", 5, "JPEG"),
    ("name>3", 5, "colon"),
    ("date:2019-02-30", 5, "no such day"),
    ("date:0000", 5, "no such day"),
    ("date:July", 5, "a date is expected"),
    ("date<0001", 5, "no time is left"),
    ("year:19", 5, "a year"),
    ("year:2021..2019", 5, "ends before"),
    ("rating:..", 7, "missing its ends"),
    ("rating:good", 7, "a number"),
    ("rating:1MB", 7, "a number"),
    ("size:large", 5, "bytes"),
    ("near:Berlin", 5, "position"),
    ("place:Berlin", 0, "names of places are not known yet"),
    ("rating > 3", 7, "no blank between"),
    ("year:2019 rating >=3", 17, "no blank between"),
    ("near:91,0,1", 5, "latitude"),
    ("near:nan,0,1", 5, "latitude"),
    ("hash:xyz", 5, "SHA-256"),
    ("id:7", 3, "an id looks like"),
    ("(" * 200 + "a" + ")" * 200, 100, "too deep"),
    ("-" * 200 + "a", 0, "negations"),
    ("a" * (MOST_LETTERS + 1), MOST_LETTERS, "longer"),
]


@pytest.mark.parametrize(("text", "position", "reason"), ERRORS, ids=[text[:20] or "empty" for text, _, _ in ERRORS])
def test_an_error_points_at_the_letter(text: str, position: int, reason: str) -> None:
    with pytest.raises(SelectionError) as caught:
        read_selection(text, ZONE, NOW)
    assert caught.value.position == position
    assert reason in caught.value.reason
    assert len(caught.value.line().splitlines()) == 3
    shown, pointer = caught.value.line().splitlines()[1:]
    assert text[position : position + 1] == shown[len(pointer) - 1 : len(pointer)].strip() or not text.strip()


@given(st.text(max_size=60) | st.text(st.sampled_from('is:raw or-"()\\ *?.<>=0123456789'), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    position = 0
    try:
        assert read_selection(text, ZONE, NOW).words
    except SelectionError as error:
        position = error.position
    assert 0 <= position <= len(text)


def test_a_long_text_is_read() -> None:
    for joint in (" ", " or "):
        assert read_selection(joint.join(["name:a"] * 900), ZONE, NOW).words.count("named a") == 900


@given(st.text(min_size=1, max_size=30))
def test_a_value_that_is_quoted_means_its_letters(value: str) -> None:
    term = parse(f"tag:{quoted(value)}")
    assert isinstance(term, Term) and (term.field, term.value.text) == ("tag", value)
