"""Photos and films that end too early, cut at any place, and whole ones that only look odd."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from Src.Media.structure import structure_of

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lzw": {"compression": "tiff_lzw"},
    "jpeg": {"compression": "jpeg"},
    "big": {"big_tiff": True},
}


def noise(path: Path, **how: Any) -> bytes:
    Image.effect_noise((300, 200), 80).convert("RGB").save(path, **how)
    return path.read_bytes()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["TIFF", "DNG", "NEF"])
def test_a_tiff_that_is_cut_anywhere_is_damaged_and_padding_is_no_damage(tmp_path: Path, way: str, kind: str) -> None:
    path = tmp_path / "photo.tif"
    whole = noise(path, **WAYS[way])
    assert structure_of(str(path), kind).damage is None
    path.write_bytes(whole + bytes(5000))
    assert structure_of(str(path), kind).damage is None
    for end in (len(whole) // 10, len(whole) // 2, len(whole) - 8000):
        path.write_bytes(whole[:end])
        assert structure_of(str(path), kind).damage is not None, end


def test_the_picture_of_a_sub_directory_counts_too(tmp_path: Path) -> None:
    path = tmp_path / "raw.nef"
    path.write_bytes(b"II*\0" + (8).to_bytes(4, "little") + _directory((330, 4, 1, 26)) + _directory(
        (273, 4, 1, 100_000), (279, 4, 1, 5_000)
    ))  # fmt: skip
    assert structure_of(str(path), "NEF").damage is not None
    path.write_bytes(path.read_bytes().ljust(105_000, b"\1"))
    assert structure_of(str(path), "NEF").damage is None


def _directory(*entries: tuple[int, int, int, int]) -> bytes:
    """Of a little-endian TIFF: tag, format, count, value; none follows."""
    rows = b"".join(
        tag.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + count.to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, kind, count, value in entries
    )
    return len(entries).to_bytes(2, "little") + rows + bytes(4)


@pytest.mark.parametrize("hostile", [b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", bytes(64)])
def test_what_is_no_whole_head_is_no_damage_of_the_picture(tmp_path: Path, hostile: bytes) -> None:
    path = tmp_path / "photo.tif"
    path.write_bytes(hostile)
    assert structure_of(str(path), "TIFF").damage is None


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_bitmap_that_is_cut_is_damaged(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "photo.bmp"
    Image.effect_noise((301, 200), 80).convert(mode).save(path)
    whole = path.read_bytes()
    assert structure_of(str(path), "BMP").damage is None
    path.write_bytes(whole + bytes(5000))
    assert structure_of(str(path), "BMP").damage is None
    for end in (len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:end])
        assert structure_of(str(path), "BMP").damage is not None


def test_a_bitmap_whose_last_row_is_not_padded_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "photo.bmp"
    Image.effect_noise((301, 200), 80).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:-1])  # 903 bytes of a row, and one to fill up
    with Image.open(path) as photo:
        photo.load()
    assert structure_of(str(path), "BMP").damage is None


def test_a_tiff_that_states_more_bytes_than_its_picture_has_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    whole = _plain_tiff(8_000_000)
    path.write_bytes(whole)
    with Image.open(path) as photo:
        photo.load()
    assert structure_of(str(path), "TIFF").damage is None
    path.write_bytes(whole[:-8_000])
    assert structure_of(str(path), "TIFF").damage is not None


def _plain_tiff(stated: int) -> bytes:
    """1,000 x 1,000 pixels of grey, without compression, in one strip."""
    head = _directory(
        (256, 4, 1, 1000), (257, 4, 1, 1000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, 1000), (279, 4, 1, stated),
    )  # fmt: skip
    return (b"II*\0" + (8).to_bytes(4, "little") + head).ljust(200, b"\0") + bytes(range(250)) * 4000


def test_a_tag_that_stands_thousands_of_times_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.tif"
    entries = [(273, 4, 100_000, 0)] * 500
    path.write_bytes((b"II*\0" + (8).to_bytes(4, "little") + _directory(*entries)).ljust(500_000, b"\0"))
    reads: list[int] = []
    pread = os.pread

    def counted(fd: int, size: int, at: int) -> bytes:
        reads.append(size)
        return pread(fd, size, at)

    monkeypatch.setattr(os, "pread", counted)
    structure_of(str(path), "TIFF")
    assert sum(reads) < 1_000_000


@pytest.mark.needs_programs
def test_an_ogg_film_that_ends_within_a_page_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "film.ogv"
    source = ["-f", "lavfi", "-i", "testsrc2=s=128x96:d=1:r=25"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-c:v", "libtheora", path], check=True)
    whole = path.read_bytes()
    assert structure_of(str(path), "OGV").damage is None
    last = whole.rfind(b"OggS")
    for end in (last - 1, last + 5, last + 27, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert structure_of(str(path), "OGV").damage is not None, end
    path.write_bytes(whole[:last])  # a recording that ended without a last page
    assert structure_of(str(path), "OGV").damage is None
