"""The source of an import goes only while it is what was filed, and nobody can be writing to it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from Src.Librarian.clear import moving
from Src.Librarian.clear.clearing import Filed
from Src.Librarian.passage import IncomingFile
from Src.Library.inbox import walk_files
from Src.Library.vault import Vault
from Src.Shared.disk.beneath import rename_unless_taken_at
from Src.Shared.disk.files import FileState
from Src.Shared.disk.top import Top
from Src.Testing.surroundings import WaitFor, somebody_waits_for_our_lease

DAY = "Originals/2023/2023-12-25"
PHOTO = b"a photo"


class Bench:
    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        self.vault = Vault(folder / "Storage")
        self.vault.create()
        self.kept = self.vault.storage / DAY / "a.jpg"
        self.kept.parent.mkdir(parents=True)
        self.kept.write_bytes(PHOTO)

    def put(self, name: str = "a.jpg") -> Filed:
        path = self.source / name
        path.write_bytes(PHOTO)
        file = IncomingFile(
            str(path), str(path), FileState.of(os.lstat(path)), "import", Top(str(self.source.resolve()), None)
        )
        return Filed(file, f"{DAY}/a.jpg", hashlib.sha256(PHOTO).hexdigest())

    @property
    def left(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.source.iterdir() if not path.is_symlink()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("name", ["a.jpg", "x" * 251 + ".jpg", "日" * 85, "foto\udcff.jpg"])
def test_a_source_goes_at_once_and_leaves_nothing_behind(bench: Bench, name: str) -> None:
    assert moving.remove_sources([bench.put(name)], bench.vault) == ["gone"]
    assert os.listdir(bench.source) == [] and not (bench.vault.state / "leaving").exists()


def test_a_source_that_is_being_written_to_stays(bench: Bench) -> None:
    one = bench.put()
    with open(one.file.path, "r+b"):
        assert moving.remove_sources([one], bench.vault) == ["not_now"]
    assert bench.left == {"a.jpg": PHOTO}


def test_a_source_whose_original_is_not_there_stays(bench: Bench) -> None:
    bench.kept.unlink()
    assert moving.remove_sources([bench.put()], bench.vault) == ["not_now"]
    assert bench.left == {"a.jpg": PHOTO}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")
def test_another_users_source_stays_for_nobody_can_say_whether_it_is_written_to(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    with unprivileged():
        bench = Bench(open_folder)
    one = bench.put()
    os.chown(one.file.path, 10001, 10001)
    os.chmod(one.file.path, 0o644)
    one = one._replace(file=one.file._replace(state=FileState.of(os.lstat(one.file.path))))
    with open(one.file.path, "ab"), unprivileged():
        assert moving.remove_sources([one], bench.vault) == ["unsure"]
    assert bench.left == {"a.jpg": PHOTO}


def test_what_is_opened_in_the_moment_of_its_removal_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    one, rename = bench.put(), rename_unless_taken_at

    def write() -> None:
        with open(one.file.path, "ab") as file:
            file.write(b" and more")

    writer = threading.Thread(target=write)

    def slow(*args: Any) -> None:
        if not writer.is_alive():
            writer.start()
            wait_for(somebody_waits_for_our_lease)
        rename(*args)

    monkeypatch.setattr(moving, "rename_unless_taken_at", slow)
    assert moving.remove_sources([one], bench.vault) == ["not_now"]
    writer.join()
    assert bench.left == {"a.jpg": b"a photo and more"}


def test_what_took_its_name_in_the_last_moment_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    one, rename = bench.put(), rename_unless_taken_at
    other = bench.source.parent / "other"
    other.write_bytes(b"another photo")

    def late(*args: Any) -> None:
        if other.exists():
            other.rename(one.file.path)
        rename(*args)

    monkeypatch.setattr(moving, "rename_unless_taken_at", late)
    assert moving.remove_sources([one], bench.vault) == ["not_now"]
    assert bench.left == {"a.jpg": b"another photo"}


def test_what_a_kill_has_left_under_a_hidden_name_is_found_by_the_next_import(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench.put()

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            moving.remove_sources([one], bench.vault)
    [(path, state)] = walk_files(one.file.top)
    assert os.path.basename(path).startswith(".factory-moving-") and path.endswith("-a.jpg")
    again = one._replace(file=one.file._replace(path=path, original_path=path, state=state))
    assert moving.remove_sources([again], bench.vault) == ["gone"]
    assert bench.left == {}
