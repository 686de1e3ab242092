"""What the processes of a factory take: memory, descriptors, threads, by the part they play."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from Stack.tests.real_factory import Factory, command_line

# Part -> what its command line holds; the first that fits.
_ROLES = {
    "runner": "Src.Factory.runner_process",
    "readers": "Src.Librarian.read.reader",
    "readers' tracker": "multiprocessing.resource_tracker",
    "ExifTool": "exiftool",
    "librarian": "Src.Librarian",
    "service-monitor": "Src.Shared.service_monitor",
    "PostgreSQL": "postgres",
}


class Use(NamedTuple):
    """What the processes of one role take together."""

    pids: frozenset[int] = frozenset()
    memory: int = 0  # bytes of their own, as PSS counts them; without files' pages and PostgreSQL's shared buffers
    descriptors: int = 0
    threads: int = 0


def uses(factory: Factory) -> dict[str, Use]:
    """By role, and of all together."""
    found: defaultdict[str, Use] = defaultdict(Use)
    for pid in factory.processes():
        with suppress(OSError):  # it has just ended
            one = _use_of(pid)
            for role in (role_of(pid), "all"):
                found[role] = _sum((found[role], one))
    return dict(found)


def role_of(pid: int) -> str:
    """Which part a process plays."""
    line = command_line(pid)
    return next((role for role, words in _ROLES.items() if words in line), "other")


def pids_of(factory: Factory, role: str) -> list[int]:
    """The processes that play this part now."""
    return [pid for pid in factory.processes() if role_of(pid) == role]


def _use_of(pid: int) -> Use:
    process = Path(f"/proc/{pid}")
    memory = _number("Pss_Anon", (process / "smaps_rollup").read_text()) * 1024
    threads = _number("Threads", (process / "status").read_text())
    return Use(frozenset((pid,)), memory, len(os.listdir(process / "fd")), threads)


def _sum(some: Iterable[Use]) -> Use:
    pids, memory, descriptors, threads = zip(*some, strict=True)
    return Use(frozenset().union(*pids), sum(memory), sum(descriptors), sum(threads))


def _number(name: str, text: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    return int(match[1]) if match else 0


def megabytes(by_role: Mapping[str, Use]) -> dict[str, float]:
    """For people."""
    return {role: round(use.memory / 1e6, 1) for role, use in by_role.items()}
