"""Files that the vault has already come again: what it costs that each kept original is read before one is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks import floor
from benchmarks.bench import Bench, Run, ingest
from benchmarks.case import Amount, Case, Goal, Measured
from benchmarks.photos import PARTS, warm
from benchmarks.usage import USERS


def known_again(bench: Bench, amount: Amount) -> Measured:
    """Real copies in the inbox, both times: the second time each is a duplicate of a kept original."""
    files = bench.photos(amount.files, amount.size)
    part = files[: len(files) // PARTS]
    more = len(files) - len(part)
    floors, costs, cpu = [], [], []
    for _ in range(amount.rounds):
        warm(files)
        floors.append(floor.floor(files).seconds)
        whole, some = _again(bench, files), _again(bench, part)
        costs.append((whole.seconds - some.seconds) / more)
        cpu.append({user: 1000 * (whole.cpu[user] - some.cpu[user]) / more for user in USERS})
    return Measured(
        [[cost / base for cost, base in zip(costs, floors, strict=True)]],
        {"floor, files/s": 1 / median(floors), "known again, files/s": 1 / median(costs)},
        {user: median(one[user] for one in cpu) for user in USERS},
    )


def _again(bench: Bench, files: Sequence[Path]) -> Run:
    with bench.factory() as factory:
        ingest(factory, files)
        return ingest(factory, files, as_="duplicates")


KNOWN = Case(
    "known",
    "{files} photos of {size} that the vault has already",
    (Goal("cost per file / floor", 2.5),),
    Amount(files=10_000, size=100_000),
    Amount(files=1000, size=100_000, rounds=1),
    known_again,
)
