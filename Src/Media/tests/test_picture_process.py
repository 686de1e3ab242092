"""The process that makes pictures: confined, and no original pays for the one before it."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from Src.Media.pictures import process, worker
from Src.Media.pictures.process import NoPicture, PictureProcess
from Src.Media.tests import hostile_picture_worker, patient_picture_worker, wasteful_picture_worker
from Src.Shared.confinement import parts_here
from Src.Testing.patience import PATIENCE
from Src.Testing.targets import look, succeeded, targets

pytestmark = pytest.mark.slow


@pytest.fixture
def pictures() -> Iterator[PictureProcess]:
    pictures = PictureProcess(PATIENCE)
    yield pictures
    pictures.close()


def make(pictures: PictureProcess, path: Path, kind: str = "JPEG") -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return pictures.make(fd, kind, 400, 80)
    finally:
        os.close(fd)


def photo(path: Path, side: int = 600) -> Path:
    Image.new("RGB", (side, side), "red").save(path, "JPEG")
    return path


@pytest.mark.skipif(not parts_here().files or not parts_here().refused_calls, reason="this kernel has no Landlock")
def test_a_process_that_is_taken_over_gets_nowhere(
    pictures: PictureProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MODULE", hostile_picture_worker.__name__)
    monkeypatch.setenv("DASHBOARD_PASSWORD", "secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@host/name")
    vault, other = tmp_path / "Storage", tmp_path / "other"
    vault.mkdir()
    other.mkdir()
    with targets(photo(vault / "a.jpg"), vault, other) as around:
        (tmp_path / "orders.json").write_text(json.dumps(around.orders))
        look(around)
        said = json.loads(make(pictures, tmp_path / "orders.json"))
        assert succeeded(said["acts"]) == set(), "it needs no name in the vault: the original is open already"
        assert around.harmed() == []
    assert said["secrets"] == []
    assert said["open"] <= 4, "its socket, the original and the picture"


def test_an_original_is_not_blamed_for_what_those_before_it_left(
    pictures: PictureProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MODULE", wasteful_picture_worker.__name__)
    greedy, plain = photo(tmp_path / "greedy.jpg", wasteful_picture_worker.GREEDY), photo(tmp_path / "plain.jpg")
    assert make(pictures, greedy)
    assert make(pictures, plain).startswith(b"\xff\xd8")


def test_who_fails_alone_in_a_fresh_process_is_blamed(pictures: PictureProcess, tmp_path: Path) -> None:
    assert make(pictures, photo(tmp_path / "a.jpg"))
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0nothing")
    with pytest.raises(NoPicture, match="cannot be read") as caught:
        make(pictures, tmp_path / "b.jpg")
    assert caught.value.lasting


def test_a_process_that_somebody_kills_says_nothing_lasting_of_the_original(
    pictures: PictureProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel does where memory is short."""
    path = photo(tmp_path / "a.jpg")
    start = PictureProcess._start

    def killed(self: PictureProcess) -> None:
        start(self)
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)

    monkeypatch.setattr(PictureProcess, "_start", killed)
    with pytest.raises(NoPicture) as caught:
        make(pictures, path)
    assert not caught.value.lasting


@pytest.mark.parametrize(("used", "lasting"), [((0.0, 0.1), False), ((1.0, 1.4), True)])
def test_a_machine_that_stands_still_says_nothing_lasting_of_the_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: tuple[float, float], lasting: bool
) -> None:
    """Seconds of a processor before and after half a second. What is lasting is remembered for a day."""
    path = photo(tmp_path / "a.jpg")
    start, seconds = PictureProcess._start, iter(used)

    def stopped(self: PictureProcess) -> None:
        start(self)
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    monkeypatch.setattr(PictureProcess, "_start", stopped)
    monkeypatch.setattr(PictureProcess, "_cpu_seconds", lambda *_, **__: next(seconds))
    pictures = PictureProcess(0.5)
    with pytest.raises(NoPicture, match="takes longer than") as caught:
        make(pictures, path)
    pictures.close()
    assert caught.value.lasting is lasting


def test_what_a_process_has_used_is_known(pictures: PictureProcess, tmp_path: Path) -> None:
    assert make(pictures, photo(tmp_path / "a.jpg"))
    assert 0 < pictures._cpu_seconds() <= pictures._cpu_seconds(with_children=True)


def test_large_photos_one_after_another(
    pictures: PictureProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 megapixels of HEIC after an iPhone's in one process; a phone's 200 megapixels of JPEG."""
    monkeypatch.setattr(process, "MODULE", patient_picture_worker.__name__)
    for name, size in (("iphone.heic", (4032, 3024)), ("large.heic", (8160, 6120))):
        heif = pillow_heif.from_pillow(Image.new("RGB", size, "green"))
        heif.save(tmp_path / name, quality=10)
    Image.new("RGB", (16_320, 12_240), "blue").save(tmp_path / "huge.jpg", quality=20)
    for name, kind in (("iphone.heic", "HEIC"), ("large.heic", "HEIC"), ("iphone.heic", "HEIC"), ("huge.jpg", "JPEG")):
        assert max(Image.open(BytesIO(make(pictures, tmp_path / name, kind))).size) == 400, name


def test_a_small_machine_keeps_half_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4 * 2**30 // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert worker._most_memory() == 2 * 2**30
    sizes["SC_PHYS_PAGES"] = 2**30 // 4096
    assert worker._most_memory() == worker.LEAST_MEMORY


@pytest.mark.parametrize(
    ("trouble", "lasting"),
    [
        (OSError(errno.EIO, os.strerror(errno.EIO)), False),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), False),
        (OSError("image file is truncated"), True),
        (ValueError(), True),
    ],
)
def test_a_disk_that_goes_away_says_nothing_lasting_of_the_original(trouble: Exception, lasting: bool) -> None:
    class File(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise trouble

    request = {"kind": "JPEG", "side": 400, "quality": 80, "trust": False}
    assert worker._make(request, File(), BytesIO())["lasting"] is lasting
