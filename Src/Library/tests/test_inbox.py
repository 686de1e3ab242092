"""Names that are never content, and names that always are; and the walk through what is left."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Library import inbox
from Src.Library.inbox import is_ignored, is_ignored_folder, is_ignored_path, walk_files

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
    "film.mp4.part",
    "photo.jpg.crdownload",
    "upload.tmp",
    "IMG_2.jpg.filepart",
    "IMG_2.jpg.partial",
    "IMG_2.jpg.download",
    "IMG_2.jpg.opdownload",
    "IMG_2.jpg.aria2",
    "IMG_2.jpg.!sync",
    "IMG_2.jpg.fstemp",
    "IMG_2.jpg.ocTransferId123.part",
    "~$notes.jpg",
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
def test_a_path_is_ignored_where_its_name_is_or_one_of_its_folders(parts: list[str]) -> None:
    *folders, name = parts
    assert is_ignored_path("/".join(parts)) == (is_ignored(name) or any(is_ignored_folder(one) for one in folders))


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "$RECYCLE.BIN", ".stfolder", ".Trash-1000", "lost+found"])
def test_folders_that_systems_keep_are_ignored_in_any_case(name: str) -> None:
    assert is_ignored_folder(name) and is_ignored_folder(name.lower()) and is_ignored_folder(name.upper())


@pytest.mark.parametrize("name", ["holiday.part", "scans.tmp", "Thumbs.db", "old.download", "2023"])
def test_patterns_of_files_skip_no_folder(name: str) -> None:
    assert not is_ignored_folder(name)


def test_of_apple_s_library_what_it_made_is_ignored() -> None:
    assert is_ignored_path("Family.photoslibrary/resources/derivatives/a.jpg")
    assert is_ignored_path("Family.photoslibrary/database/a.jpg")
    assert not is_ignored_path("Family.photoslibrary/originals/0/a.jpg")
    assert not is_ignored_path("Family.photoslibrary/Masters/2012/a.jpg")
    assert not is_ignored_path("Work/resources/a.jpg")


@given(PARTS.filter(lambda name: not name.startswith((".", "~", "@"))))
def test_a_name_that_ends_like_a_photo_is_never_ignored(name: str) -> None:
    assert not is_ignored(name + ".jpg")


def test_a_walk_yields_all_regular_files_but_what_is_ignored_or_to_be_skipped(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/c.jpg", "a/.hidden/d.jpg", "a/Thumbs.db", "storage/e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    storage = os.stat(tmp_path / "storage")
    found = {
        os.path.relpath(path, tmp_path) for path, _ in walk_files(str(tmp_path), skip=(storage.st_dev, storage.st_ino))
    }
    assert found == {"b.jpg", "a/c.jpg"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount filesystems")
def test_a_walk_skips_a_storage_that_is_a_mount_of_its_own(
    tmp_path: Path, small_filesystem: Callable[[str, int], Path]
) -> None:
    storage = small_filesystem("tmpfs", 1)
    (storage / "original.jpg").write_bytes(b"x")
    identity = os.stat(storage)
    (storage.parent / "beside.jpg").write_bytes(b"x")
    found = [path for path, _ in walk_files(str(storage.parent), skip=(identity.st_dev, identity.st_ino))]
    assert str(storage.parent / "beside.jpg") in found
    assert not any("original.jpg" in path for path in found)


@pytest.mark.parametrize("mode", [0o000, 0o444], ids=oct)
def test_a_walk_passes_by_what_cannot_be_read_and_says_so(
    mode: int,
    open_folder: Path,
    unprivileged: Callable[[], AbstractContextManager[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with unprivileged():
        for name in ("closed/a.jpg", "open/b.jpg"):
            (open_folder / name).parent.mkdir()
            (open_folder / name).write_bytes(b"x")
        (open_folder / "closed").chmod(mode)
        assert [os.path.basename(path) for path, _ in walk_files(str(open_folder))] == ["b.jpg"]
    assert "closed" in caplog.text and inbox.logger.name in {record.name for record in caplog.records}
