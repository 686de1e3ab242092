"""Hours in small: a steady mixed load, bad writers and faults, while memory, descriptors and threads are watched.

The time has three stretches. In the first, anything is killed; in the second, anything but the Librarian's main
process, which so lives through two thirds of the time; in the last, nothing dies, and the database only stands still
at times. What grows in a process that lives, leaks.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from itertools import count
from multiprocessing import get_context
from statistics import median
from typing import NamedTuple

from Src.Testing.patience import wait_until
from Stack.faults.checking import broken, has_traceback, in_journal, waiting
from Stack.faults.load import Load
from Stack.faults.orders import Figures, Orders
from Stack.faults.sampling import Use, pids_of, uses
from Stack.faults.write_patterns import PATTERNS, carry_out
from Stack.faults.writer import Job, Left, become
from Stack.tests.real_factory import Factory, Running

UNIT, FULL, SHORT = "seconds", 1800, 8

_SETTINGS = {
    "LOG_LEVEL": "WARNING",
    "STABILITY_DELAY": "1",
    "MIN_FILE_AGE": "0.5",
    "SCAN_INTERVAL": "5",
    "HEARTBEAT_INTERVAL": "5",
}
_RATE = 25  # files a second
_MOST_WAITING = 1000  # files in the inbox: a person would not bring more before these are filed
_REST_EVERY = 300.0  # seconds
_LARGE_FILES = {"replaced while read", "rewritten while read", "deleted while read", "sparse"}  # too much for a soak
_SOON = 180.0  # seconds for a factory to be up again

# What may grow between the first and the last third of a stretch in which nothing of that role has died.
_MEMORY_SHARE, _MEMORY_BYTES = 0.10, 5_000_000
_WARM_UP, _LEAST_SAMPLES = 0.1, 60
_SPARE = {"PostgreSQL": (40, 2)}  # descriptors, threads: it keeps files open, and has helpers that come and go
_JUDGED = ("librarian", "readers", "ExifTool", "PostgreSQL", "runner")


class Sample(NamedTuple):
    """One look at everything."""

    stretch: int
    by_role: dict[str, Use]
    journal: int
    waiting: int


def run(orders: Orders) -> Figures:
    figures = Figures(UNIT)
    factory = Factory(orders.folder / "factory", dict(_SETTINGS))
    factory.inbox.mkdir(parents=True)
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=become, initargs=(None,)) as pool:
        soak = _Soak(orders, factory, figures, pool)
        soak.start()
        try:
            soak.run()
        finally:
            soak.end()
    return figures


class _Soak:
    def __init__(self, orders: Orders, factory: Factory, figures: Figures, pool: ProcessPoolExecutor) -> None:
        self._orders, self._factory, self._figures, self._pool = orders, factory, figures, pool
        self._chance = orders.chance()
        self._load = Load(factory, random.Random(orders.seed))
        self._numbers = count()
        self._writing: Future[list[Left]] | None = None
        self._written: list[Left] = []
        self._samples: list[Sample] = []
        self._faults: Counter[str] = Counter()
        self._running: Running

    def run(self) -> None:
        amount = float(self._orders.amount)
        self._wait_until_up()
        next_fault, next_sample, next_rest, next_loss = 2.0, 0.0, _REST_EVERY, min(10.0, amount / 3)
        rested = 0.0  # the time of checking is not counted
        began = time.monotonic()
        fed = 0
        while (now := time.monotonic() - began - rested) < amount:
            stretch = min(2, int(3 * now / amount))
            if now >= next_sample:
                self._sample(stretch)
                next_sample = now + min(2.0, amount / 20)
            if now >= next_fault:
                self._fault(stretch)
                next_fault = now + self._chance.uniform(0.3, 1.5) * min(15.0, amount / 6)
            if now >= next_loss:
                self._load.lose_an_original()
                next_loss = now + min(10.0, amount / 10)
            if now >= next_rest:
                rest_began = time.monotonic()
                self._check()
                rested += time.monotonic() - rest_began
                next_rest += _REST_EVERY
            if self._samples[-1].waiting < _MOST_WAITING:
                self._load.feed(min(_RATE, int(now * _RATE) - fed))
            fed = int(now * _RATE)
            self._let_write()
            time.sleep(0.05)
        self._check()
        self._figures.done = round(now)
        self._judge()
        self._tell()

    def end(self) -> None:
        self._factory.kill_all()
        self._running.process.wait()

    def start(self) -> None:
        self._running = Running(self._factory, self._factory.command("up"), self._factory.env())

    def _wait_until_up(self) -> None:
        wait_until(lambda: pids_of(self._factory, "readers"), _SOON, "the factory is up")

    def _let_write(self) -> None:
        """The bad writers are at it all the time, in a process of their own."""
        if self._writing is not None and not self._writing.done():
            return
        self._take_written()
        some = [
            Job(
                pattern,
                next(self._numbers),
                self._orders.seed,
                self._factory.inbox,
                float(_SETTINGS["STABILITY_DELAY"]),
            )
            for pattern in self._chance.sample(sorted(PATTERNS.keys() - _LARGE_FILES), 4)
        ]
        self._writing = self._pool.submit(_carry_out_all, some)

    def _take_written(self) -> None:
        if self._writing is not None:
            lefts, self._writing = self._writing.result(), None
            self._written += lefts
            for left in lefts:
                self._blame([*left.errors, *left.early])

    def _blame(self, problems: Sequence[str]) -> None:
        self._figures.blame(f"seed {self._orders.seed}", problems)

    # Faults

    def _fault(self, stretch: int) -> None:
        """One of those that the stretch allows."""
        gentle: list[tuple[str, Callable[[], None]]] = [("database paused", self._pause_database)]
        harder = [
            ("reader killed", lambda: self._kill("readers")),
            ("ExifTool killed", lambda: self._kill("ExifTool")),
            ("database killed", lambda: self._kill("PostgreSQL")),
            ("database stopped", self._stop_database),
        ]
        hardest = [("librarian killed", lambda: self._kill("librarian")), ("all killed", self._kill_all)]
        name, act = self._chance.choice(
            [gentle, [*gentle, *harder], [*gentle, *harder, *hardest, *hardest]][2 - stretch]
        )
        act()
        self._faults[name] += 1

    def _kill(self, role: str) -> None:
        pids = pids_of(self._factory, role)
        if pids:
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(pids), signal.SIGKILL)

    def _kill_all(self) -> None:
        self._factory.kill_all()
        self._running.process.wait()
        self._complain_of_output()
        self.start()
        self._wait_until_up()

    def _pause_database(self) -> None:
        pids = pids_of(self._factory, "PostgreSQL")
        try:
            for pid in pids:
                _signal(pid, signal.SIGSTOP)
            end = time.monotonic() + self._chance.uniform(0.2, 4.0)
            while time.monotonic() < end:
                self._load.feed(1)
                time.sleep(1 / _RATE)
        finally:
            for pid in pids:
                _signal(pid, signal.SIGCONT)

    def _stop_database(self) -> None:
        """As its administrator would: it ends its connections and itself."""
        with suppress(OSError, IndexError):  # not there just now
            postmaster = int((self._factory.cluster / "postmaster.pid").read_text().splitlines()[0])
            _signal(postmaster, signal.SIGINT)

    # Looking

    def _sample(self, stretch: int) -> None:
        self._samples.append(
            Sample(stretch, uses(self._factory), in_journal(self._factory), len(waiting(self._factory)))
        )

    def _check(self) -> None:
        """The whole promise, once everything has come to rest."""
        self._take_written()
        self._blame(list(broken(self._factory, [self._load.left, *self._written], self._load.not_media)))
        if self._running.process.poll() is not None:
            self._blame(["`./factory up` has ended by itself"])

    def _complain_of_output(self) -> None:
        if has_traceback(self._running.output):
            self._blame([f"a traceback: {self._running.output[-500:]!r}"])

    def _judge(self) -> None:
        """Whether anything has grown in the processes that lived on."""
        self._complain_of_output()
        long = sum(sample.stretch == 2 for sample in self._samples) >= _LEAST_SAMPLES
        for role in _JUDGED if long else ():  # a leak shows in minutes, not in seconds
            if not any(role in sample.by_role for sample in self._samples):  # there is no ExifTool
                continue
            lived = _last_life(self._samples, role)
            if len(lived) < _LEAST_SAMPLES:
                self._blame([f"{role}: not alive for long, though nobody killed it: {len(lived)} samples"])
                continue
            third = len(lived) // 3
            first, last = _median_use(lived[:third]), _median_use(lived[-third:])
            for when, use in (("first third", first), ("last third", last)):
                self._figures.measured[f"{role}, MB, {when}"] = round(use[0] / 1e6, 2)
                self._figures.measured[f"{role}, descriptors, {when}"] = use[1]
                self._figures.measured[f"{role}, threads, {when}"] = use[2]
            if last[0] > first[0] * (1 + _MEMORY_SHARE) + _MEMORY_BYTES:
                self._blame([f"{role}: memory has grown from {first[0] / 1e6:.1f} to {last[0] / 1e6:.1f} MB"])
            spare = _SPARE.get(role, (0, 0))
            for name, before, after, more in zip(("descriptors", "threads"), first[1:], last[1:], spare, strict=True):
                if after > before + more:
                    self._blame([f"{role}: {name} have grown from {before:g} to {after:g}"])

    def _tell(self) -> None:
        measured = self._figures.measured
        measured["files put in"] = self._load.left.files + sum(left.files for left in self._written)
        measured["files of bad writers"] = sum(left.files for left in self._written)
        measured["originals restored"] = self._load.restored
        measured["samples"] = len(self._samples)
        measured["most in the inbox"] = max(sample.waiting for sample in self._samples)
        measured["most journal segments"] = max(sample.journal for sample in self._samples)
        measured["most MB of all together"] = round(max(s.by_role["all"].memory for s in self._samples) / 1e6, 1)
        measured.update({f"faults: {name}": number for name, number in sorted(self._faults.items())})


def _last_life(samples: Sequence[Sample], role: str) -> list[Use]:
    """A role from when the last of its processes was killed on, but for the warm-up; PostgreSQL's come and go."""
    if role == "PostgreSQL":
        lived = [sample.by_role[role] for sample in samples if sample.stretch == 2 and role in sample.by_role]
    else:
        pids = samples[-1].by_role[role].pids if role in samples[-1].by_role else frozenset()
        lived = [use for sample in samples if (use := sample.by_role.get(role)) is not None and use.pids == pids]
    return lived[int(len(lived) * _WARM_UP) :]


def _median_use(some: Sequence[Use]) -> tuple[float, float, float]:
    return (
        median(use.memory for use in some),
        median(use.descriptors for use in some),
        median(use.threads for use in some),
    )


def _carry_out_all(jobs: Sequence[Job]) -> list[Left]:
    return [carry_out(job) for job in jobs]


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
