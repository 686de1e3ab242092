"""One read of a file: what it is, byte for byte, and whether it kept still."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from Src.Librarian.passage import StillChanging
from Src.Librarian.read import fingerprint as module
from Src.Librarian.read.fingerprint import Fingerprint
from Src.Shared.disk.files import FileState, reading, sha256_of
from Src.Testing.surroundings import WaitFor, open_below

SAMPLE = Path(__file__).parent / "samples" / "Canon_40D.jpg"


def fingerprint(path: str, expected: FileState) -> Fingerprint:
    with reading(path) as fd:
        return module.fingerprint(fd, expected)


def state_of(path: Path) -> FileState:
    return FileState.of(os.lstat(path))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(SAMPLE.read_bytes())
    return path


def test_a_photo_is_told_by_content_and_hash(photo: Path) -> None:
    found = fingerprint(str(photo), state_of(photo))
    assert found.kind is not None and found.kind.name == "JPEG"
    assert found.sha256 == hashlib.sha256(SAMPLE.read_bytes()).hexdigest()


def test_what_is_not_media_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with open(path, "wb") as file:
        file.write(b"plain text " * 100)
        file.truncate(1 << 40)  # a hole of 1 TiB: reading it would take until tomorrow
    assert fingerprint(str(path), state_of(path)) == module.Fingerprint("", None)


@pytest.mark.parametrize("change", ["grown", "shrunk", "touched", "replaced", "mode"])
def test_a_file_that_is_not_as_it_was_found_is_still_changing(photo: Path, change: str, wait_for: WaitFor) -> None:
    before = state_of(photo)

    def happen() -> bool:  # ctime ticks every few milliseconds only
        match change:
            case "grown":
                photo.write_bytes(photo.read_bytes() + b"more")
            case "shrunk":
                os.truncate(photo, 100)
            case "touched":
                os.utime(photo)
            case "mode":
                photo.chmod(0o640)
            case "replaced":
                other = photo.with_suffix(".new")
                other.write_bytes(SAMPLE.read_bytes())
                os.utime(other, ns=(before.mtime_ns, before.mtime_ns))
                other.replace(photo)
        return state_of(photo) != before

    wait_for(happen)
    with pytest.raises(StillChanging):
        fingerprint(str(photo), before)


def test_a_file_that_changes_while_it_is_read_is_still_changing(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(fd: int) -> str:
        with open(photo, "ab") as writer:
            writer.write(b"more")
        return sha256_of(fd)

    before = state_of(photo)
    monkeypatch.setattr(module, "sha256_of", slow)
    with pytest.raises(StillChanging):
        fingerprint(str(photo), before)


def test_a_file_that_another_process_has_open_for_writing_is_still_changing(photo: Path) -> None:
    before = state_of(photo)
    writer = subprocess.Popen(
        [sys.executable, "-c", "import sys; f=open(sys.argv[1], 'r+b'); print(1, flush=True); input()", str(photo)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(StillChanging):
            fingerprint(str(photo), before)
        writer.communicate(b"\n")
    assert fingerprint(str(photo), before).kind is not None


def test_a_read_error_is_told_and_leaves_no_descriptor_open(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int, buffers: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "readv", broken)
    with pytest.raises(OSError, match="Input/output error"):
        fingerprint(str(photo), state_of(photo))
    assert open_below(photo.parent) == []
