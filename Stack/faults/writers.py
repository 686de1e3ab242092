"""Writers that put files into a running factory's inbox in every bad way (`write_patterns.py`).

In the end the vault holds every content that a writer has left for good, and beyond it nothing but what had been
closed, and had rested for STABILITY_DELAY, or had arrived by rename: no part of a file, no mixture, nothing twice. Some
write as another user, or as root, while the Librarian is neither. The kernel does not say then who has a file open: one
that rests in the middle may be filed as it is, and must be filed whole too.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path

from Src.Testing.patience import wait_until
from Stack.faults.checking import broken
from Stack.faults.orders import Figures, NotPossible, Orders
from Stack.faults.write_patterns import PATTERNS, carry_out
from Stack.faults.writer import Job, Left, become
from Stack.tests.other_users import LIBRARIAN, ROOT, SOMEBODY, factory_of_another, librarian_up
from Stack.tests.real_factory import LIMIT, WATCHING, Factory, Running

UNIT, FULL, SHORT = "files", 1000, 80

_PROCESSES, _THREADS = 2, 20


@dataclass(frozen=True)
class Part:
    """One factory, and its share of the files."""

    name: str
    share: float
    delay: float
    environment: dict[str, str]
    elsewhere: bool = False  # the vault is on another filesystem: files are copied
    writer: int | None = None  # the user who writes, while the Librarian is no root; None: we are both


SHORT_SHARES = ("events", "another user", "root", "the owner")
_QUIET = {"LOG_LEVEL": "WARNING"}
_SHORT_DELAY = {**_QUIET, "STABILITY_DELAY": "0.5", "MIN_FILE_AGE": "0.2", "SCAN_INTERVAL": "1"}
# A file made without a name, and linked into place, is not seen being closed: it waits for the last of these.
_OTHERS = {**_SHORT_DELAY, "REST_WITHOUT_LEASE": "0.5", "LEAVING_GRACE_WITHOUT_LEASE": "120"}
PARTS = (
    Part("events", 0.3, 0.5, _SHORT_DELAY),
    Part("polling", 0.15, 0.5, {**_SHORT_DELAY, "WATCH_MODE": "polling"}),
    Part("copying", 0.15, 0.5, _SHORT_DELAY, elsewhere=True),
    Part("default delays", 0.1, 5.0, _QUIET),
    Part("another user", 0.1, 0.5, _OTHERS, writer=SOMEBODY),
    Part("root", 0.1, 0.5, _OTHERS, writer=ROOT),
    Part("the owner", 0.1, 0.5, _OTHERS, writer=LIBRARIAN),
)


def run(orders: Orders) -> Figures:
    """Runs the parts one after the other; a short run is some of them."""
    if not hasattr(os, "O_TMPFILE"):
        raise NotPossible("the writers use what only Linux has (inotify, O_TMPFILE)")
    figures = Figures(UNIT)
    parts = PARTS if orders.amount >= 10 * SHORT else [part for part in PARTS if part.name in SHORT_SHARES]
    if os.geteuid() != 0:
        parts = [part for part in parts if part.writer is None]
        figures.measured["other users"] = "only root can be one"
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
    if part.writer is None:
        factory = Factory(folder / "factory", dict(part.environment))
        factory.inbox.mkdir(parents=True)
    else:
        folder.chmod(0o755)
        factory = factory_of_another(folder / "factory", part.environment)
        factory.data.chmod(0o777)  # some write outside of the inbox, too
    elsewhere = _other_filesystem(folder) if part.elsewhere else folder
    if part.elsewhere:
        factory.environment["STORAGE_PATH"] = str(elsewhere / "Storage")
    try:
        with _serving(factory, part) as running:
            lefts = write(factory.inbox, orders.seed, part.delay, files, part.writer)
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


@contextmanager
def _serving(factory: Factory, part: Part) -> Iterator[Running]:
    if part.writer is not None:
        with librarian_up(factory) as running:
            yield running
        return
    with factory.start("up") as running:
        wait_until(lambda: factory.asked(WATCHING), LIMIT)
        yield running


def _other_filesystem(folder: Path) -> Path:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == folder.stat().st_dev:
        raise NotPossible("there is no second filesystem (/dev/shm)")
    elsewhere = memory / f"photo-factory-campaign-{os.getpid()}"
    elsewhere.mkdir()
    return elsewhere


def write(inbox: Path, seed: int, delay: float, files: int, user: int | None = None) -> list[Left]:
    """Lets every pattern in turn write into the inbox until there are so many files; what each writer has left.

    `user`: who writes, where the Librarian is no root.
    """
    jobs = _jobs(inbox, seed, delay, is_seen=user in (None, LIBRARIAN))
    lefts: list[Left] = []
    with ProcessPoolExecutor(_PROCESSES, get_context("spawn"), initializer=become, initargs=(user,)) as pool:
        while (missing := files - sum(left.files for left in lefts)) > 0:
            # A pattern writes one file or more: what is missing is asked for again, until all patterns have had a turn.
            some = [next(jobs) for _ in range(max(missing // 2, min(missing, len(PATTERNS))))]
            for answer in pool.map(_carry_out_at_once, [some[n::_PROCESSES] for n in range(_PROCESSES)]):
                lefts += answer
    return lefts


def _jobs(inbox: Path, seed: int, delay: float, *, is_seen: bool) -> Iterator[Job]:
    for number, pattern in enumerate(cycle(PATTERNS)):
        yield Job(pattern, number, seed, inbox, delay, is_seen)


def _carry_out_at_once(jobs: Sequence[Job]) -> list[Left]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(carry_out, jobs))
