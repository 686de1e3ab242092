"""An inbox with very many files: waiting to be complete, or there to stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench, librarian
from benchmarks.case import Amount, Case, Goal, Measured
from benchmarks.usage import CpuMeter, cpu_over_time, memory, repeatedly

_BUSY = 0.1  # of a core: what is more is work, what is less stands by


def waiting(bench: Bench, amount: Amount) -> Measured:
    """Memory while files are found, and when all are known."""
    never = {"STABILITY_DELAY": "3600", "MIN_FILE_AGE": "3600", "HEARTBEAT_INTERVAL": "1"}
    with bench.factory(never) as factory:
        make_crowd(factory.inbox, amount.files)

        def all_known() -> bool:
            rows = factory.asked("SELECT details FROM system_status WHERE service_name = 'librarian'")
            return bool(rows) and (rows[0][0] or {}).get("waiting", 0) >= amount.files

        most = []
        with librarian(factory, all_known) as process, repeatedly(lambda: most.append(memory(process.pid))):
            pass
    return Measured([[max(most)]])


def idle(bench: Bench, amount: Amount) -> Measured:
    """The delays are as they come; a round is a scan and the time until the next."""
    delays = {"STABILITY_DELAY": "5", "MIN_FILE_AGE": "2", "SCAN_INTERVAL": str(amount.seconds)}
    with bench.factory(delays) as factory:
        make_crowd(factory.inbox, amount.files)

        def all_seen() -> bool:
            rows = factory.asked("SELECT count(*) FROM inbox_files WHERE state = 'not_media'")
            return bool(rows) and rows[0][0] >= amount.files

        with librarian(factory, all_seen) as process:
            meter = CpuMeter(process.pid, factory.cluster)
            before = meter.look()["PostgreSQL"]
            seconds = (amount.rounds + 0.5) * amount.seconds
            steps = cpu_over_time(meter, seconds)
            postgres = meter.look()["PostgreSQL"] - before
            megabytes = memory(process.pid)
    every = bursts(steps)
    scans = [burst for burst in every if burst >= max(every, default=0.0) / 2]  # nothing else does nearly as much
    others = [burst for burst in every if burst not in scans]
    by_and_by = sum(used for _, used in steps) - sum(scans)
    return Measured(
        [scans or [0.0], [100 * by_and_by / seconds]],
        {
            "other bursts of work a minute": 60 * len(others) / seconds,
            "CPU s for each of these": median(others) if others else 0.0,
            "PostgreSQL, % of a core": 100 * postgres / seconds,
            "memory of the librarian and its readers, MB": megabytes,
        },
    )


def bursts(steps: Sequence[tuple[float, float]]) -> list[float]:
    """CPU seconds of each stretch of work: the scans, and what else comes now and then."""
    found = [0.0]
    for passed, used in steps:
        if used > _BUSY * passed:
            found[-1] += used
        elif found[-1]:
            found.append(0.0)
    return [burst for burst in found if burst]


def make_crowd(inbox: Path, count: int) -> None:
    """Files of no media, a thousand in a folder."""
    for number in range(count):
        folder = inbox / f"{number // 1000:03d}"
        if number % 1000 == 0:
            folder.mkdir()
        (folder / f"{number:06d}.jpg").write_bytes(b"\0\1\2\3 no photo")


WAITING = Case(
    "waiting",
    "{files} files that are not complete yet",
    (Goal("memory of the librarian and its readers", 250, "MB"),),
    Amount(files=100_000, rounds=1),
    Amount(files=2000, rounds=1),
    waiting,
)
IDLE = Case(
    "idle",
    "{files} files of no media stay in the inbox",
    (Goal("CPU of a scan", 1.0, "s"), Goal("CPU between the scans", 1.0, "% of a core")),
    Amount(files=100_000, rounds=2, seconds=60.0),
    Amount(files=2000, rounds=1, seconds=4.0),
    idle,
)
