"""An import of a folder that was imported before and is unchanged: what each file costs the second time."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench import Bench
from benchmarks.case import Amount, Case, Goal, Measured
from benchmarks.photos import PARTS, warm
from Stack.tests.real_factory import Factory

_COARSEST_CLOCK = 2.5  # seconds: what was written later than that is not remembered, and photos are older than that


def imported_again(bench: Bench, amount: Amount) -> Measured:
    """Twice all of them, and twice a part, each from a folder of its own: the slope leaves start-up and stop out."""
    files = bench.photos(amount.files, amount.size)
    part = files[: len(files) // PARTS]
    more = len(files) - len(part)
    time.sleep(_COARSEST_CLOCK)
    first, second, hits = [], [], []
    for _ in range(amount.rounds):
        warm(files)
        whole, some = _twice(bench, files, [files[0].parent]), _twice(bench, part, part)
        first.append((whole[0] - some[0]) / more)
        second.append((whole[1] - some[1]) / more)
        hits.append(whole[2])
    return Measured(
        [[one / other for one, other in zip(first, second, strict=True)]],
        {
            "first import, files/s": 1 / median(first),
            "second import, files/s": 1 / median(second),
            "hits of the hash cache, %": 100 * median(hits),
        },
    )


def _twice(bench: Bench, files: Sequence[Path], sources: Sequence[Path]) -> tuple[float, float, float]:
    """Seconds of the first and the second import, and the rate of hits of the second."""
    with bench.factory() as factory:
        first, report = _import(factory, sources)
        assert report["new"] == len(files), report
        second, report = _import(factory, sources)
        assert report["duplicates"] == len(files), report
        return first, second, report.get("hash_cache", {"rate": 0})["rate"]


def _import(factory: Factory, sources: Sequence[Path]) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    done = subprocess.run(
        factory.command("import", "--json", *map(str, sources)), env=factory.env(), capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stderr
    return seconds, json.loads(done.stdout)


AGAIN = Case(
    "again",
    "{files} photos of {size} that were imported before",
    (Goal("first import / second import, cost per file", 20.0, at_least=True),),
    Amount(files=10_000, size=100_000),
    Amount(files=1000, size=100_000, rounds=1),
    imported_again,
)
