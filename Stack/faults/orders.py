"""What a campaign gives to each kind of fault, and what it gets back."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


class NotPossible(Exception):
    """This machine lacks what a fault needs (root, loop devices, a program); the message says what and why."""


@dataclass(frozen=True)
class Orders:
    """How much of a fault, where, and with which seed. The same orders give the same faults as far as time allows."""

    folder: Path  # empty, to work in; PostgreSQL's own account can pass through it
    seed: int
    amount: int  # in the fault's own unit: kills, cuts, files, seconds

    def chance(self) -> random.Random:
        return random.Random(self.seed)


@dataclass
class Figures:
    """What came of it."""

    unit: str  # "kills", "cuts", "files", …
    done: int = 0
    violations: list[str] = field(default_factory=list)  # one line each: which promise, which file, which seed
    measured: dict[str, float | int | str] = field(default_factory=dict)  # what else is worth telling, by name

    def blame(self, what: str, broken: Iterable[str]) -> None:
        """Notes broken promises, each with the fault that broke it, and says so at once."""
        for one in broken:
            self.violations.append(f"{what}: {one}")
            print(f"VIOLATION {what}: {one}", flush=True)
