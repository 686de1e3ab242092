"""Writers that put files into a running factory's inbox in every bad way (`write_patterns.py`).

In the end the vault holds every content that a writer has left for good, and beyond it nothing but what had been
closed, and had rested for STABILITY_DELAY, or had arrived by rename: no part of a file, no mixture, nothing twice.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path

from benchmarks.campaign.checking import broken
from benchmarks.campaign.orders import Figures, NotPossible, Orders
from benchmarks.campaign.write_patterns import PATTERNS, carry_out
from benchmarks.campaign.writer import Job, Left, heed_permissions
from Stack.tests.real_factory import LIMIT, Factory, wait_until

UNIT, FULL, SHORT = "files", 1000, 40

_PROCESSES, _THREADS = 2, 20


@dataclass(frozen=True)
class Part:
    """One factory, and its share of the files."""

    name: str
    share: float
    delay: float
    environment: dict[str, str]
    elsewhere: bool = False  # the vault is on another filesystem: files are copied


_QUIET = {"LOG_LEVEL": "WARNING"}
_SHORT_DELAY = {**_QUIET, "STABILITY_DELAY": "0.5", "MIN_FILE_AGE": "0.2", "SCAN_INTERVAL": "1"}
PARTS = (
    Part("events", 0.5, 0.5, _SHORT_DELAY),
    Part("polling", 0.2, 0.5, {**_SHORT_DELAY, "WATCH_MODE": "polling"}),
    Part("copying", 0.2, 0.5, _SHORT_DELAY, elsewhere=True),
    Part("default delays", 0.1, 5.0, _QUIET),
)


def run(orders: Orders) -> Figures:
    """Runs the parts one after the other; a short run is the first of them alone."""
    if not hasattr(os, "O_TMPFILE"):
        raise NotPossible("the writers use what only Linux has (inotify, O_TMPFILE)")
    figures = Figures(UNIT)
    parts = PARTS if orders.amount >= 10 * SHORT else PARTS[:1]
    shares = sum(part.share for part in parts)
    tally: Counter[str] = Counter()
    for part in parts:
        files = round(orders.amount * part.share / shares)
        lefts = _run_part(orders, part, files, figures)
        done = sum(left.files for left in lefts)
        figures.done += done
        figures.measured[f"files, {part.name}"] = done
        for left in lefts:
            tally[left.pattern] += left.caught
    figures.measured.update({f"caught, {pattern}": tally[pattern] for pattern in PATTERNS})
    return figures


def _run_part(orders: Orders, part: Part, files: int, figures: Figures) -> list[Left]:
    folder = orders.folder / part.name
    folder.mkdir(mode=0o711)
    factory = Factory(folder / "factory", dict(part.environment))
    factory.inbox.mkdir(parents=True)
    elsewhere = _other_filesystem(folder) if part.elsewhere else folder
    if part.elsewhere:
        factory.environment["STORAGE_PATH"] = str(elsewhere / "Storage")
    try:
        with factory.start("up") as running:
            wait_until(lambda: factory.asked("SELECT 1 FROM system_status WHERE service_name = 'librarian'"), LIMIT)
            lefts = write(factory.inbox, orders.seed, part.delay, files)
            what = f"{part.name}, seed {orders.seed}"
            for left in lefts:
                figures.blame(what, [*left.errors, *left.early])
            figures.blame(what, broken(factory, lefts))
            if "Traceback" in running.output:
                figures.blame(what, ["a traceback: " + running.output[-300:]])
        return lefts
    finally:
        factory.kill_all()
        shutil.rmtree(elsewhere, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _other_filesystem(folder: Path) -> Path:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == folder.stat().st_dev:
        raise NotPossible("there is no second filesystem (/dev/shm)")
    elsewhere = memory / f"photo-factory-campaign-{os.getpid()}"
    elsewhere.mkdir()
    return elsewhere


def write(inbox: Path, seed: int, delay: float, files: int) -> list[Left]:
    """Lets every pattern in turn write into the inbox until there are so many files; what each writer has left."""
    jobs = _jobs(inbox, seed, delay)
    lefts: list[Left] = []
    with ProcessPoolExecutor(_PROCESSES, get_context("spawn"), initializer=heed_permissions) as pool:
        while (missing := files - sum(left.files for left in lefts)) > 0:
            # A pattern writes one file or more: what is missing is asked for again, until all patterns have had a turn.
            some = [next(jobs) for _ in range(max(missing // 2, min(missing, len(PATTERNS))))]
            for answer in pool.map(_carry_out_at_once, [some[n::_PROCESSES] for n in range(_PROCESSES)]):
                lefts += answer
    return lefts


def _jobs(inbox: Path, seed: int, delay: float) -> Iterator[Job]:
    for number, pattern in enumerate(cycle(PATTERNS)):
        yield Job(pattern, number, seed, inbox, delay)


def _carry_out_at_once(jobs: Sequence[Job]) -> list[Left]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(carry_out, jobs))
