"""Names that are never content, and names that always are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Librarian.inbox_names import is_ignored, is_ignored_path

PARTS = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12)
IGNORED = [
    ".hidden.jpg",
    ".syncthing.IMG_1.jpg.tmp",
    "~syncthing~IMG_1.jpg.tmp",
    ".stfolder",
    ".stversions",
    ".stignore",
    ".DS_Store",
    "._IMG_1.jpg",
    "Thumbs.db",
    "desktop.ini",
    "@eaDir",
    "film.mp4.part",
    "photo.jpg.crdownload",
    "upload.tmp",
]
CONTENT = [
    "IMG_1.jpg",
    "IMG_1.sync-conflict-20231225-120000-ABCDEFG.jpg",
    "~photo.jpg",
    "part.jpg",
    "party",
    "tmp.jpg",
    "photo.tmp.jpg",
    "Thumbs.db.jpg",
    "desktop.ini.png",
    "a\n.tmp\n.jpg",
    "foto\udcff.jpg",
    "no ending",
]


@pytest.mark.parametrize("name", IGNORED)
def test_what_systems_and_transfers_leave_is_ignored_in_any_case(name: str) -> None:
    assert is_ignored(name) and is_ignored(name.upper()) and is_ignored(name.lower())


@pytest.mark.parametrize("name", CONTENT)
def test_content_is_not_ignored_however_odd_its_name(name: str) -> None:
    assert not is_ignored(name)


def test_a_newline_does_not_end_the_name_that_is_looked_at() -> None:
    assert is_ignored("photo\n.tmp") and is_ignored(".a\nb.jpg") and not is_ignored("photo.tmp\n")


@given(st.lists(PARTS, min_size=1, max_size=5))
def test_a_path_is_ignored_exactly_where_one_of_its_parts_is(parts: list[str]) -> None:
    assert is_ignored_path("/".join(parts)) == any(is_ignored(part) for part in parts)


@given(PARTS.filter(lambda name: not name.startswith((".", "~", "@"))))
def test_a_name_that_ends_like_a_photo_is_never_ignored(name: str) -> None:
    assert not is_ignored(name + ".jpg")
