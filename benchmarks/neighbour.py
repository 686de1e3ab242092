"""`./factory ingest` beside a program that writes much to the same filesystem, against ingest alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.case import Amount, Case, Goal, Measured
from benchmarks.ingest import Slope, slope
from Stack.tests.real_factory import ROOT

RATE = 100  # MB/s
_ROOM = 2000  # MB, written again and again
_WARM_UP = 5.0  # seconds: until as much is dirty as will be


def beside_a_writer(bench: Bench, amount: Amount) -> Measured:
    """Alone and beside it, in turn."""
    files = bench.photos(amount.files, amount.size)
    alone, beside = list[Slope](), list[Slope]()
    written = 0.0
    for _ in range(amount.rounds):
        alone.append(slope(bench, files))
        with writer(bench.folder / "written") as file:
            before, began = progress(file), time.perf_counter()
            beside.append(slope(bench, files))
            written = (progress(file) - before) / (time.perf_counter() - began)
    return Measured(
        [[two.per_file / one.per_file for one, two in zip(alone, beside, strict=True)]],
        {
            "alone, files/s": 1 / median(one.per_file for one in alone),
            "beside it, files/s": 1 / median(one.per_file for one in beside),
            "what it wrote meanwhile, MB/s": written,
        },
    )


@contextmanager
def writer(file: Path) -> Iterator[Path]:
    """A process that writes RATE to a file, and never syncs it. Beside it stands how many MB it has written."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.neighbour", str(file)], cwd=ROOT)
    try:
        time.sleep(_WARM_UP)
        assert process.poll() is None, "the writer has ended"
        yield file
    finally:
        process.kill()
        process.wait()
        file.unlink(missing_ok=True)
        _counter(file).unlink(missing_ok=True)


def progress(file: Path) -> float:
    """MB written so far."""
    return float(_counter(file).read_text() or 0)


def _counter(file: Path) -> Path:
    return file.with_suffix(".count")


def _write(file: Path) -> None:
    block = bytes(range(256)) * 4096  # 1 MB
    began = time.monotonic()
    with open(file, "wb", buffering=0) as target, open(_counter(file), "w", encoding="ascii") as counter:
        number = 0
        while True:
            target.write(block)
            number += 1
            if number % _ROOM == 0:
                target.seek(0)
            if number % (RATE // 10) == 0:
                counter.seek(0)
                counter.write(str(number))
                counter.flush()
                time.sleep(max(0.0, number / RATE - (time.monotonic() - began)))


NEIGHBOUR = Case(
    "neighbour",
    f"{{files}} photos of {{size}}, beside a program that writes {RATE} MB/s to the same disk",
    (Goal("cost per file / that alone", 1.3),),
    Amount(files=1250, size=2_000_000),
    Amount(files=500, size=100_000, rounds=1),
    beside_a_writer,
)

if __name__ == "__main__":
    _write(Path(sys.argv[1]))
