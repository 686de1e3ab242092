"""`./factory ingest` against the floor: the cost of one more file, which is the slope between two amounts.

So start-up and stop, which are the same for any amount, do not count; they are told apart.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import floor
from benchmarks.bench import Bench, ingest
from benchmarks.case import Amount, Case, Goal, Measured, NotPossible
from benchmarks.photos import PARTS, make_library, warm
from benchmarks.usage import USERS
from Src.Media.readers.readings import Readings


@dataclass(frozen=True)
class Slope:
    """What one more file costs, and what any amount costs."""

    per_file: float  # seconds
    start: float  # seconds
    cpu: dict[str, float]  # ms a file, by user
    readings: Readings


def slope(bench: Bench, files: Sequence[Path], *, rows: int = 0, other: Path | None = None) -> Slope:
    """Ingests all the files, and a part of them."""
    elsewhere = {} if other is None else {"STORAGE_PATH": str(other / "Storage")}
    part = files[: len(files) // PARTS]
    more = len(files) - len(part)
    warm(files)
    with bench.factory(elsewhere, rows=rows) as factory:
        whole_run = ingest(factory, files)
    with bench.factory(elsewhere, rows=rows) as factory:
        part_run = ingest(factory, part)
    per_file = (whole_run.seconds - part_run.seconds) / more
    cpu = {user: 1000 * (whole_run.cpu[user] - part_run.cpu[user]) / more for user in USERS}
    return Slope(per_file, part_run.seconds - per_file * len(part), cpu, whole_run.readings)


def against_floor(bench: Bench, files: Sequence[Path], rounds: int) -> Measured:
    """On one filesystem."""
    floors, slopes = [], []
    for _ in range(rounds):
        warm(files)
        floors.append(floor.floor(files))
        slopes.append(slope(bench, files))
    ratios = [one.per_file / base.seconds for one, base in zip(slopes, floors, strict=True)]
    least = median(base.cpu for base in floors)
    cpu = _cpu(slopes)
    figures = {
        "floor, files/s": 1 / median(base.seconds for base in floors),
        **_rate(slopes),
        "floor, ms of CPU a file": 1000 * least,
        "all CPU / the floor's": sum(cpu.values()) / (1000 * least),
        "CPU by ExifTool, %": 100 * cpu["ExifTool"] / sum(cpu.values()),
        **_left_to_exiftool(slopes[-1].readings),
    }
    return Measured([ratios], figures, cpu)


def to_other_filesystem(bench: Bench, amount: Amount) -> Measured:
    """The baseline is `cp` on all cores, as the floor is: their sum is what the machine needs for both at its best.

    A plain `cp -r`, which leaves all cores but one idle, is what people run, but easier to keep up with. It is told.
    """
    if bench.other is None:
        raise NotPossible("no folder on another filesystem: give one with --other-filesystem")
    if shutil.disk_usage(bench.other).free < 1.2 * amount.files * amount.size:
        raise NotPossible(f"{bench.other} has too little room: give a folder with --other-filesystem")
    files = bench.photos(amount.files, amount.size)
    floors, slopes, copies, plain_copies = [], [], [], []
    for _ in range(amount.rounds):
        with tempfile.TemporaryDirectory(dir=bench.other) as name:
            other = Path(name)
            warm(files)
            floors.append(floor.floor(files).seconds)
            copies.append(floor.copy(files, other / "copy", os.cpu_count() or 1))
            plain_copies.append(floor.copy(files, other / "copy", 1))
            slopes.append(slope(bench, files, other=other))
    each = list(zip(slopes, floors, copies, plain_copies, strict=True))
    return Measured(
        [[one.per_file / (base + copying) for one, base, copying, _ in each]],
        {
            "floor, files/s": 1 / median(floors),
            "cp on all cores, files/s": 1 / median(copies),
            "one cp, files/s": 1 / median(plain_copies),
            "cost per file / (floor + one cp)": median(one.per_file / (base + plain) for one, base, _, plain in each),
            **_rate(slopes),
        },
        _cpu(slopes),
    )


def mixed_library(bench: Bench, amount: Amount) -> Measured:
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        library = make_library(Path(folder), amount.files, amount.size)
        measured = against_floor(bench, library.files, amount.rounds)
    measured.figures |= {f"{kind}, % of the files": 100 * share for kind, share in library.shares.items()}
    return measured


def full_ledger(bench: Bench, amount: Amount) -> Measured:
    """Empty and full in turn."""
    files = bench.photos(amount.files, amount.size)
    empty, full = [], []
    for _ in range(amount.rounds):
        empty.append(slope(bench, files))
        full.append(slope(bench, files, rows=amount.rows))
    return Measured(
        [[one.per_file / other.per_file for one, other in zip(empty, full, strict=True)]],
        {"empty, files/s": 1 / median(one.per_file for one in empty), **_rate(full)},
        _cpu(full),
    )


def _left_to_exiftool(readings: Readings) -> dict[str, float]:
    """What share of the files ExifTool has read, and of each kind; and why, the most frequent first."""
    seen: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for reading, count in readings.items():
        seen[reading.kind] += count
        left[reading.kind] += count * (reading.handed_over is not None)
    by_kind = {f"{kind} read by ExifTool, %": 100 * left[kind] / count for kind, count in seen.most_common()}
    total = seen.total() or 1
    reasons = {
        f"{reading.kind}, {reading.handed_over}, % of the files"[:56]: 100 * count / total
        for reading, count in readings.most_common()
        if reading.handed_over is not None
    }
    return {"files read by ExifTool, %": 100 * left.total() / total, **by_kind, **reasons}


def _rate(slopes: Sequence[Slope]) -> dict[str, float]:
    return {
        "ingest, files/s": 1 / median(one.per_file for one in slopes),
        "start-up and stop, s": median(one.start for one in slopes),
    }


def _cpu(slopes: Sequence[Slope]) -> dict[str, float]:
    return {user: median(one.cpu[user] for one in slopes) for user in USERS}


def _photos(bench: Bench, amount: Amount) -> Measured:
    return against_floor(bench, bench.photos(amount.files, amount.size), amount.rounds)


QUICK = Amount(files=1000, size=100_000, rounds=1)

INGEST = Case(
    "ingest",
    "{files} photos of {size}, one filesystem",
    (Goal("cost per file / floor", 1.25),),
    Amount(files=2500, size=2_000_000),
    QUICK,
    _photos,
)
COPY = Case(
    "copy",
    "{files} photos of {size}, vault on another filesystem",
    (Goal("cost per file / (floor + cp)", 1.25),),
    Amount(files=1250, size=2_000_000),
    QUICK,
    to_other_filesystem,
)
SMALL = Case(
    "small",
    "{files} photos of {size}",
    (Goal("cost per file / floor", 1.6),),
    Amount(files=20_000, size=100_000),
    QUICK,
    _photos,
)
MIXED = Case(
    "mixed",
    "a library of all kinds, {files} files",
    (Goal("cost per file / floor", 2.0),),
    Amount(files=2000, size=10_000_000),
    Amount(files=300, size=100_000, rounds=1),
    mixed_library,
)
LEDGER = Case(
    "ledger",
    "{files} photos of {size} into a ledger of {rows} rows",
    (Goal("rate / rate with an empty ledger", 0.9, at_least=True),),
    Amount(files=5000, size=500_000, rows=1_000_000),
    Amount(files=300, size=100_000, rounds=1, rows=10_000),
    full_ledger,
)
