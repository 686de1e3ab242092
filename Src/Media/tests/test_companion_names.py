"""Names of companions: whose each can be, and what it is called beside its original."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Media.companion_names import companion_kind, group, names_beside, rank, says_so_itself, stands_beside, stems

LONG = "é" * 100 + ".jpg"


@pytest.mark.parametrize(
    ("name", "photos", "whose"),
    [
        ("A.xmp", ["A.JPG", "A.CR2", "A.MOV"], "A.CR2"),
        ("A.JPG.xmp", ["A.JPG", "A.CR2"], "A.JPG"),
        ("A.AAE", ["A.MOV", "A.HEIC"], "A.HEIC"),
        ("A.aae", ["A.MOV"], "A.MOV"),
        ("IMG_O1234.AAE", ["IMG_1234.HEIC", "IMG_E1234.HEIC"], "IMG_1234.HEIC"),
        ("A.THM", ["A.JPG", "A.AVI"], "A.AVI"),
        ("A.THM", ["A.JPG"], None),
        ("A.WAV", ["A.NEF", "A.JPG", "A.MOV"], "A.JPG"),
        ("A.MP3", ["A.MOV"], None),
        ("A.SRT", ["A.JPG", "A.MP4"], "A.MP4"),
        ("GL010203.LRV", ["GX010203.MP4", "GX010204.MP4"], "GX010203.MP4"),
        ("GOPR0001.LRV", ["GOPR0001.MP4", "GOPR0001.JPG"], "GOPR0001.MP4"),
        ("DJI_1.LRF", ["DJI_1.MP4"], "DJI_1.MP4"),
        ("A.JPG.json", ["A.JPG", "A-edited.JPG"], "A.JPG"),
        ("A.xmp", ["AB.JPG", "A.AAE", "A"], "A"),
        ("A.THM", ["A.LRV"], None),
    ],
)
def test_whose_a_companion_is_by_its_name(name: str, photos: list[str], whose: str | None) -> None:
    kind = companion_kind(name)
    assert kind is not None
    ranks = {photo: found for photo in photos if (found := rank(kind, name, photo)) is not None}
    assert (min(ranks, key=lambda one: ranks[one]) if ranks else None) == whose
    assert all(any(photo.startswith(stem) for stem in stems(kind, name)) for photo in ranks)


def test_music_and_any_json_are_nobody_s_by_their_names_alone() -> None:
    assert companion_kind("A.jpg") is None
    assert not says_so_itself("audio") and not says_so_itself("takeout") and says_so_itself("aae")


@pytest.mark.parametrize(
    ("name", "original", "called"),
    [
        ("A.xmp", "A_2.jpg", ["A_2.xmp", "A_2.jpg.xmp", "A_2.jpg_1.xmp"]),
        ("A.jpg.XMP", "A_2.jpg", ["A_2.jpg.XMP", "A_2.jpg_1.XMP"]),
        ("GL010203.LRV", "GX010203_1.MP4", ["GX010203_1.LRV", "GX010203_1.MP4.LRV"]),
        (
            "A.jpg.sup(1).json",
            "A(1).jpg",
            ["A(1).jpg.sup.json", "A(1).jpg_1.sup.json"],
        ),
        ("A.jpg(1).json", "A(1).jpg", ["A(1).jpg.json"]),
        ("A.json", "A_2.jpg", ["A_2.jpg.json"]),
        ("A.AAE", "é" * 125 + ".jpg", ["é" * 125 + ".AAE", "é" * 124 + "_1.AAE"]),
    ],
)
def test_what_a_companion_is_called_beside_its_original(name: str, original: str, called: list[str]) -> None:
    assert list(islice(names_beside(name, original), len(called))) == called


TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=("Cs", "Cc")), min_size=1, max_size=70
)


@given(TEXT, TEXT, st.sampled_from((".xmp", ".AAE", ".thm", ".WAV", ".srt", ".LRV", ".json")))
def test_names_beside_are_many_fit_the_disk_and_lead_back(stem: str, original: str, ending: str) -> None:
    names = list(islice(names_beside(stem + ending, original + ".cr2"), 6))
    assert len(set(names)) == 6
    assert all(len(name.encode()) <= 255 for name in names)
    kind = companion_kind("x" + ending)
    assert kind is not None
    for name in names:
        if kind in ("xmp", "aae", "audio", "thm") and len(name.encode()) < 240:
            assert stands_beside(kind, name, original + ".cr2") is not None, name


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("IMG_O1234.AAE", "IMG_1234.HEIC"),
        ("GL010203.LRV", "GX010203.MP4"),
        ("A.jpg(2).json", "A(2).jpg"),
        ("A.jpg.json", "A-bearbeitet.jpg"),
        ("a.b.xmp", "a.b.jpg"),
        (f"{'x' * 44}.j.json", f"{'x' * 44}-ed.jpg"),
    ],
)
def test_what_may_belong_together_is_of_one_group(name: str, photo: str) -> None:
    kind = companion_kind(name)
    assert kind is not None and rank(kind, name, photo) is not None
    assert group(name) == group(photo) != group("B.jpg")


@pytest.mark.parametrize(
    ("note", "photo"),
    [
        ("A.jpg(1).json", "A(1).jpg"),
        ("A(1).jpg.json", "A(1).jpg"),
        ("A.jpg.s.json", "A-edited.jpg"),
        ("1.jpg.json", "1.jpg"),
    ],
)
def test_a_photo_s_name_goes_on_after_the_stem_as_the_ledger_is_asked(note: str, photo: str) -> None:
    (stem,) = stems("takeout", note)
    assert rank("takeout", note, photo) is not None
    assert photo.startswith(stem) and photo[len(stem)] in "(-."
