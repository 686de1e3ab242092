"""Libraries of many files: what a device writes, again and again with other dates and other picture data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.libraries.moments import TAKEN, dated, moment
from benchmarks.photos import PARTS

Make = Callable[[int, datetime], bytes]


def varied(content: bytes, taken: datetime = TAKEN) -> Make:
    """Content with another date, and with other bytes in its picture data, which stands in the middle of a file.

    `taken`: the date that the content holds.
    """

    def make(number: int, when: datetime) -> bytes:
        other = dated(content, when, taken)
        at = len(other) // 2
        # Never one that begins a JPEG marker.
        digits = bytes(1 + number // 250**place % 250 for place in range(4))
        return other[: at - 1] + other[at - 1 : at].replace(b"\xff", b"\xfe") + digits + other[at + len(digits) :]

    return make


def appended(content: bytes, taken: datetime = TAKEN) -> Make:
    """Content with another date, and with other bytes after its end."""
    return lambda number, when: dated(content, when, taken) + number.to_bytes(8, "big")


@dataclass(frozen=True)
class Template:
    """One sort of file that a device writes."""

    name: str  # a date format; `#` stands for the file's number
    make: Make  # file number so-and-so, taken then
    often: int = 1  # in one cycle of the library


@dataclass(frozen=True)
class Group:
    """Files that are taken together: a photo and its film, a photo and its raw photo, what was made of them."""

    files: Sequence[Template]
    often: int = 1


def write(folder: Path, library: Sequence[Template | Group], about: int) -> list[Path]:
    """Writes about so many files, no two alike: whole cycles, so that each of PARTS parts has all alike."""
    cycle = _cycle(library)
    cycles = max(1, round(about / (PARTS * sum(map(len, cycle))))) * PARTS
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(cycles * len(cycle)):
        for template in cycle[number % len(cycle)]:
            when = moment(number)
            path = folder / when.strftime(template.name).replace("#", f"{number:04d}")
            path.write_bytes(template.make(number, when))
            paths.append(path)
    return paths


def _cycle(library: Sequence[Template | Group]) -> list[Sequence[Template]]:
    """Each template as often as it comes, spread evenly."""
    placed = []
    for order, one in enumerate(library):
        files = one.files if isinstance(one, Group) else [one]
        placed += [((turn + 0.5) / one.often, order, files) for turn in range(one.often)]
    return [files for _, _, files in sorted(placed, key=lambda each: each[:2])]
