"""Disks, the inbox and the clock in trouble while photos arrive: work resumes by itself, and nothing is lost."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from Stack.faults.clock import Clock
from Stack.faults.disk import Disk, disk_at
from Stack.faults.orders import Figures, NotPossible, Orders
from Stack.faults.server import DATABASE, empty_ledger
from Stack.faults.site import Site, again_and_again, site_in, spread, up, wait_for

UNIT = "faults"
FULL = 33
SHORT = 3

LANES = 3  # factories in trouble at once: most of the time is waiting
TOLD_WITHIN = 120.0  # seconds until `status` tells of the trouble
FILED_WITHIN = 120.0  # seconds for a photo where nothing keeps it from being filed
AHEAD = 200  # photos written before a disk is full
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")  # root's power to read everything

Place = Literal["Storage", "", "factory-db-data", "Photos_Inbox"]
Status = dict[str, Any]


@dataclass
class Scene:
    """A site in its surroundings."""

    site: Site
    disk: Disk | None
    clock: Clock | None

    @property
    def drive(self) -> Disk:
        assert self.disk is not None
        return self.disk

    @property
    def inbox(self) -> Path:
        return self.site.factory.inbox


Fault = Callable[[Scene], AbstractContextManager[object]]


@dataclass(frozen=True)
class Kind:
    """One kind of trouble."""

    name: str
    fault: Fault
    told: Callable[[Status], bool] | None  # whether `status` tells of it; None: it is no trouble, photos are filed
    disk: Place | None = None  # the folder of the factory that is a disk of its own
    unprivileged: bool = False
    clock: bool = False


# -- the kinds ----------------------------------------------------------------------------------------------


def _full(scene: Scene) -> AbstractContextManager[None]:
    return scene.drive.full()


@contextmanager
def _all_full(scene: Scene) -> Iterator[None]:
    """Photos that were written before are still moved into the inbox: that, and to link them, takes no room."""
    arrivals = scene.site.arrivals
    with ExitStack() as stack:
        with arrivals.held_back:
            arrivals.write_ahead(AHEAD)
            stack.enter_context(scene.drive.full())
        began = time.monotonic()
        wait_for(
            lambda: any(one.is_filed for one in arrivals.since(began)), FILED_WITHIN, "photos are linked meanwhile"
        )
        yield


@contextmanager
def _unmounted(scene: Scene) -> Iterator[None]:
    scene.drive.unmount()
    yield
    _mount_again(scene, scene.site.factory.storage)


@contextmanager
def _unmounted_lazily(scene: Scene) -> Iterator[None]:
    scene.drive.unmount_lazily()
    yield
    _mount_again(scene, scene.site.factory.storage)


def _mount_again(scene: Scene, mount_point: Path) -> None:
    hidden = [str(path) for path in mount_point.rglob("*") if path.is_file() and path.name != "vault.lock"]
    scene.drive.mount()
    assert not hidden, f"filed below the mount point, where the disk hides it: {hidden}"


@contextmanager
def _read_only(scene: Scene) -> Iterator[None]:
    scene.drive.make_read_only()
    yield
    scene.drive.make_writable()


@contextmanager
def _inbox_unreadable(scene: Scene) -> Iterator[None]:
    scene.inbox.chmod(0)
    yield
    scene.inbox.chmod(0o755)


@contextmanager
def _inbox_unmounted(scene: Scene) -> Iterator[None]:
    """An empty folder instead of the inbox. Never but lazily: its one Librarian holds it open."""
    with scene.site.arrivals.held_back:
        scene.drive.unmount_lazily()
        yield
        scene.drive.mount()


@contextmanager
def _inbox_moved(scene: Scene) -> Iterator[None]:
    away = scene.inbox.with_name("away")
    scene.inbox.rename(away)
    yield
    away.rename(scene.inbox)


@contextmanager
def _inbox_deleted(scene: Scene) -> Iterator[None]:
    """Once it is empty: what a person deletes is not ours to keep."""
    with scene.site.arrivals.held_back:
        wait_for(lambda: not scene.site.arrivals.waiting(), FILED_WITHIN, "the inbox is empty")
        shutil.rmtree(scene.inbox)
    yield
    scene.inbox.mkdir(exist_ok=True)


@contextmanager
def _clock_jumps(scene: Scene) -> Iterator[None]:
    clock, chance = scene.clock, scene.site.chance
    assert clock is not None
    for days in chance.sample((1, -1), 2):
        clock.jump(days)
        seen = partial(_filed_on, days, scene.site, time.monotonic())
        wait_for(seen, FILED_WITHIN, f"a photo is filed after a jump of {days:+d} d")
        time.sleep(chance.uniform(0.0, 1.0))
    yield
    clock.jump(0)


def _filed_on(day: int, site: Site, since: float) -> bool:
    """Whether a photo that came since then was filed, by the factory's clock, so many days from now."""
    came = [one.source.original_path for one in site.arrivals.since(since)]
    filed = "SELECT extract(epoch FROM ingested_at - now()) / 86400 FROM media_assets WHERE original_path = ANY(%s)"
    return any(round(float(days)) == day for (days,) in site.ledger.ask(filed, came, database=DATABASE))


def _librarian_says(status: str) -> Callable[[Status], bool]:
    return lambda told: any(one["name"] == "librarian" and one["status"] == status for one in told["services"])


def _journal_told(told: Status) -> bool:
    return not told["database"]["reachable"] or told["database"]["journaled"] > 0


_ERROR = _librarian_says("ERROR")

KINDS = (
    Kind("vault full", _full, _ERROR, "Storage"),
    Kind("vault unmounted lazily", _unmounted_lazily, _ERROR, "Storage"),
    Kind("inbox moved away and back", _inbox_moved, _ERROR),
    Kind("vault unmounted", _unmounted, _ERROR, "Storage"),
    Kind("vault read-only", _read_only, _ERROR, "Storage"),
    Kind("inbox and vault full", _all_full, None, ""),
    Kind("ledger full", _full, _journal_told, "factory-db-data"),
    Kind("inbox unreadable", _inbox_unreadable, _ERROR, unprivileged=True),
    Kind("inbox deleted", _inbox_deleted, _ERROR),
    Kind("inbox unmounted", _inbox_unmounted, None, "Photos_Inbox"),
    Kind("clock jumps", _clock_jumps, None, clock=True),
)


# -- the campaign -------------------------------------------------------------------------------------------


def run(orders: Orders) -> Figures:
    """All kinds of trouble under `up`; those that cannot be had here are named in `measured`."""
    figures = Figures(UNIT)
    template = empty_ledger(orders.folder / "template")

    def work(kind: Kind, times: int) -> int:
        folder = orders.folder / kind.name.replace(" ", "_")
        chance = random.Random(f"{orders.seed}, {kind.name}")
        try:
            return again_and_again(
                times, partial(_scene, kind, folder, template, chance), partial(_try, figures, kind, orders.seed)
            )
        except NotPossible as reason:
            figures.measured[f"{kind.name}: not possible"] = str(reason)
            return 0

    with ThreadPoolExecutor(LANES) as pool:
        pairs = zip(KINDS, spread(orders.amount, len(KINDS)), strict=True)
        for done in [pool.submit(work, kind, times) for kind, times in pairs if times]:
            figures.done += done.result()
    if not figures.done:
        raise NotPossible("; ".join(str(reason) for reason in figures.measured.values()))
    return figures


def _try(figures: Figures, kind: Kind, seed: int, scene: Scene, number: int) -> bool:
    measured: dict[str, float] = {}
    try:
        _strike(kind, scene, measured)
        broken = list(scene.site.broken_promises())
    except AssertionError as error:
        broken = [str(error)]
    figures.blame(f"{kind.name}, seed {seed}, fault {number}", broken)
    for name, value in measured.items():
        name = f"{kind.name}: {name}"
        figures.measured[name] = max(round(value, 1), float(figures.measured.get(name, 0)))
    return not broken


def _strike(kind: Kind, scene: Scene, measured: dict[str, float]) -> None:
    arrivals, chance = scene.site.arrivals, scene.site.chance
    with arrivals.coming():
        wanted = arrivals.filed() + chance.randint(1, 40)
        wait_for(lambda: arrivals.filed() >= wanted, FILED_WITHIN, "photos are filed before the fault")
        time.sleep(chance.uniform(0.0, 0.5))
        with kind.fault(scene):
            if kind.told is not None:
                measured["told after s"] = _told_after(kind, scene)
            time.sleep(chance.uniform(0.0, 3.0))
    arrivals.put(3)
    measured["all filed and in the ledger after s"] = scene.site.recover()


def _told_after(kind: Kind, scene: Scene) -> float:
    """Seconds until `./factory status` tells of the trouble."""
    tells = kind.told
    assert tells is not None
    return wait_for(
        lambda: tells(scene.site.factory.run("status", "--json").json()), TOLD_WITHIN, "status tells of the trouble"
    )


@contextmanager
def _scene(kind: Kind, folder: Path, template: Path, chance: random.Random) -> Iterator[Scene]:
    wrapper = UNPRIVILEGED if kind.unprivileged and os.geteuid() == 0 else ()
    if wrapper and shutil.which(wrapper[0]) is None:
        raise NotPossible("root reads everything, and there is no setpriv to take that power away")
    data = folder / "factory"
    folder.mkdir(mode=0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)  # PostgreSQL may still be ending
        disk = stack.enter_context(disk_at(data / kind.disk, folder / "disk")) if kind.disk is not None else None
        clock = Clock(folder / "clock") if kind.clock else None
        # On the inbox's disk, and passed over by the factory.
        waiting_room = data / "Photos_Inbox" / ".arriving" if kind.disk == "Photos_Inbox" else None
        embedded = kind.disk == "factory-db-data"
        site = stack.enter_context(site_in(folder, template, chance, embedded=embedded, waiting_room=waiting_room))
        if clock is not None:
            site.factory.environment.update(clock.environment)
        running = stack.enter_context(up(site, wrapper=wrapper))
        if clock is not None:
            stack.callback(clock.clean_up, running.pid)
            site.said = lambda: clock.forgive(running.output)
        yield Scene(site, disk, clock)
