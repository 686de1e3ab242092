"""The fault campaign: each kind of fault, many times over, and after each the whole promise checked from outside.

    .venv/bin/python -m Stack.faults [FAULT ...] [--short] [--amount N] [--seed N] [--folder DIR] [--json FILE]

Without a name, every kind of fault. Exit code: 1 where a promise was broken, 3 where this machine lacks what a fault
needs, 0 where all is well.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, cast

from Stack.faults.orders import Figures, NotPossible, Orders

# What a campaign consists of. A new kind of fault is a module here and a line.
FAULTS = {
    "kills": "Stack.faults.kills",
    "power": "Stack.faults.power",
    "ledger": "Stack.faults.ledger",
    "lost-ledger": "Stack.faults.lost_ledger",
    "surroundings": "Stack.faults.surroundings",
    "writers": "Stack.faults.writers",
    "links": "Stack.faults.links",
    "rot": "Stack.faults.rot",
    "hostile": "Stack.faults.hostile",
    "hang": "Stack.faults.hang",
    "soak": "Stack.faults.soak",
}
BROKEN, NOT_POSSIBLE = 1, 3
_ROW = "{:<13}{:>8}  {:<10}{:>11}{:>9}  {}"


class Fault(Protocol):
    """The module of a kind of fault."""

    UNIT: str
    FULL: int  # how many make a whole campaign
    SHORT: int  # how many take 20 s

    def run(self, orders: Orders) -> Figures: ...


def load(name: str) -> Fault:
    """Imported only when asked for: each needs things of its own."""
    return cast(Fault, importlib.import_module(FAULTS[name]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of: {', '.join(FAULTS)}")
    amounts = parser.add_mutually_exclusive_group()
    amounts.add_argument("--short", action="store_true", help="about 20 s of each")
    amounts.add_argument("--amount", type=int, help="how many of each (default: a whole campaign)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of an earlier campaign")
    parser.add_argument("--folder", type=Path, help="where to work; what broke a promise is kept there")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    if unknown := set(options.faults) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")

    results: dict[str, dict[str, Any]] = {}
    print(f"seed {options.seed}")
    print(_ROW.format("fault", "done", "unit", "violations", "seconds", "measured"), flush=True)
    for name in options.faults or FAULTS:
        results[name] = result = _carry_out(name, options)
        print(_row(name, result), flush=True)
        if options.json:
            options.json.write_text(json.dumps({"seed": options.seed, "faults": results}, indent=2))
    if any(result.get("violations") for result in results.values()):
        return BROKEN
    return NOT_POSSIBLE if any("not_possible" in result for result in results.values()) else 0


def _carry_out(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One kind of fault, in a folder of its own; whatever becomes of it, the others get their turn."""
    folder = Path(tempfile.mkdtemp(prefix=f"pf-{name}-", dir=options.folder))
    folder.chmod(0o711)  # PostgreSQL's own account passes through
    figures = Figures("")
    began = time.monotonic()
    try:
        fault = load(name)
        amount = fault.SHORT if options.short else options.amount or fault.FULL
        figures = fault.run(Orders(folder, options.seed, amount))
    except NotPossible as reason:
        return {"not_possible": str(reason)}
    except Exception as error:
        traceback.print_exc()
        figures.blame(f"{name}, seed {options.seed}", [f"{type(error).__name__}: {error}".splitlines()[0]])
    finally:
        if figures.violations and options.folder:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return {**asdict(figures), "seconds": round(time.monotonic() - began, 1)}


def _row(name: str, result: dict[str, Any]) -> str:
    if "not_possible" in result:
        return f"{name:<13}not possible: {result['not_possible']}"
    measured = ", ".join(f"{key} {value}" for key, value in result["measured"].items())
    done, violations = f"{result['done']:,}", len(result["violations"])
    return _ROW.format(name, done, result["unit"], violations, f"{result['seconds']:,.0f}", measured)


if __name__ == "__main__":
    sys.exit(main())
