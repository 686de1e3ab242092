"""A run of `./factory ingest` that is watched: how long, how much memory, and what it says."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from Stack.tests.real_factory import Factory

_EACH = 0.1  # seconds between looks


@dataclass(frozen=True)
class Run:
    """How it ended."""

    code: int | None  # None: it did not end, and was killed
    report: dict[str, int | float]  # empty where it printed none
    said: str  # stdout and stderr
    seconds: float
    memory: float  # MB at most, of the whole tree but PostgreSQL


def ingest(factory: Factory, limit: float) -> Run:
    """Runs it to its end, at most for `limit` seconds."""
    out, err = factory.data.parent / "ingest.out", factory.data.parent / "ingest.err"
    began, most = time.monotonic(), 0.0
    with open(out, "wb") as to_out, open(err, "wb") as to_err:
        process = subprocess.Popen(
            factory.command("ingest", "--json"),
            env=factory.env(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=to_out,
            stderr=to_err,
            start_new_session=True,
        )
    ended = True
    while process.poll() is None:
        if time.monotonic() - began > limit:
            ended = False
            factory.kill_all()
        most = max(most, _memory(process.pid))
        time.sleep(_EACH)
    seconds = time.monotonic() - began
    printed = out.read_bytes()
    said = (printed + err.read_bytes()).decode(errors="backslashreplace")
    try:
        report = json.loads(printed)
    except ValueError:
        report = {}
    return Run(process.returncode if ended else None, report, said, seconds, most)


def _memory(pid: int) -> float:
    """Proportional memory (PSS) of a process and all below it, in MB: shared pages count once."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for one in family:
        try:
            if one.name() != "postgres":
                rollup = Path(f"/proc/{one.pid}/smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration, psutil.Error):  # it has just ended
            continue
    return total * 1024 / 1e6
