"""Names are safe for any computer, and an archive has each original as it is, or says which it has not."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies

from Src.Library.gallery.handing_out import Wanted, as_zip, name_of, safe_name
from Src.Library.original import Original
from Src.Shared.ledger_text import to_ledger

_DAY = "Originals/2024/2024-05-03"


def _put(storage: Path, name: str, content: bytes, taken: datetime = datetime(2024, 5, 3, 12, 30)) -> Wanted:
    path = storage / _DAY / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Wanted(Original("0" * 64, to_ledger(f"{_DAY}/{name}"), "JPEG"), taken)


def _unzipped(pieces: list[bytes]) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len({name.casefold() for name in names}) == len(names)
        return {name: archive.read(name) for name in names}


def test_an_archive_has_the_bytes_of_each(tmp_path: Path) -> None:
    large = os.urandom(3_000_000)
    wanted = [_put(tmp_path, "a.jpg", b"one"), _put(tmp_path, "b.mov", large), _put(tmp_path, "empty.jpg", b"")]
    pieces = list(as_zip(tmp_path, wanted))
    assert len(pieces) > 3, "it is sent while it is made"
    assert _unzipped(pieces) == {"a.jpg": b"one", "b.mov": large, "empty.jpg": b""}


def test_equal_names_stay_apart(tmp_path: Path) -> None:
    one = _put(tmp_path, "IMG_1.jpg", b"one")
    other = _put(tmp_path, "img_1.JPG", b"other")
    assert _unzipped(list(as_zip(tmp_path, [one, other, one]))) == {
        "IMG_1.jpg": b"one", "img_1 (2).JPG": b"other", "IMG_1 (3).jpg": b"one",
    }  # fmt: skip


def test_what_cannot_be_opened_is_named_in_the_archive(tmp_path: Path) -> None:
    there = _put(tmp_path, "there.jpg", b"there")
    gone = Wanted(Original("0" * 64, f"{_DAY}/gone.jpg", "JPEG"), datetime(2024, 5, 3))
    link = tmp_path / _DAY / "link.jpg"
    link.symlink_to(tmp_path / _DAY / "there.jpg")
    linked = Wanted(Original("0" * 64, f"{_DAY}/link.jpg", "JPEG"), datetime(2024, 5, 3))
    outside = Wanted(Original("0" * 64, "Originals/../../etc/passwd", "JPEG"), datetime(2024, 5, 3))
    found = _unzipped(list(as_zip(tmp_path, [gone, linked, outside, there])))
    assert found.keys() == {"there.jpg", "MISSING.txt"} and found["there.jpg"] == b"there"
    told = found["MISSING.txt"].decode()
    assert "gone.jpg" in told and "link.jpg" in told and "passwd" in told and "there.jpg:" not in told


def test_a_file_that_cannot_be_read_to_its_end_breaks_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [_put(tmp_path, "a.jpg", b"x" * 3_000_000)]
    stream = as_zip(tmp_path, wanted)
    next(stream)
    read = io.BufferedReader.read

    class Rotten(io.BufferedReader):
        """A disk that answers once."""

        asked = 0

        def read(self, size: int | None = -1, /) -> bytes:
            Rotten.asked += 1
            if Rotten.asked > 1:
                raise OSError(5, "Input/output error")
            return read(self, size)

    monkeypatch.setattr("builtins.open", lambda fd, mode: Rotten(io.FileIO(fd, mode)))
    pieces: list[bytes] = []
    with pytest.raises(OSError, match="Input/output"):
        pieces.extend(as_zip(tmp_path, wanted))
    with pytest.raises(zipfile.BadZipFile):
        _unzipped(pieces)


@pytest.mark.parametrize("taken", [datetime(1826, 2, 28, 1, 2, 3), datetime(2300, 12, 31)])
def test_a_time_that_no_archive_knows_is_the_nearest_one(tmp_path: Path, taken: datetime) -> None:
    pieces = list(as_zip(tmp_path, [_put(tmp_path, "a.jpg", b"one", taken)]))
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.infolist()[0].date_time[0] in (1980, 2107)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("IMG_1.jpg", "IMG_1.jpg"),
        ("Ü im Mai.jpeg", "Ü im Mai.jpeg"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\x?.jpg", "C__x_.jpg"),
        ("con.jpg", "_con.jpg"),
        ("a\u202egpj.exe", "a_gpj.exe"),
        (".hidden", "hidden"),
        ("..", "photo"),
        ("a. ", "a"),
        ("\udcff.jpg", "_.jpg"),
        ("x\n.jpg", "x_.jpg"),
        ("y" * 300 + ".jpg", "y" * 196 + ".jpg"),
    ],
)
def test_names_are_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(strategies.text(strategies.characters(), min_size=0, max_size=400))
def test_no_name_leads_elsewhere_or_is_refused(name: str) -> None:
    safe = safe_name(name)
    assert safe and len(safe.encode()) <= 255
    assert not set(safe) & set('<>:"/\\|?*')
    assert not safe.startswith(".") and not safe.endswith((".", " "))
    assert safe_name(safe) == safe


def test_the_name_is_the_one_that_it_is_kept_by() -> None:
    assert name_of(Original("0" * 64, f"{_DAY}/\\xff 1.jpg", "JPEG")) == "_ 1.jpg"
