"""Fixtures of the Library's tests: a vault with whatever is put into it, and pictures of that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from Src.Library.original import Original
from Src.Library.pictures import Thumbnails
from Src.Media.pictures.process import PictureProcess
from Src.Testing.patience import PATIENCE
from Src.Testing.plain_exiftool import plain_exiftool as plain_exiftool

PutIntoVault = Callable[..., Original]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A storage root with an empty vault."""
    (tmp_path / "Storage" / "Originals").mkdir(parents=True)
    return tmp_path / "Storage"


@pytest.fixture
def put(storage: Path) -> PutIntoVault:
    """Puts a content into the vault, as a kind."""

    def put(content: bytes, kind: str, name: str = "a photo") -> Original:
        path = storage / "Originals" / "2024" / "2024-01-01" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return Original(hashlib.sha256(content).hexdigest(), f"Originals/2024/2024-01-01/{name}", kind)

    return put


@pytest.fixture(scope="module")
def picture_process() -> Iterator[PictureProcess]:
    """One for many tests, as it makes one picture after another: its start costs more than the pictures."""
    process = PictureProcess(PATIENCE)
    yield process
    process.close()


@pytest.fixture
def thumbnails(storage: Path, monkeypatch: pytest.MonkeyPatch, picture_process: PictureProcess) -> Iterator[Thumbnails]:
    """Of that vault, by a process that may have made other pictures before.

    It counts as fresh: what is the first to fail in it is not tried once more in a new one. (That is a test of
    `Src/Media/tests/test_picture_process.py`.)
    """
    picture_process._asked = False
    monkeypatch.setattr("Src.Library.pictures.PictureProcess", lambda **_: picture_process)
    made = Thumbnails(storage, threads=1)
    yield made
    made._pool.shutdown(cancel_futures=True)  # the process is the next test's
    made._all_processes.clear()
    made.close()


@pytest.fixture
def fresh_thumbnails(storage: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Thumbnails]:
    """By a process of their own, which may end by what it is given."""
    monkeypatch.setattr("Src.Library.pictures.PictureProcess", partial(PictureProcess, PATIENCE))
    made = Thumbnails(storage, threads=1)
    yield made
    made.close()
