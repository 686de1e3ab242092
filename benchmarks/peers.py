"""Other programs that sort photos into days' folders, on the same libraries in the same run.

A peer that is not installed is left out. What each does not do, `./factory ingest` does: README.md has the list.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.case import Amount, Case, Measured
from benchmarks.ingest import slope
from benchmarks.libraries.android import android
from benchmarks.libraries.camera import camera
from benchmarks.libraries.library import Group, Template, write
from benchmarks.photos import PARTS, sync, warm

_DAY = "%Y/%Y-%m-%d"
LIBRARIES: dict[str, Callable[[], Sequence[Template | Group]]] = {"android": android, "camera": camera}


@dataclass(frozen=True)
class Peer:
    """A program, and what it is called with to move the files of one folder into days' folders of another."""

    name: str
    program: str
    arguments: Callable[[Path, Path], Sequence[str]]


PEERS = (
    Peer(
        "ExifTool",
        "exiftool",
        lambda source, target: [
            *("-q", "-q", "-m", "-r", "-d", f"{target}/{_DAY}/%%f%%-c.%%e"),
            # The last that a file has wins.
            *("-FileName<FileModifyDate", "-FileName<CreateDate", "-FileName<DateTimeOriginal", str(source)),
        ],
    ),
    Peer("phockup", "phockup", lambda source, target: [str(source), str(target), "--move", "-d", "YYYY/YYYY-MM-DD"]),
    Peer(
        "Elodie", "elodie", lambda source, target: ["import", "--trash", f"--destination={target}", str(source)]
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What a program took for some files."""

    seconds: float
    cpu: float  # seconds
    filed: int


def side_by_side(bench: Bench, amount: Amount) -> Measured:
    figures: dict[str, float] = {}
    for name, of in LIBRARIES.items():
        with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
            files = write(Path(folder), of(), amount.files)
            figures |= {f"{name}, {what}": value for what, value in _measured(bench, files, amount.rounds).items()}
    return Measured([], figures)


def _measured(bench: Bench, files: Sequence[Path], rounds: int) -> dict[str, float]:
    part = files[: len(files) // PARTS]
    more = len(files) - len(part)
    rates: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    filed: dict[str, float] = {}
    for _ in range(rounds):
        ours = slope(bench, files)
        rates.setdefault("ingest", []).append(1 / ours.per_file)
        cpu.setdefault("ingest", []).append(sum(ours.cpu.values()))
        for peer in PEERS:
            if shutil.which(peer.program) is None:
                continue
            whole, some = _run(bench, peer, files), _run(bench, peer, part)
            rates.setdefault(peer.name, []).append(more / (whole.seconds - some.seconds))
            cpu.setdefault(peer.name, []).append(1000 * (whole.cpu - some.cpu) / more)
            filed[f"{peer.name}, % of the files moved"] = 100 * whole.filed / len(files)
    return {
        **{f"{name}, files/s": median(values) for name, values in rates.items()},
        **{f"{name}, ms of CPU a file": median(values) for name, values in cpu.items()},
        **filed,
    }


def _run(bench: Bench, peer: Peer, files: Sequence[Path]) -> Run:
    """Copies of the files are moved, as from an inbox, and brought to the disk, as `ingest` does."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        source, target = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        target.mkdir()
        warm(files)
        for file in files:
            shutil.copyfile(file, source / file.name)
        sync(source)
        used, began = _cpu_of_children(), time.perf_counter()
        # (some end with an error where one file of many could not be moved)
        subprocess.run([peer.program, *peer.arguments(source, target)], capture_output=True, check=False)
        sync(target)
        seconds = time.perf_counter() - began
        filed = sum(path.is_file() for path in target.rglob("*"))
        return Run(seconds, _cpu_of_children() - used, filed)


def _cpu_of_children() -> float:
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


PEERS_CASE = Case(
    "peers",
    "ingest and other programs, on libraries of {files} files",
    (),
    Amount(files=600),
    Amount(files=200, rounds=1),
    side_by_side,
)
