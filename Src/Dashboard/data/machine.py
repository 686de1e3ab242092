"""The machine: CPU, memory, disks, and what is installed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil
import streamlit as st

from Src.Dashboard.health import Disk
from Src.Dashboard.resources import settings
from Src.Media.exiftool_program import exiftool_here
from Src.Shared.liveness import Lives


@dataclass(frozen=True, slots=True)
class Machine:
    """Percent, and bytes."""

    cpu: float
    cores: int
    memory_used: int
    memory_total: int
    disks: tuple[Disk, ...]


@st.cache_data(ttl=2, show_spinner=False)
def machine() -> Machine:
    memory = psutil.virtual_memory()
    return Machine(
        cpu=_processors().percent(),
        cores=psutil.cpu_count() or 1,
        memory_used=memory.total - memory.available,
        memory_total=memory.total,
        disks=_disks(settings().inbox, settings().storage),
    )


class _Processors:
    """How busy they were since the last look. psutil remembers that for each thread, and each run of a page is one."""

    def __init__(self) -> None:
        self._busy, self._all = 0.0, 0.0

    def percent(self) -> float:
        times = psutil.cpu_times()._asdict()
        every = sum(time for kind, time in times.items() if not kind.startswith("guest"))  # which user has in it
        busy = every - times["idle"] - times.get("iowait", 0.0)
        busy_since, all_since = busy - self._busy, every - self._all
        self._busy, self._all = busy, every
        return min(100.0, max(0.0, 100.0 * busy_since / all_since)) if all_since > 0 else 0.0


@st.cache_resource(show_spinner=False)
def _processors() -> _Processors:
    return _Processors()


@st.cache_data(ttl=30, show_spinner=False)
def exiftool_problem() -> str | None:
    """Why ExifTool cannot be used here."""
    return exiftool_here(trust_any_version=settings().exiftool_unsafe).problem


def seconds_since_touch(service: str) -> float | None:
    """Since a service on this machine showed that it lives; None: it never did, or not here."""
    return lives().age(service)


def lives() -> Lives:
    return Lives(settings().run, settings().loop_limit, settings().host)


def _disks(inbox: Path, storage: Path) -> tuple[Disk, ...]:
    inbox, storage = _existing(inbox), _existing(storage)
    try:
        if inbox.stat().st_dev == storage.stat().st_dev:
            return (_disk("inbox and vault", storage),)
        return (_disk("the inbox", inbox), _disk("the vault", storage))
    except OSError:  # gone in this moment: a disk that was pulled out
        return ()


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _disk(name: str, folder: Path) -> Disk:
    usage = shutil.disk_usage(folder)
    return Disk(name, usage.total, usage.free)
