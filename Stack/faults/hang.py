"""The Librarian stands still while photos arrive: stopped, kept from a lock, waiting for a disk that never answers.

`./factory status` tells within the bound, and says what it is; when it is over, work resumes by itself.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from Src.Shared.errors import ExitCode
from Stack.faults.fuse_disk import FuseDisk, fuse_disk_at
from Stack.faults.orders import Figures, NotPossible, Orders
from Stack.faults.server import empty_ledger
from Stack.faults.site import Site, again_and_again, site_in, spread, up, wait_for
from Stack.tests.real_factory import Result, command_line

UNIT = "hangs"
FULL = 40
SHORT = 3

BOUND = 5.0  # seconds: LOOP_LIMIT
LOOKING = 85.0  # seconds more: the monitor's round, the ledger, and `status` itself, on a machine that others share
FILED_WITHIN = 120.0  # seconds for a photo where nothing keeps it from being filed
ENDS_WITHIN = 30.0  # seconds for a Librarian that is told to end while it waits for a lock

LIBRARIAN = "-m Src.Librarian "
Place = Literal["Storage", "Photos_Inbox"]


@dataclass
class Scene:
    site: Site
    disk: FuseDisk | None

    def librarian(self) -> int:
        running: list[int] = []

        def runs() -> list[int]:
            running[:] = self.site.factory.named(LIBRARIAN)
            return running

        wait_for(runs, FILED_WITHIN, "a librarian runs")
        return running[0]


Fault = Callable[[Scene], AbstractContextManager[object]]


@dataclass(frozen=True)
class Kind:
    """One way to stand still."""

    name: str
    fault: Fault
    says: tuple[str, ...]  # one of these is in the librarian's message
    disk: Place | None = None


@contextmanager
def _stopped(scene: Scene) -> Iterator[None]:
    librarian = scene.librarian()
    os.kill(librarian, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(librarian, signal.SIGCONT)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """By flock(1), as soon as it is free."""
    command = ["flock", str(path), "sh", "-c", "echo; exec sleep 600"]
    with subprocess.Popen(command, stdout=-1, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _vault_locked(scene: Scene) -> AbstractContextManager[None]:
    return _locked(scene.site.factory.storage / ".factory" / "vault.lock")


@contextmanager
def _vault_locked_before_the_start(scene: Scene) -> Iterator[None]:
    """And one that waits for it ends when it is told to."""
    with _vault_locked(scene):
        os.kill(scene.librarian(), signal.SIGKILL)
        time.sleep(scene.site.chance.uniform(2.0, 4.0))
        waiting = scene.librarian()
        os.kill(waiting, signal.SIGTERM)
        wait_for(lambda: LIBRARIAN not in command_line(waiting), ENDS_WITHIN, "a waiting librarian ends by SIGTERM")
        yield


@contextmanager
def _inbox_locked_before_the_start(scene: Scene) -> Iterator[None]:
    inbox = scene.site.factory.inbox
    queue = subprocess.Popen(["flock", inbox, "sleep", "600"], start_new_session=True)
    try:
        time.sleep(0.5)
        os.kill(scene.librarian(), signal.SIGKILL)
        yield
    finally:
        os.killpg(queue.pid, signal.SIGKILL)
        queue.wait()


@contextmanager
def _disk_silent(scene: Scene) -> Iterator[None]:
    assert scene.disk is not None
    with scene.site.arrivals.held_back, scene.disk.silent():
        yield


_STILL = ("the loop has stood still",)
KINDS = (
    Kind("librarian stopped", _stopped, _STILL),
    Kind("vault locked", _vault_locked, ("locked by flock (pid",)),
    Kind("vault silent", _disk_silent, _STILL, "Storage"),
    Kind("inbox silent", _disk_silent, _STILL, "Photos_Inbox"),
    Kind("vault locked before the start", _vault_locked_before_the_start, ("locked by flock (pid",)),
    Kind("inbox locked before the start", _inbox_locked_before_the_start, ("is locked by ",)),
)


def run(orders: Orders) -> Figures:
    """All ways; those that cannot be had here are named in `measured`."""
    figures = Figures(UNIT)
    if shutil.which("flock") is None:
        raise NotPossible("flock(1) is missing")
    template = empty_ledger(orders.folder / "template")
    for kind, times in zip(KINDS, spread(orders.amount, len(KINDS)), strict=True):
        folder = orders.folder / kind.name.replace(" ", "_")
        chance = random.Random(f"{orders.seed}, {kind.name}")
        place = partial(_scene, kind, folder, template, chance)
        try:
            figures.done += again_and_again(times, place, partial(_try, figures, kind, orders.seed))
        except NotPossible as reason:
            figures.measured[f"{kind.name}: not possible"] = str(reason)
    if not figures.done:
        raise NotPossible("; ".join(str(reason) for reason in figures.measured.values()))
    return figures


def _try(figures: Figures, kind: Kind, seed: int, scene: Scene, number: int) -> bool:
    try:
        told = _strike(kind, scene)
        name = f"{kind.name}: told after s"
        figures.measured[name] = max(round(told, 1), float(figures.measured.get(name, 0)))
        broken = list(scene.site.broken_promises())
    except AssertionError as error:
        broken = [str(error)]
    figures.blame(f"{kind.name}, seed {seed}, hang {number}", broken)
    return not broken


def _strike(kind: Kind, scene: Scene) -> float:
    """Seconds from the beginning of the fault until status told of it."""
    arrivals, chance = scene.site.arrivals, scene.site.chance
    with arrivals.coming():
        wanted = arrivals.filed() + chance.randint(1, 20)
        wait_for(lambda: arrivals.filed() >= wanted, FILED_WITHIN, "photos are filed before the fault")
        time.sleep(chance.uniform(0.0, 0.5))
        with kind.fault(scene):
            told = wait_for(lambda: _is_told(kind, scene), BOUND + LOOKING, f"status says {kind.says[0]!r}")
    arrivals.put(3)
    scene.site.recover()
    wait_for(lambda: _librarian(scene).get("status") == "OK", FILED_WITHIN, "status says that all is well again")
    return told


def _is_told(kind: Kind, scene: Scene) -> bool:
    status = scene.site.factory.run("status", "--json")
    librarian = _librarian_in(status)
    message = librarian.get("message") or ""
    is_told = librarian.get("status") == "ERROR" and any(words in message for words in kind.says)
    return is_told and (kind.disk is None or status.code == ExitCode.ERROR)


def _librarian(scene: Scene) -> dict[str, Any]:
    return _librarian_in(scene.site.factory.run("status", "--json"))


def _librarian_in(status: Result) -> dict[str, Any]:
    return next((one for one in status.json()["services"] if one["name"] == "librarian"), {})


@contextmanager
def _scene(kind: Kind, folder: Path, template: Path, chance: random.Random) -> Iterator[Scene]:
    data = folder / "factory"
    folder.mkdir(mode=0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        disk = stack.enter_context(fuse_disk_at(data / kind.disk, folder / "disk")) if kind.disk is not None else None
        waiting_room = data / "Photos_Inbox" / ".arriving" if kind.disk == "Photos_Inbox" else None
        site = stack.enter_context(site_in(folder, template, chance, embedded=False, waiting_room=waiting_room))
        site.factory.environment |= {"LOOP_LIMIT": f"{BOUND:g}", "MONITOR_INTERVAL": "1", "SCAN_INTERVAL": "2"}
        site.has_modes = kind.disk != "Storage"  # exFAT has none
        stack.enter_context(up(site))
        yield Scene(site, disk)
