"""What a walk finds: files, folders, and what nobody can file."""

from __future__ import annotations

import os
import socket
import stat
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from Src.Library import tree
from Src.Library.inbox import walk_files
from Src.Library.tree import File, Folder, Odd, walk
from Src.Shared.disk.beneath import open_folder as open_top


def walked(top: Path, start: str = "") -> list[File | Folder | Odd]:
    root = open_top(top)
    try:
        return list(walk(root, start, passed_over=lambda name, *_: name.startswith(".")))
    finally:
        os.close(root)


def odd(top: Path) -> dict[str, str]:
    return {one.path: one.kind for one in walked(top) if isinstance(one, Odd)}


def test_each_thing_is_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "photo.jpg").write_bytes(b"x")
    (tmp_path / "a" / ".hidden").mkdir()
    (tmp_path / "a" / "link").symlink_to("/etc")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo.jpg")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        found = walked(tmp_path)
    assert [one.path for one in found if isinstance(one, File)] == ["a/photo.jpg"]
    assert [one.path for one in found if isinstance(one, Folder)] == ["a", "a/b"]
    assert odd(tmp_path) == {"a/link": "link", "dangling.jpg": "link", "fifo.jpg": "special", "socket": "special"}
    (file,) = (one for one in found if isinstance(one, File))
    assert file.state.inode == os.lstat(tmp_path / "a" / "photo.jpg").st_ino


def test_a_part_of_it(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/b/2.jpg", "c/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [one.path for one in walked(tmp_path, "a")] == ["a", "a/1.jpg", "a/b", "a/b/2.jpg"]
    assert walked(tmp_path, "gone") == walked(tmp_path, "c/3.jpg") == []


def test_a_link_that_takes_a_folder_s_place_after_its_name_was_read_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "top" / "a").mkdir(parents=True)
    (tmp_path / "top" / "0.jpg").touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").touch()
    root = open_top(tmp_path / "top")
    try:
        found: Iterator[File | Folder | Odd] = walk(root, passed_over=lambda *_: False)
        assert next(found).path == "0.jpg"
        (tmp_path / "top" / "a").rmdir()
        (tmp_path / "top" / "a").symlink_to(tmp_path / "outside")
        assert list(found) == []
    finally:
        os.close(root)


def test_a_tree_deeper_than_any_path_may_be_long(tmp_path: Path) -> None:
    fd = open_top(tmp_path)
    for level in range(60):
        os.mkdir(name := f"{level:02d}{'x' * 200}", dir_fd=fd)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("photo.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)
    (file,) = (one for one in walked(tmp_path) if not isinstance(one, Folder))
    assert isinstance(file, File) and len(file.path) > 12_000 and file.path.endswith("/photo.jpg")


@pytest.mark.parametrize(("mode", "says"), [(0o000, "cannot be read"), (0o444, "its files cannot be looked at")])
def test_a_folder_that_cannot_be_read_or_searched_is_told_once(
    mode: int, says: str, open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    with unprivileged():
        (open_folder / "closed" / "inner").mkdir(parents=True)
        for name in ("closed/a.jpg", "closed/b.jpg", "open.jpg"):
            (open_folder / name).touch()
        (open_folder / "closed").chmod(mode)
        found = walked(open_folder)
        (one,) = (one for one in found if isinstance(one, Odd))
        assert (one.path, one.kind) == ("closed", "unreadable") and says in one.reason
        assert one.state is not None and stat.S_ISDIR(os.lstat(open_folder / "closed").st_mode)
        assert [one.path for one in found if isinstance(one, File)] == ["open.jpg"]


def crowd(top: Path, count: int) -> list[str]:
    """Names of files in one folder, sorted; long ones."""
    names = sorted(f"{number * 7919 % count:05d}{'x' * 200}.jpg" for number in range(count))
    for name in names:
        os.close(os.open(top / name, os.O_CREAT | os.O_WRONLY))
    return names


def test_of_a_large_folder_only_a_part_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_AT_ONCE", 200, raising=False)
    names = crowd(tmp_path, 3000)
    root = open_top(tmp_path)
    tracemalloc.start()
    try:
        for name, found in zip(names, walk(root, passed_over=lambda *_: False), strict=True):
            assert found.path == name
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        os.close(root)
    assert most / 3000 < 400, "bytes for each"


@pytest.mark.parametrize("at_once", [1, 2, 63, 64, 65, 199, 200, 201])
def test_the_parts_of_a_large_folder_are_all_of_it_in_order(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_AT_ONCE", at_once)
    monkeypatch.setattr(tree, "_EACH", 3)
    for name in (f"{number * 77 % 200:03d}" for number in range(0, 200, 2)):
        (tmp_path / f"{name}.jpg").touch()
        (tmp_path / f"{name} \udcff" / "in it").mkdir(parents=True)
    found = [one.path for one in walked(tmp_path)]
    files = [path for path in found if path.endswith(".jpg")]
    assert files == sorted(files) and len(files) == 100
    folders = found[100:]
    assert folders == sorted(folders) and len(folders) == 200


def test_what_comes_and_goes_between_two_parts_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_AT_ONCE", 100)
    names = crowd(tmp_path, 500)
    root = open_top(tmp_path)
    try:
        found = walk(root, passed_over=lambda *_: False)
        first = [next(found).path for _ in range(30)]
        (tmp_path / "0 new.jpg").touch()
        (tmp_path / names[-1]).unlink()
        assert [*first, *(one.path for one in found)] == names[:-1]
    finally:
        os.close(root)


def test_a_large_folder_that_cannot_be_read_to_its_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_AT_ONCE", 100)
    names = crowd(tmp_path, 500)
    root = open_top(tmp_path)
    try:
        found = walk(root, passed_over=lambda *_: False)
        first = next(found).path

        def refused(_: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "scandir", refused)
        *files, last = found
    finally:
        os.close(root)
    assert [first, *(one.path for one in files)] == names[: 1 + len(files)] and len(files) < 499
    assert isinstance(last, Odd) and (last.kind, last.reason) == ("unreadable", "cannot be read: Input/output error")


def test_a_large_folder_with_a_mark_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_AT_ONCE", 100)
    crowd(tmp_path, 500)
    (tmp_path / ".mark").touch()
    assert list(walk_files(str(tmp_path), skip_marked=".mark")) == []
    assert len(list(walk_files(str(tmp_path), skip_marked=".other mark"))) == 500
