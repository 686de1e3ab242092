"""Makes many different files, quickly: photos of one size, and libraries of all kinds."""

from __future__ import annotations

import io
import os
import random
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from Src.Media.kind_detection import HEAD_SIZE, kind_of

_ROOT = Path(__file__).resolve().parent.parent
SAMPLES = _ROOT / "Src" / "Librarian" / "tests" / "samples"
PARTS = 5  # into which the files can be divided, all parts alike
_DATE = b"2008:05:30"  # as the sample camera wrote it


def make_photos(folder: Path, count: int, size: int) -> None:
    """Writes `count` JPEGs of about `size` bytes, no two alike, taken on some hundred days.

    A camera's EXIF before noise that was really encoded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    photo = _photo_of(size)
    for number in range(count):
        day = f"20{10 + number % 14:02d}:{1 + number % 12:02d}:{1 + number * 7 % 28:02d}".encode()
        (folder / f"IMG_{number:06d}.jpg").write_bytes(_made_unique(photo, number).replace(_DATE, day))


def _photo_of(size: int) -> bytes:
    with Image.open(SAMPLES / "Canon_40D.jpg") as sample:
        exif = sample.info["exif"]
    noise = random.Random(1)

    def encoded(pixels: int) -> bytes:
        stream = io.BytesIO()
        image = Image.frombytes("RGB", (pixels, pixels), noise.randbytes(3 * pixels * pixels))
        image.save(stream, "JPEG", quality=90, exif=exif)
        return stream.getvalue()

    low, high = 16, 8192
    while high - low > 4:
        middle = (low + high) // 2
        low, high = (middle, high) if len(encoded(middle)) < size else (low, middle)
    return encoded(low)


def _made_unique(photo: bytes, number: int) -> bytes:
    """Changes a few bytes of the picture data, never a marker."""
    changed = bytearray(photo)
    at, rest = len(changed) - len(changed) // 4, number + 1
    while rest:
        if changed[at] != 0xFF and changed[at - 1] != 0xFF:
            changed[at] = rest % 250
            rest //= 250
        at += 1
    return bytes(changed)


def warm(files: Sequence[Path]) -> None:
    """Brings files into the page cache, and what is unwritten there to the disk."""
    sync(files[0])
    for file in files:
        file.read_bytes()


def sync(path: Path) -> None:
    """Writes all of that filesystem to its disk; other disks may be busy for reasons of their own."""
    subprocess.run(["sync", "-f", path], check=True)


@dataclass(frozen=True)
class Library:
    """Files of many kinds, no two alike, and the share of each group of kinds."""

    files: list[Path]
    shares: dict[str, float]


def make_library(folder: Path, count: int, size: int) -> Library:
    """The corpus (FACTORY_CORPUS, by default `shared/corpus` beside the project), or else the samples, again and again.

    About `count` files: a multiple of PARTS times all there is, so that each of as many parts has all kinds alike.
    Raw photos and videos come from the samples, which are cut down to their metadata: they are filled up to `size`.
    """
    templates = _templates()
    count = PARTS * len(templates) * max(1, round(count / (PARTS * len(templates))))
    files = []
    for number in range(count):
        template, kind = templates[number % len(templates)]
        files.append(folder / f"{number:06d}-{template.name}")
        content = template.read_bytes()
        missing = max(0, size - len(content)) if kind in _CUT_DOWN else 0
        files[-1].write_bytes(content + _trailer(kind, number, missing))
    kinds = Counter(_GROUPS.get(templates[number % len(templates)][1], "other") for number in range(count))
    return Library(files, {group: kinds[group] / count for group in (*dict.fromkeys(_GROUPS.values()), "other")})


def corpus() -> Path:
    """Where the corpus is looked for, be it there or not."""
    return Path(os.environ.get("FACTORY_CORPUS") or _ROOT.parent / "shared" / "corpus")


def _templates() -> list[tuple[Path, str]]:
    """Photos and videos of all kinds, with their kinds: the corpus, and from the samples the kinds that it lacks."""
    found: list[tuple[Path, str]] = []
    for source in (corpus(), SAMPLES):
        known = {kind for _, kind in found}
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            with open(path, "rb") as file:
                kind = kind_of(file.fileno(), file.read(HEAD_SIZE))
            if kind is not None and kind.name not in known:
                found.append((path, kind.name))
    return found


_RAW = ("CR2", "CR3", "DNG", "NEF", "RAF", "RW2")
_VIDEOS = ("MOV", "M2TS", "MKV", "AVI")
_CUT_DOWN = (*_RAW, *_VIDEOS)
_GROUPS = {
    "JPEG": "JPEG",
    "HEIC": "HEIC",
    "TIFF": "TIFF",
    **dict.fromkeys(_RAW, "raw"),
    **dict.fromkeys(_VIDEOS, "video"),
}


def _trailer(kind: str, number: int, size: int) -> bytes:
    """Bytes of about that size, never the same, that every reader of this kind passes over."""
    unique = number.to_bytes(8, "big") + bytes(size)
    match kind:
        case "M2TS":  # packets of nothing (ISO/IEC 13818-1), each after a time code
            packets = [unique[at : at + 184].ljust(184, b"\xff") for at in range(0, len(unique), 184)]
            return b"".join(b"\0\0\0\0\x47\x1f\xff\x10" + packet for packet in packets)
        case "MKV":  # an element of nothing (RFC 8794)
            return b"\xec\x01" + len(unique).to_bytes(7, "big") + unique
        case _:  # a box of nothing (ISO/IEC 14496-12); where there are no boxes, bytes after the end
            return (8 + len(unique)).to_bytes(4, "big") + b"free" + unique
