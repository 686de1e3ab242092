"""What the fast readers and ExifTool say of the same files: where a fast reader answers, both must say the same."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from Src.Media.damage import with_structure
from Src.Media.kind_detection import HEAD_SIZE, kind_of
from Src.Media.metadata import Metadata, Subject, interpret
from Src.Media.readers.exiftool_reader import CRASHED, ExifToolReader
from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.fast_readers import read_fast
from Src.Media.tags import Answer
from Src.Shared.disk.files import reading
from Src.Testing.patience import PATIENCE

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")

_ZONE = ZoneInfo("Europe/Berlin")
_NOW = datetime(2026, 11, 21, 12, 0)


def kind_at(path: Path) -> str | None:
    """The kind of a file by its content."""
    with reading(str(path)) as fd:
        kind = kind_of(fd, os.pread(fd, HEAD_SIZE, 0))
    return kind.name if kind is not None else None


def fast(path: Path, kind: str) -> Metadata | None:
    """What `extract` would take from the fast reader; None: it asks ExifTool."""
    try:
        answer = read_fast(kind, str(path))
    except Unusual:
        return None
    metadata = interpret(_subject(path, kind), Answer(answer.tags, error=answer.damage), None, _ZONE, _NOW)
    return metadata if answer.unsure(metadata) is None else None


def handed_over(path: Path, kind: str) -> str | None:
    """Why the fast reader does not answer."""
    try:
        read_fast(kind, str(path))
    except Unusual as unusual:
        return unusual.reason
    return None


class Disagreement(AssertionError):
    """The two say different things about a file."""


class BothReaders:
    """Asks both."""

    def __init__(self, exiftool: ExifToolReader) -> None:
        self._exiftool = exiftool

    def slow(self, paths: Sequence[Path], kind: str) -> list[Metadata]:
        """What ExifTool's answers mean."""
        answers = self._exiftool.read([str(path) for path in paths])
        return [
            interpret(_subject(path, kind), with_structure(_subject(path, kind), answer), None, _ZONE, _NOW)
            for path, answer in zip(paths, answers, strict=True)
        ]

    def answered(self, paths: Sequence[Path], kind: str) -> int:
        """How many of the files the fast reader answers for. Raises Disagreement at the first that differs."""
        found = [(path, fast(path, kind)) for path in paths]
        found = [(path, metadata) for path, metadata in found if metadata is not None]
        for (path, metadata), expected in zip(found, self.slow([path for path, _ in found], kind), strict=True):
            # A value of gigabytes in maker's notes costs ExifTool its process: it has said nothing then.
            if metadata != expected and expected.error != CRASHED:
                raise Disagreement(f"{path}\nfast: {metadata}\nslow: {expected}")
        return len(found)


@pytest.fixture(scope="session")
def both_readers() -> Iterator[BothReaders]:
    """The fast readers, and an ExifTool with time enough."""
    with ExifToolReader(PATIENCE) as reader:
        yield BothReaders(reader)


def damaged(data: bytes, chance: random.Random, spans: Sequence[int]) -> bytes:
    """The bytes with a few of them changed, within the first so many."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        place = chance.randrange(min(len(changed), chance.choice(spans)))
        changed[place] = chance.choice([0, 1, 2, 3, 4, 5, 8, 0x20, 0x30, 0x39, 0xFF, chance.randrange(256)])
    return bytes(changed)


def _subject(path: Path, kind: str) -> Subject:
    return Subject(str(path), "x", kind, 0)
