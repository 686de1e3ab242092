"""exiv2 as a second witness: what the fast readers say of EXIF, a program that shares nothing with ExifTool says too.

It is called as a program, and only by tests (Debian: apt install exiv2).
"""

from __future__ import annotations

import io
import math
import random
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.fast_readers import FAST_READERS, read_fast
from Src.Media.tests.jpeg_made import jpeg, segment
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.both_readers import fast, kind_at
from Src.Testing.examples import examples
from Src.Testing.tiff_files import RATIONAL, SHORT, Value, exif, numbers, text

needs_exiv2 = pytest.mark.skipif(shutil.which("exiv2") is None, reason="needs exiv2")

SAMPLES = (PROJECT_ROOT / "Src/Librarian/tests/samples", PROJECT_ROOT / "Src/Media/tests/samples")
# Raw photos whose camera and dates stand elsewhere than in a first directory exiv2 reads otherwise, or not at all.
_KINDS = frozenset({"JPEG", "TIFF", "WEBP", "DNG", "NEF", "CR2", "ARW", "PEF"})
_AT_ONCE = 50  # files for one call

_TEXTS = {
    "EXIF:Make": "Exif.Image.Make",
    "EXIF:Model": "Exif.Image.Model",
    "EXIF:Orientation": "Exif.Image.Orientation",
    "EXIF:DateTimeOriginal": "Exif.Photo.DateTimeOriginal",
    "EXIF:CreateDate": "Exif.Photo.DateTimeDigitized",
    "EXIF:ModifyDate": "Exif.Image.DateTime",
    "EXIF:SubSecTimeOriginal": "Exif.Photo.SubSecTimeOriginal",
    "EXIF:OffsetTimeOriginal": "Exif.Photo.OffsetTimeOriginal",
}
# The other ones a fast reader leaves out where these say it all.
_ALWAYS = ("EXIF:Make", "EXIF:Model", "EXIF:DateTimeOriginal", "EXIF:Orientation")

Witness = Mapping[str, str]


def witnesses(paths: Sequence[Path]) -> dict[Path, dict[str, str]]:
    """What exiv2 says of each file, by its names."""
    said: dict[Path, dict[str, str]] = {path: {} for path in paths}
    names = {str(path): path for path in paths}
    # (with one file it leaves out the name)
    command = ["exiv2", "-q", "-PEkv", *names, str(PROJECT_ROOT / "Src/Librarian/tests/samples/Canon_40D.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    for line in done.stdout.splitlines():
        name, _, rest = line.partition("  ")
        key, _, value = rest.strip().partition(" ")
        if name in names:
            said[names[name]].setdefault(key, value.strip())
    return said


def differences(path: Path, kind: str, witness: Witness) -> list[str] | None:
    """In what the fast reader and exiv2 differ; None: ExifTool is asked for this file."""
    try:
        tags = read_fast(kind, str(path)).tags
    except Unusual:
        return None
    metadata = fast(path, kind)
    if metadata is None:
        return None
    found = []
    for ours, theirs in _TEXTS.items():
        value, other = tags.get(ours, "").strip(), witness.get(theirs, "").strip()
        if value != other and (value or ours in _ALWAYS):
            found.append(f"{path.name}: {ours} is {value!r}, and {other!r} to exiv2")
    for what, side in (("Latitude", metadata.latitude), ("Longitude", metadata.longitude)):
        degrees = _degrees(witness, what)
        if degrees is not None and (side is None or not math.isclose(side, degrees, abs_tol=1e-9)):
            found.append(f"{path.name}: {what} is {side}, and {degrees} to exiv2")
    return found


def _degrees(witness: Witness, what: str) -> float | None:
    parts, side = witness.get(f"Exif.GPSInfo.GPS{what}", "").split(), witness.get(f"Exif.GPSInfo.GPS{what}Ref", "")
    if len(parts) != 3 or side not in ("N", "S", "E", "W"):
        return None
    try:
        whole = sum(Fraction(part) / 60**power for power, part in enumerate(parts))
    except (ValueError, ZeroDivisionError):
        return None
    return float(whole) * (-1 if side in "SW" else 1)


def _all_differences(paths: Sequence[Path], kinds: Mapping[Path, str]) -> tuple[int, list[str]]:
    """How many files were answered for, and all that differs."""
    answered, found = 0, []
    for start in range(0, len(paths), _AT_ONCE):
        for path, witness in witnesses(paths[start : start + _AT_ONCE]).items():
            differ = differences(path, kinds[path], witness)
            answered += differ is not None
            found += differ or []
    return answered, found


@needs_exiv2
def test_of_every_sample_exiv2_says_the_same() -> None:
    paths = [path for folder in SAMPLES for path in sorted(folder.iterdir()) if path.is_file()]
    kinds = {path: kind for path in paths if (kind := kind_at(path)) in _KINDS and kind in FAST_READERS}
    answered, found = _all_differences(list(kinds), kinds)
    assert found == []
    assert answered >= 15


Entries = list[tuple[int, int, Value]]


def _date(chance: random.Random) -> str:
    parts = chance.randrange(1990, 2026), chance.randrange(1, 13), chance.randrange(1, 29)
    clock = chance.randrange(24), chance.randrange(60), chance.randrange(60)
    return "{:04}:{:02}:{:02} {:02}:{:02}:{:02}".format(*parts, *clock)


def _some(chance: random.Random, *entries: tuple[int, int, Value]) -> Entries:
    return [entry for entry in entries if chance.random() < 0.7]


def _side(chance: random.Random, most: int) -> tuple[int, ...]:
    """Degrees, minutes and seconds, as cameras and phones write them."""
    scale = chance.choice((1, 100, 10_000, 1_000_000))
    if chance.random() < 0.3:  # minutes with a fraction, and no seconds
        return chance.randrange(most), 1, chance.randrange(60 * scale), scale, 0, 1
    return chance.randrange(most), 1, chance.randrange(60), 1, chance.randrange(60 * scale), scale


def made_exif(chance: random.Random) -> bytes:
    """A block of EXIF with some of what is read."""
    main = _some(
        chance,
        text(0x10F, chance.choice(("Canon", "NIKON CORPORATION", "samsung", "Maker  "))),
        text(0x110, chance.choice(("Canon EOS 40D", "SM-G991B", "x", "E5900 "))),
        numbers(0x112, SHORT, chance.randrange(1, 9)),
        text(0x132, _date(chance)),
    )
    inner = _some(
        chance,
        text(0x9003, _date(chance)),
        text(0x9004, _date(chance)),
        text(0x9011, chance.choice(("+02:00", "-03:30", "+00:00"))),
        text(0x9291, chance.choice(("0", "527", "07"))),
    )
    place = [
        text(1, chance.choice("NS")), numbers(2, RATIONAL, *_side(chance, 90)),
        text(3, chance.choice("EW")), numbers(4, RATIONAL, *_side(chance, 180)),
    ]  # fmt: skip
    order = chance.choice("<>")
    return exif(main, inner, place if chance.random() < 0.6 else (), order=order)


def made(kind: str, block: bytes) -> bytes:
    if kind == "JPEG":
        return jpeg(segment(0xE1, b"Exif\0\0" + block))
    kept = io.BytesIO()
    Image.new("RGB", (5, 4)).save(kept, "WEBP", exif=block)
    return kept.getvalue()


@pytest.mark.slow
@needs_exiv2
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_of_any_exif_exiv2_says_the_same(kind: str, tmp_path: Path) -> None:
    chance = random.Random(kind)
    answered, number, most = 0, 0, examples(400)
    while number < most:
        paths = []
        for _ in range(min(_AT_ONCE, most - number)):
            path = tmp_path / f"{number % _AT_ONCE}.{kind.lower()}"
            path.write_bytes(made(kind, made_exif(chance)))
            paths.append(path)
            number += 1
        count, found = _all_differences(paths, dict.fromkeys(paths, kind))
        assert found == []
        answered += count
    assert answered > most / 2, "what is never answered for would prove nothing"


@needs_exiv2
def test_a_difference_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    latitude, longitude = numbers(2, RATIONAL, 10, 1, 20, 1, 30, 1), numbers(4, RATIONAL, 7, 1, 0, 1, 1, 3)
    place = [text(1, "S"), latitude, text(3, "E"), longitude]
    path.write_bytes(made("JPEG", exif([text(0x10F, "Maker")], [text(0x9003, "2019:08:07 06:05:04")], place)))
    witness = dict(witnesses([path])[path])
    assert differences(path, "JPEG", witness) == []
    for key, value in (
        ("Exif.Image.Make", "Other"),
        ("Exif.Photo.DateTimeOriginal", "2019:08:07 06:05:05"),
        ("Exif.GPSInfo.GPSLatitude", "10/1 20/1 31/1"),
        ("Exif.GPSInfo.GPSLongitudeRef", "W"),
    ):
        told = differences(path, "JPEG", {**witness, key: value})
        assert told is not None and len(told) == 1
