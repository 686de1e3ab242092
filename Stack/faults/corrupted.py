"""Real photos and videos, damaged: bits flipped, runs overwritten, cut short, headers and directories aimed at."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from Stack.faults.given import Given, give

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "Src" / "Librarian" / "tests" / "samples"
CORPUS = Path(os.environ.get("FACTORY_CORPUS") or ROOT.parent / "shared" / "corpus" / "exif-samples")

_LARGE = 200_000  # bytes; a larger file is used as much less often as it is larger
_HEAD = 4096
# What begins a directory of tags, a box, a chunk: behind it stand the lengths and offsets that readers believe.
_LANDMARKS = (b"II*\0", b"MM\0*", b"Exif\0\0", b"ftyp", b"moov", b"mvhd", b"meta", b"iloc", b"RIFF", b"LIST", b"8BIM")
_NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\x01")

Damage = Callable[[bytearray, random.Random], None]


def give_corrupted(inbox: Path, chance: random.Random, count: int) -> Iterator[Given]:
    """Every real file in turn, as it is named; a large one more rarely."""
    files = [path for folder in (SAMPLES, CORPUS) if folder.is_dir() for path in sorted(folder.rglob("*.*"))]
    weights = [min(1.0, _LARGE / max(path.stat().st_size, 1)) for path in files if path.is_file()]
    files = [path for path in files if path.is_file()]
    turns = files + chance.choices(files, weights, k=max(0, count - len(files)))
    for turn, path in enumerate(turns[:count] if count >= len(files) else chance.sample(files, count)):
        folder = b"%03d" % (turn // 1000)
        os.makedirs(os.path.join(os.fsencode(inbox), folder), exist_ok=True)
        name = b"%05d %s" % (turn, os.fsencode(path.name))
        yield give(inbox, os.path.join(folder, name), damaged(path.read_bytes(), chance), "either")


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with up to three damages."""
    changed = bytearray(content)
    while bytes(changed) == content:
        for damage in chance.choices(_DAMAGES, k=chance.randint(1, 3)):
            if changed:
                damage(changed, chance)
    return bytes(changed)


def _flip(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 8, 64))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _flip_in_head(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 4, 16))):
        content[chance.randrange(min(_HEAD, len(content)))] = chance.randrange(256)


def _overwrite(content: bytearray, chance: random.Random) -> None:
    at, length = chance.randrange(len(content)), chance.choice((16, 512, 16384))
    length = min(length, len(content) - at)
    origin = chance.randrange(len(content) - length + 1)
    run = (bytes(length), b"\xff" * length, chance.randbytes(length), bytes(content[origin : origin + length]))
    content[at : at + length] = chance.choice(run)


def _cut(content: bytearray, chance: random.Random) -> None:
    longest = chance.choice((64, _HEAD, len(content)))
    del content[chance.randrange(min(longest, len(content))) :]


def _lie(content: bytearray, chance: random.Random) -> None:
    """Behind a landmark, four bytes that may be a length, a count or an offset become an absurd number."""
    found = [at for mark in _LANDMARKS if (at := content.find(mark)) >= 0]
    start = chance.choice(found or [0])
    at = min(start + 4 * chance.randrange(64) + chance.randrange(4), max(0, len(content) - 4))
    content[at : at + 4] = chance.choice(_NUMBERS)


def _double(content: bytearray, chance: random.Random) -> None:
    """A piece stands there twice, and moves all behind it."""
    at, length = chance.randrange(min(_HEAD, len(content))), chance.randrange(1, 256)
    content[at:at] = content[at : at + length]


_DAMAGES: tuple[Damage, ...] = (_flip, _flip_in_head, _overwrite, _cut, _lie, _double)
