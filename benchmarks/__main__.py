"""Measures how fast and how frugal Photo Factory is, case by case, each against its goal.

All is told as ratios within one run, medians of several rounds, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path

from benchmarks.again import AGAIN
from benchmarks.bench import Bench
from benchmarks.case import Amount, NotPossible
from benchmarks.crowd import IDLE, WAITING
from benchmarks.exiftool import EXIFTOOL
from benchmarks.ingest import COPY, INGEST, LEDGER, MIXED, SMALL
from benchmarks.known import KNOWN
from benchmarks.latency import LATENCY
from benchmarks.neighbour import NEIGHBOUR
from benchmarks.peers import PEERS_CASE
from benchmarks.picture import draw
from benchmarks.real_libraries import ANDROID, ARCHIVE, CAMERA, CAMERAS, IPHONE
from benchmarks.results import HEADING, Result, load, markdown, save
from benchmarks.video import VIDEO

_ALL = (
    *(INGEST, COPY, SMALL, KNOWN, AGAIN, MIXED, ANDROID, IPHONE, CAMERA, ARCHIVE, CAMERAS),
    *(NEIGHBOUR, VIDEO, LEDGER, WAITING, IDLE, LATENCY, EXIFTOOL, PEERS_CASE),
)
CASES = {case.name: case for case in _ALL}
_SHARED_MEMORY = Path("/dev/shm")


def main() -> int:
    """0 all goals reached, 1 some missed, 2 something could not be measured."""
    options = _options()
    results = load(options.json) if options.json else {}
    names = [name for name in options.case or CASES if not (options.resume and name in results)]
    not_possible = False
    print(HEADING if names else "all measured already", flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        folder.chmod(0o711)  # PostgreSQL's own account passes through
        bench = Bench(folder, _other_filesystem(folder, options.other_filesystem))
        for name in names:
            case = CASES[name]
            given = {field.name: getattr(options, field.name) for field in fields(Amount)}
            amount = replace(
                case.quick if options.quick else case.full,
                **{what: value for what, value in given.items() if value is not None},
            )
            began = time.monotonic()
            try:
                measured = case.measure(bench, amount)
            except NotPossible as why:
                print(f"{case.title_for(amount)}\n  not measured: {why}", flush=True)
                not_possible = True
                continue
            results[name] = result = Result.of(case, amount, measured, time.monotonic() - began)
            print(*result.lines(), sep="\n", flush=True)
            if options.json:
                save(options.json, _in_order(results))
    if options.markdown:
        options.markdown.write_text("\n".join(markdown(_in_order(results))) + "\n")
    if options.picture:
        draw(options.picture, _in_order(results))
    if not_possible:
        return 2
    return 0 if all(bar.reached for result in results.values() for bar in result.bars) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks", description=__doc__, epilog=f"cases: {', '.join(CASES)}")
    parser.add_argument("case", nargs="*", help="which to measure, one after the other (default: all)")
    parser.add_argument("--quick", action="store_true", help="small amounts: shows that it works, not how fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results here, with those already there")
    parser.add_argument("--resume", action="store_true", help="pass over cases that the JSON file has")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the goals of all results as a table")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw all results (SVG)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to work, on a disk (needs up to 10 GB)")
    parser.add_argument(
        "--other-filesystem", type=Path, metavar="DIR", help="for the vault of `copy` (default: memory)"
    )
    amounts = parser.add_argument_group("amounts in place of a case's own")
    for name, what in (
        ("files", "how many"),
        ("size", "bytes of a file"),
        ("rounds", "how often, for a median"),
        ("rows", "in the ledger of `ledger`"),
        ("seconds", "between the scans of `idle`"),
    ):
        amounts.add_argument(f"--{name}", type=float if name == "seconds" else int, metavar="N", help=what)
    options = parser.parse_args()
    if unknown := [name for name in options.case if name not in CASES]:
        parser.error(f"no such case: {', '.join(unknown)} (there are {', '.join(CASES)})")
    return options


def _other_filesystem(folder: Path, given: Path | None) -> Path | None:
    if given is not None:
        return given
    other = _SHARED_MEMORY
    return other if other.is_dir() and other.stat().st_dev != folder.stat().st_dev else None


def _in_order(results: dict[str, Result]) -> dict[str, Result]:
    return {name: results[name] for name in CASES if name in results}


if __name__ == "__main__":
    sys.exit(main())
