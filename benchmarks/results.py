"""Results of cases: as lines of a table, and kept in a JSON file, into which single cases can be measured anew."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.case import Amount, Bar, Case, Goal, Measured

HEADING = f"{'':<58}{'measured':>10}{'lowest':>10}{'highest':>10}  goal"


@dataclass(frozen=True)
class Result:
    """What one case came to."""

    title: str
    bars: list[Bar]
    figures: dict[str, float]
    cpu: dict[str, float]  # ms a file, by who used them
    amount: Amount
    taken_at: str
    took: float  # seconds
    machine: str

    @classmethod
    def of(cls, case: Case, amount: Amount, measured: Measured, took: float) -> Result:
        bars = [Bar.of(goal, values) for goal, values in zip(case.goals, measured.values, strict=True)]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(
            case.title_for(amount), bars, measured.figures, measured.cpu, amount, now, round(took, 1), this_machine()
        )

    def lines(self) -> Iterator[str]:
        """Rows of the table under HEADING."""
        yield self.title
        for bar in self.bars:
            verdict = "" if bar.reached else "  MISSED"
            figures = f"{bar.value:>10,.2f}{bar.lowest:>10,.2f}{bar.highest:>10,.2f}"
            yield f"  {bar.goal.what:<56}{figures}  {bar.goal}{verdict}"
        for what, value in self.figures.items():
            yield f"  {what:<56}{value:>10,.2f}"
        if self.cpu:
            users = ", ".join(f"{user} {value:.2f}" for user, value in self.cpu.items())
            yield f"  {'CPU, ms a file':<56}{sum(self.cpu.values()):>10,.2f}  ({users})"


def markdown(results: dict[str, Result]) -> Iterator[str]:
    """The goals of all cases as a table for a document."""
    yield "| case | measure | goal | measured | lowest to highest | |"
    yield "|---|---|---|---|---|---|"
    for name, result in results.items():
        for bar in result.bars:
            spread = "" if bar.lowest == bar.highest else f"{bar.lowest:,.2f} to {bar.highest:,.2f}"
            verdict = "reached" if bar.reached else "**missed**"
            said = " | ".join((bar.goal.what, str(bar.goal), f"{bar.value:,.2f}", spread, verdict))
            yield f"| `{name}`: {result.title} | {said} |"


def load(path: Path) -> dict[str, Result]:
    """Results by name of case; none where there is no file yet."""
    if not path.exists():
        return {}
    return {name: _result(**kept) for name, kept in json.loads(path.read_text()).items()}


def save(path: Path, results: dict[str, Result]) -> None:
    path.write_text(json.dumps({name: asdict(result) for name, result in results.items()}, indent=2) + "\n")


def _result(bars: list[dict[str, object]], amount: dict[str, float], **rest: object) -> Result:
    kept = [Bar(Goal(**bar.pop("goal")), **bar) for bar in bars]  # type: ignore[arg-type]
    return Result(bars=kept, amount=Amount(**amount), **rest)  # type: ignore[arg-type]


def this_machine() -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB of memory, Python {platform.python_version()}"
    )
