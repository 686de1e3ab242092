"""What a benchmark is: what it does, how much of it, and which figures it shall reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median

from benchmarks.bench import Bench


class NotPossible(Exception):
    """This machine lacks what a case needs; the message says what."""


@dataclass(frozen=True)
class Goal:
    """A figure to reach."""

    what: str
    limit: float
    unit: str = "×"
    at_least: bool = False  # otherwise: at most

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"

    def share(self, value: float) -> float:
        """How much of what the goal allows was used: up to 1 it is reached."""
        if not self.at_least:
            return value / self.limit
        return self.limit / value if value > 0 else inf


@dataclass(frozen=True)
class Amount:
    """How much is measured. Each case says which of these it looks at."""

    files: int = 0
    size: int = 0  # bytes of a file
    rounds: int = 3
    rows: int = 0  # in the ledger beforehand
    seconds: float = 0.0  # between scans


@dataclass
class Measured:
    """What came of a case."""

    values: Sequence[Sequence[float]]  # for each goal in turn: one value a round
    figures: dict[str, float] = field(default_factory=dict)  # what else is worth telling
    cpu: dict[str, float] = field(default_factory=dict)  # ms a file, by who used them


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    name: str
    title: str  # may name the fields of the amount
    goals: tuple[Goal, ...]
    full: Amount
    quick: Amount
    measure: Callable[[Bench, Amount], Measured]

    def title_for(self, amount: Amount) -> str:
        return self.title.format(files=f"{amount.files:,}", size=readable(amount.size), rows=f"{amount.rows:,}")


@dataclass(frozen=True)
class Bar:
    """One goal, and what was measured."""

    goal: Goal
    value: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, goal: Goal, values: Sequence[float]) -> Bar:
        return cls(goal, median(values), min(values), max(values))

    @property
    def reached(self) -> bool:
        return 0 <= self.goal.share(self.value) <= 1  # below 0: a slope that is nothing but noise


def readable(size: float) -> str:
    """A size in bytes, for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if size >= factor:
            return f"{size / factor:g} {unit}"
    return f"{size:g} bytes"
