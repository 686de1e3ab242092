"""Who used how much: CPU seconds and memory of a factory's processes, seen from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

USERS = ("main", "readers", "ExifTool", "PostgreSQL")
_INTERVAL = 0.2  # seconds; what a process does between the last look and its end is not seen


class CpuMeter:
    """CPU seconds by user, of a process, all below it, and an embedded PostgreSQL."""

    def __init__(self, pid: int, cluster: Path) -> None:
        self._main, self._cluster = psutil.Process(pid), cluster
        self._seconds: dict[tuple[str, int], float] = {}

    def look(self) -> dict[str, float]:
        """Seconds used so far; processes that have ended count as they were last seen."""
        with suppress(psutil.Error):
            for process in family(self._main):
                with suppress(psutil.Error):
                    self._note(self._user(process), process.pid, sum(process.cpu_times()[:2]))
        with suppress(psutil.Error, OSError, ValueError, IndexError):
            server = psutil.Process(int((self._cluster / "postmaster.pid").read_text().split()[0]))
            below = sum(sum(child.cpu_times()[:2]) for child in server.children())
            self._note("PostgreSQL", server.pid, sum(server.cpu_times()[:4]) + below)  # [:4]: with those that ended
        return {user: sum(s for (who, _), s in self._seconds.items() if who == user) for user in USERS}

    def _note(self, user: str, pid: int, seconds: float) -> None:
        self._seconds[user, pid] = max(seconds, self._seconds.get((user, pid), 0.0))

    def _user(self, process: psutil.Process) -> str:
        if process.pid == self._main.pid:
            return "main"
        return "ExifTool" if any("exiftool" in word for word in process.cmdline()) else "readers"


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all below it."""
    return [process, *process.children(recursive=True)]


def memory(pid: int) -> float:
    """Megabytes of a process and all below it. Pages that they share count once (PSS)."""
    total = 0
    with suppress(psutil.Error):
        for process in family(psutil.Process(pid)):
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total / 1e6


@contextmanager
def repeatedly(look: Callable[[], object], interval: float = _INTERVAL) -> Iterator[None]:
    """Looks again and again, in a thread, until the block ends; and once more then."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(interval):
            look()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look()


def cpu_over_time(meter: CpuMeter, seconds: float, interval: float = 0.25) -> list[tuple[float, float]]:
    """What the librarian's own processes use: pairs of (seconds passed, CPU seconds used) one after the other."""
    steps = []
    at, used = time.monotonic(), _own(meter)
    end = at + seconds
    while at < end:
        time.sleep(interval)
        now, now_used = time.monotonic(), _own(meter)
        steps.append((now - at, now_used - used))
        at, used = now, now_used
    return steps


def _own(meter: CpuMeter) -> float:
    return sum(seconds for user, seconds in meter.look().items() if user != "PostgreSQL")
