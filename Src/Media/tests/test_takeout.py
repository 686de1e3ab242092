"""Google Takeout's JSON: whose each is by its name, and what it says, whatever it holds."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Media import takeout
from Src.Media.places import NOWHERE, Place
from Src.Media.takeout import Album, Refused, TakeoutNote, note_names, note_rank, parse, read_album

SUPPLEMENT = ".supplemental-metadata"
LONG = "Screenshot_20230405-112233_Some.Long.Program.jpg"  # 48 characters
STEMS = st.text(st.characters(codec="utf-8", exclude_characters="/\0.()-", exclude_categories=("Cc", "Cs")), min_size=3)
NUMBERS = st.integers(1, 9999).map(lambda number: f"({number})")


@pytest.mark.parametrize(
    ("note", "photo", "rank"),
    [
        ("IMG_1.jpg.json", "IMG_1.jpg", 0),
        ("IMG_1.jpg.JSON", "IMG_1.jpg", 0),
        ("IMG_1.jpg.supplemental-metadata.json", "IMG_1.jpg", 0),
        ("IMG_1.jpg.s.json", "IMG_1.jpg", 0),
        ("IMG_1.jpg..json", "IMG_1.jpg", 0),
        ("IMG_1.jpg(1).json", "IMG_1(1).jpg", 1),
        ("IMG_1(1).jpg.json", "IMG_1(1).jpg", 0),
        ("IMG_1.jpg.supplemental-metadata(1).json", "IMG_1(1).jpg", 1),
        ("IMG_1.jpg.supplemental-metadata(2).json", "IMG_1(1).jpg", None),
        ("IMG_1.jpg(1).json", "IMG_1.jpg", None),
        ("IMG_1.jpg.json", "IMG_1(1).jpg", None),
        ("IMG_1.jpg.json", "IMG_10.jpg", None),
        ("IMG_10.jpg.json", "IMG_1.jpg", None),
        ("IMG_1.json", "IMG_1.jpg", None),
        ("IMG_1.jpg.other.json", "IMG_1.jpg", None),
        ("IMG_1.jpg.json", "IMG_1-edited.jpg", 10),
        ("IMG_1.jpg.json", "IMG_1-bearbeitet.jpg", 10),
        ("IMG_1.jpg.json", "IMG_1-modifie\u0301.jpg", 10),  # as macOS has its accents
        ("IMG_1.jpg(2).json", "IMG_1-edited(2).jpg", 11),
        ("IMG_1.jpg.json", "IMG_1-edition.jpg", None),
        (LONG[:46] + ".json", LONG, 0),
        (LONG[:45] + ".json", LONG, None),
        (LONG[:46] + "(1).json", LONG.replace(".jpg", "(1).jpg"), 1),
        (LONG[:43] + "(1).json", LONG.replace(".jpg", "(1).jpg"), 1),
        ("é" * 23 + ".json", "é" * 30 + ".jpg", 0),  # 46 bytes
        ("metadata.json", "metadata.jpg", None),
    ],
)
def test_whose_a_note_is(note: str, photo: str, rank: int | None) -> None:
    assert note_rank(note, photo) == rank


@pytest.mark.parametrize("cut", range(len(SUPPLEMENT) + 1))
def test_every_cut_of_the_supplement_is_known(cut: int) -> None:
    assert note_rank(f"a.jpg{SUPPLEMENT[:cut]}.json", "a.jpg") == 0
    assert note_rank(f"a.jpg{SUPPLEMENT[:cut]}(7).json", "a(7).jpg") == 1


def test_an_edited_copy_whose_suffix_was_cut_has_the_first_one_s_note() -> None:
    photo = "x" * 44 + "-edited.jpg"
    as_exported = photo[:47] + ".jpg"
    assert as_exported.endswith("-ed.jpg")
    assert note_rank("x" * 44 + ".j.json", as_exported) == 10
    assert note_rank("x" * 40 + ".jpg.json", "x" * 40 + "-ed.jpg") is None  # nothing was cut


@pytest.mark.parametrize("word", takeout.EDITED)
def test_an_edited_copy_in_every_language(word: str) -> None:
    assert takeout.before_edit(f"IMG_1-{word}.jpg") == "IMG_1.jpg"
    assert takeout.before_edit(f"IMG_1-{word}(3).jpg") == "IMG_1(3).jpg"
    assert takeout.before_edit(f"IMG_1{word}.jpg") is None


@given(stem=STEMS, number=st.just("") | NUMBERS, word=st.sampled_from(("", *takeout.EDITED)))
def test_what_is_looked_for_is_recognized(stem: str, number: str, word: str) -> None:
    photo = f"{stem}{'-' + word if word else ''}{number}.jpg"
    for note in note_names(photo):
        assert note_rank(note, photo) is not None, note


@given(stem=STEMS, number=NUMBERS, other=NUMBERS, cut=st.integers(0, len(SUPPLEMENT)))
def test_a_number_names_one_photo(stem: str, number: str, other: str, cut: int) -> None:
    stem = stem[:10]
    note = f"{stem}.jpg{SUPPLEMENT[:cut]}{number}.json"
    assert note_rank(note, f"{stem}{number}.jpg") is not None
    assert note_rank(note, f"{stem}.jpg") is None
    assert (note_rank(note, f"{stem}{other}.jpg") is None) == (other != number)


@pytest.mark.parametrize("name", ["me-smile.jpg", "holiday-mix.jpg", "sound-effects.jpg", "IMG_1-Mix(2).jpg"])
def test_a_word_that_people_use_is_no_edited_copys_suffix(name: str) -> None:
    assert takeout.before_edit(name) is None


def test_capitals_of_an_edited_copys_suffix_do_not_matter() -> None:
    assert takeout.before_edit("IMG_20190506_070809-EFFECTS.jpg") == "IMG_20190506_070809.jpg"
    assert note_rank("IMG_1.jpg.json", "IMG_1-Bearbeitet.jpg") == 10


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_name_makes_it_raise(note: str, photo: str) -> None:
    note_rank(note, photo)
    note_rank(f"{note}.json", photo)
    takeout.before_edit(photo)


def test_album_files_are_known_by_their_names() -> None:
    for name in (
        "metadata.json",
        "Metadaten.json",
        "metadata(1).json",
        "métadonnées.json",
        "метаданные.json",
        "메타데이터.json",
    ):
        assert takeout.is_album_name(name)
    assert not takeout.is_album_name("my metadata.json")


def note(**fields: object) -> bytes:
    return json.dumps({"photoTakenTime": {"timestamp": "1258375918"}, **fields}).encode()


def test_what_a_note_says() -> None:
    said = parse(
        note(
            title="IMG_1.jpg",
            description="  Grandma\u0000 laughs ",
            favorited=True,
            archived=True,
            trashed=True,
            people=[{"name": "Anna"}, {"name": "Anna"}, {"name": ""}, {"nick": "x"}, 7],
            geoData={"latitude": 0.0, "longitude": 0.0},
            geoDataExif={"latitude": 30.5, "longitude": -104},
        )
    )
    assert said == TakeoutNote(
        datetime(2009, 11, 16, 12, 51, 58),
        Place(30.5, -104.0),
        "IMG_1.jpg",
        "Grandma laughs",
        is_favourite=True,
        people=("Anna",),
        is_archived=True,
        is_trashed=True,
    )


def test_what_an_album_says() -> None:
    assert parse(b'{"title": "Summer", "description": "", "access": "protected"}') == Album("Summer")
    assert parse(b'{"albumData": {"title": "Summer", "description": "hot"}}') == Album("Summer", "hot")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[1]", "no JSON object"),
        (b'{"title": "x"}', "photoTakenTime"),
        (b'{"photoTakenTime": NaN}', "no JSON"),
        (b'{"a":' * 100_000, "larger"),
        (b'{"a":' * 40_000, "brackets"),
        (b"[" * 65, "brackets"),
        (b"1" * 10_000, "no JSON"),
        (note(x="y" * takeout.MOST_BYTES), "larger"),
    ],
)
def test_what_is_none_of_takeout_s_is_refused_with_a_reason(data: bytes, why: str) -> None:
    said = parse(data)
    assert isinstance(said, Refused) and why in said.reason


@pytest.mark.parametrize("stamp", [True, None, [], {}, "", "1e9", "9" * 16, 10**400, "99999999999999", -(10**14), " 1"])
def test_a_moment_that_is_none_says_nothing(stamp: object) -> None:
    said = parse(json.dumps({"photoTakenTime": {"timestamp": stamp}}).encode())
    assert said == Refused("it is no JSON") or said == TakeoutNote(None, NOWHERE)


@pytest.mark.parametrize(
    "data", [7, [], {"latitude": True, "longitude": True}, {"latitude": 91, "longitude": 0}, {"latitude": 10**400}]
)
def test_a_place_that_is_none_says_nothing(data: object) -> None:
    said = parse(note(geoData=data))
    assert isinstance(said, TakeoutNote) and said.place == NOWHERE


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("title", "description", "people", "geoData", "geoDataExif", "favorited", "archived", "trashed", "albumData")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES), JSON_VALUES, st.booleans())
def test_wrong_types_never_raise_and_texts_are_whole(fields: dict[str, object], stamp: object, named: bool) -> None:
    moment = {"photoTakenTime": {"timestamp": stamp}} if named else {}
    said = parse(json.dumps({**fields, **moment}).encode())
    assert isinstance(said, TakeoutNote) or not named
    for text in said:
        if isinstance(text, str):
            text.encode()


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    parse(data)


def test_only_what_can_be_opened_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg.json").write_bytes(note())
    (tmp_path / "b.jpg.json").symlink_to(tmp_path / "a.jpg.json")
    found = takeout.find_takeout(str(tmp_path / "a.jpg"))
    assert found == str(tmp_path / "a.jpg.json")
    said = takeout.read_takeout(found)
    assert said is not None and said.taken == datetime(2009, 11, 16, 12, 51, 58)
    assert takeout.read_takeout(str(tmp_path / "b.jpg.json")) is None
    assert takeout.read_takeout(str(tmp_path / "none.json")) is None


def test_a_folder_is_the_album_that_its_file_names(tmp_path: Path) -> None:
    def folder(name: str, **files: object) -> str | None:
        (tmp_path / name).mkdir()
        for file, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / name / f"{file}.json").write_text(text)
        fd = os.open(tmp_path / name, os.O_PATH | os.O_DIRECTORY)
        try:
            return read_album(fd)
        finally:
            os.close(fd)

    lisbon = {"title": "Lisbon", "date": {}}
    assert folder("a", Metadaten=lisbon, other={"title": "Other", "date": {}}) == "Lisbon"
    assert folder("b", metadata="[" * 1000, métadonnées=lisbon) == "Lisbon", "the first that can be read"
    assert folder("c", metadata={"title": "Photos from 2009", "date": {}}) is None
    assert folder("d", metadata={"title": "Italy 2009", "date": {}}) == "Italy 2009"
    assert folder("e") is None
    years = (
        "Fotos de 2009",
        "Foto dal 2009",
        "Zdjęcia z roku 2009",
        "Фото за 2009 год",
        "2009 年の写真",
        "2009년의 사진",
    )
    for number, year in enumerate(years):
        assert folder(f"year {number}", metadata={"title": year, "date": {}}) is None, year
    for number, album in enumerate(("Fotos 2009", "2009", "Foto's uit Rome 2009", "写真")):
        assert folder(f"album {number}", metadata={"title": album, "date": {}}) == album
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "metadata.json").symlink_to(tmp_path / "a" / "Metadaten.json")
    fd = os.open(tmp_path / "f", os.O_PATH | os.O_DIRECTORY)
    try:
        assert read_album(fd) is None, "no link is followed"
    finally:
        os.close(fd)
