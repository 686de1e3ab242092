"""A file that is too large for the disk waits for room, and nobody waits for it. A real small disk that grows."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from Src.Librarian import holding
from Src.Librarian.passage import IncomingFile
from Src.Librarian.place import room
from Src.Librarian.place.copying import copy
from Src.Librarian.place.room import NoRoom, data_in, free_on, room_for
from Src.Librarian.tests.test_service import CANON, Factory, factory, photo
from Src.Shared.disk.files import FileState
from Src.Testing.promise import Source, sha256_of_file
from Src.Testing.surroundings import SmallFilesystem

__all__ = ["factory"]

MEGABYTE = 2**20


def test_small_files_are_not_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_on", lambda _on: 0)
    with room_for(4096, tmp_path):
        pass
    with pytest.raises(NoRoom), room_for(room.WORTH_ASKING, tmp_path):
        pass


def test_on_a_small_disk_less_is_large(small_filesystem: SmallFilesystem) -> None:
    small = small_filesystem("tmpfs", 8)
    too_large = free_on(small) + 1
    assert too_large < room.WORTH_ASKING
    with pytest.raises(NoRoom, match="MB needed"), room_for(too_large, small):
        pass


@pytest.mark.slow
def test_on_a_small_disk_what_fits_is_filed_and_the_rest_waits(
    factory: Factory, small_filesystem: SmallFilesystem
) -> None:
    factory.settings = replace(factory.settings, storage=small_filesystem("tmpfs", 2))
    factory.drop("huge.jpg", photo(99) + b"x" * 3 * MEGABYTE)
    for number in range(5):
        factory.drop(f"{number}.jpg", photo(number))
    tally = factory.ingest()
    assert (tally.new, tally.failed) == (5, 1)
    (row,) = factory.sql("SELECT original_path, last_error FROM inbox_files")
    assert row["original_path"] == "huge.jpg" and "too little room" in row["last_error"]
    assert (factory.settings.inbox / "huge.jpg").exists()


def test_two_large_copies_do_not_count_on_the_same_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = free_on(tmp_path)
    monkeypatch.setattr(room, "free_on", lambda _on: free)  # others write to this disk, and remove what they wrote
    half = free // 2 + MEGABYTE
    if half < room.WORTH_ASKING:
        pytest.skip("this disk is full")
    with room_for(half, tmp_path), pytest.raises(NoRoom, match="too little room") as caught, room_for(half, tmp_path):
        pass
    assert caught.value.needed == half
    with room_for(half, tmp_path):  # given back
        pass


def test_holes_take_no_room(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with open(path, "wb+") as file:
        file.write(b"x" * MEGABYTE)
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"y" * MEGABYTE)
        file.flush()
        assert 2 * MEGABYTE <= data_in(file.fileno(), 1 << 40) <= 4 * MEGABYTE
        file.truncate(0)
        assert data_in(file.fileno(), 0) == 0


def test_a_copy_has_the_holes_of_its_original(tmp_path: Path, other_filesystem: Path) -> None:
    source = tmp_path / "sparse.jpg"
    with open(source, "wb") as file:
        file.write(CANON)
        file.seek(50 * MEGABYTE)
        file.write(b"end")
        file.truncate(100 * MEGABYTE)
    incoming = IncomingFile(str(source), source.name, FileState.of(os.lstat(source)))
    digest = sha256_of_file(source)
    assert copy(incoming, digest, other_filesystem / "copy", threading.Event()) is None
    assert sha256_of_file(other_filesystem / "copy") == digest
    assert (other_filesystem / "copy").stat().st_blocks * 512 < 10 * MEGABYTE


@pytest.mark.slow
def test_a_file_larger_than_the_disk_waits_for_room_and_the_others_are_filed(
    factory: Factory, small_filesystem: SmallFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "ROOM_DELAY", 0.5)
    storage = small_filesystem("tmpfs", 96)
    factory.settings = replace(factory.settings, storage=storage)
    put = factory.settings.inbox / "huge.jpg"
    with factory.serving() as serving:
        factory.wait_for(serving.is_watching)
        huge = factory.settings.data / "huge"
        huge.write_bytes(CANON.ljust(MEGABYTE, b"x") + b"x" * 127 * MEGABYTE)
        factory.sources.append(Source("huge.jpg", sha256_of_file(huge)))
        huge.rename(put)
        factory.wait_for(lambda: factory.sql("SELECT 1 FROM inbox_files WHERE state = 'failing'"))
        for number in range(10):
            factory.drop(f"{number}.jpg", photo(number))
        factory.wait_for(lambda: len(factory.sql("SELECT 1 FROM media_assets")) == 10)
        (row,) = factory.sql("SELECT state, attempts, last_error FROM inbox_files")
        assert row["state"] == "failing" and "too little room" in row["last_error"]
        assert serving.status == "OK", "the vault is well"
        failed = [fate for fate in factory.fates() if fate == "failed"]
        assert len(failed) == 1, "it is asked for room again and again, and neither read nor reported each time"
        assert put.exists()
        subprocess.run(["mount", "-o", "remount,size=400m", str(storage)], check=True)
        factory.wait_for(lambda: len(factory.sql("SELECT 1 FROM media_assets")) == 11)
        factory.wait_for(lambda: not put.exists())
    (row,) = factory.sql("SELECT file_hash, file_size, final_path FROM media_assets WHERE file_size > 100000000")
    assert sha256_of_file(storage / row["final_path"]) == row["file_hash"]
    factory.check()
