"""One large video: how fast, and in how much memory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench, ingest
from benchmarks.case import Amount, Case, Goal, Measured
from benchmarks.photos import SAMPLES
from Src.Shared.disk.files import sha256_of


def large_video(bench: Bench, amount: Amount) -> Measured:
    """The rate is that between a tenth of it and the whole: start-up does not count."""
    small, large = bench.folder / "small.mov", bench.folder / "large.mov"
    make_video(small, amount.size // 10)
    make_video(large, amount.size)
    more = large.stat().st_size - small.stat().st_size
    hashing, rates, growths, most = [], [], [], []
    for _ in range(amount.rounds):
        hashing.append(more / (seconds_to_hash(large) - seconds_to_hash(small)))
        with bench.factory() as factory:
            part = ingest(factory, [small], watch_memory=True)
        with bench.factory() as factory:
            whole = ingest(factory, [large], watch_memory=True)
        rates.append(more / (whole.seconds - part.seconds))
        growths.append(whole.memory / part.memory)
        most.append(whole.memory)
    small.unlink()
    large.unlink()
    return Measured(
        [[rate / base for rate, base in zip(rates, hashing, strict=True)], growths],
        {
            "hashing alone, MB/s": median(hashing) / 1e6,
            "ingest, MB/s": median(rates) / 1e6,
            "memory of all processes but PostgreSQL's, MB at most": max(most),
        },
    )


def make_video(path: Path, size: int) -> None:
    """A small film, and noise after it that no player looks at."""
    block = os.urandom(1_000_000)
    with open(path, "wb") as file:
        file.write((SAMPLES / "QuickTime.mov").read_bytes())
        left = size - file.tell()
        file.write(b"\0\0\0\1free" + (left).to_bytes(8, "big"))  # a box with a size of 64 bits
        while (left := size - file.tell()) > 0:
            file.write(block[:left])


def seconds_to_hash(path: Path) -> float:
    """On one core, as one file is hashed."""
    fd = os.open(path, os.O_RDONLY)
    try:
        began = time.perf_counter()
        sha256_of(fd)
        return time.perf_counter() - began
    finally:
        os.close(fd)


VIDEO = Case(
    "video",
    "one video of {size}",
    (
        Goal("rate / hashing alone", 0.85, at_least=True),
        Goal("memory / that of a tenth of the size", 1.1),
    ),
    Amount(files=1, size=4_000_000_000),
    Amount(files=1, size=100_000_000, rounds=1),
    large_video,
)
