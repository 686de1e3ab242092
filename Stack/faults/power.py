"""The power fails: the whole factory (inbox, vault, journal, PostgreSQL) is on a disk that stops at a random moment.

    .venv/bin/python -m Stack.faults.power [--cuts 8] [--seed 1] [--folder DIR] [--no-sync | --slow-syncfs]

A disk lives while the real `./factory ingest` works on it, and is copied several times as it stands (`image.py` says
why that is a power cut). Each copy is then mounted like the disk of a machine that has its power back: the kernel
replays its journal, `./factory ingest` is started, and the whole promise is checked.

A photo counts as put in when its sender has synced it before the cut; such a photo must come out. What a sender was
still writing may be anything afterwards: missing, torn, empty. It then is just another file, and has a fate as such.

With `--no-sync` the factory runs with `fsync`, `fdatasync` and `syncfs` that do nothing, and the campaign must find
losses: that shows that it would find a sync that is missing. With `--slow-syncfs` each `syncfs` takes longer, as beside
a program that writes much: the factory then syncs its own files instead.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from Src.Shared.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError
from Src.Shared.settings import Settings, load_settings
from Src.Testing.patience import wait_until
from Src.Testing.promise import Source, assert_promise_kept, ledger_rows, sources_in, vault_files
from Stack.faults.image import Disk, can_make, reflinking_filesystem
from Stack.faults.orders import Figures, NotPossible, Orders
from Stack.tests.photos import unique_jpeg
from Stack.tests.real_factory import SHORT_DELAYS, Factory, Running

UNIT = "cuts"
FULL = 100
SHORT = 4

CUTS_PER_LIFE = 8
RECOVERY_LIMIT = 180.0  # seconds
PHOTOS = 400  # in the inbox when a phase begins
AWAY = "ledger away"
# What a disk lives through, one after the other: its first start, the journal being written, the journal replayed.
PHASES = ("ledger there", AWAY, "ledger back")
# Filesystem, and how many of them: with two, the vault is on the second, and photos are copied instead of linked.
DISKS = (("ext4", 1), ("ext4", 2), ("xfs", 1), ("btrfs", 1), ("ext4", 1), ("xfs", 2), ("ext4", 2), ("btrfs", 2))


def run(orders: Orders) -> Figures:
    return cut_power(orders, {})


def cut_power(orders: Orders, environment: Mapping[str, str]) -> Figures:
    """`environment`: what the factory gets beside its settings while the power is on."""
    figures, tally = Figures(UNIT), Counter[str]()
    chance = orders.chance()
    disks = itertools.cycle([(kind, parts) for kind, parts in DISKS if can_make(kind)])
    with reflinking_filesystem(orders.folder) as outer, ThreadPoolExecutor(2) as pool:
        while figures.done < orders.amount:
            disk = Disk(outer / "disk", *next(disks))
            disk.format()
            cuts = Life(disk, orders.folder, chance, environment).live(min(CUTS_PER_LIFE, orders.amount - figures.done))
            for cut, after in zip(cuts, pool.map(lambda cut: recover(cut, orders.folder), cuts), strict=True):
                figures.done += 1
                tally.update(after.counts)
                figures.blame(f"cut {figures.done}, seed {orders.seed}, {cut}", after.broken)
    figures.measured.update(tally)
    return figures


@dataclass(frozen=True)
class Cut:
    """A disk as it was when the power failed, and what must be on it."""

    disk: Disk
    phase: str
    synced: list[Source]  # their senders had been told that they are on disk
    sent: list[Source]  # handed over, never synced
    filed_before: int  # originals in the vault when the phase began

    def __str__(self) -> str:
        return f"{self.disk.kind}, {'copying' if self.disk.parts > 1 else 'linking'}, {self.phase}"


class Life:
    """A factory on a new disk, from its first start on, as long as the power is on."""

    def __init__(self, disk: Disk, folder: Path, chance: random.Random, environment: Mapping[str, str]) -> None:
        self._disk = disk
        self._folders = [folder / "live", folder / "live-vault"][: disk.parts]
        self._chance = chance
        self._factory = factory_on(self._folders)
        self._factory.environment.update(
            environment, READERS=str(chance.choice((1, 2))), BATCH_SIZE=str(chance.choice((16, 16, 32, 64, 128)))
        )
        self._photos = photos(chance)
        self._synced: list[Source] = []

    def live(self, cuts: int) -> list[Cut]:
        """As many cuts, spread over the phases."""
        done: list[Cut] = []
        with self._disk.mounted(self._folders):
            try:
                for number, phase in enumerate(PHASES):
                    here = sum(cut * len(PHASES) // cuts == number for cut in range(cuts))
                    with ledger_away(self._factory) if phase == AWAY else nullcontext():
                        done += self._phase(phase, here, len(done) + 1)
            finally:
                self._factory.kill_all()
        return done

    def _phase(self, phase: str, cuts: int, number: int) -> list[Cut]:
        done: list[Cut] = []
        self._feed()
        before, photos_waiting = self._factory.filed(), self._waiting()
        # Below zero: while it starts, PostgreSQL's first start included.
        shares = sorted(self._chance.uniform(-0.1, 0.8) for _ in range(cuts))
        sender = Sender(self._factory.inbox, self._chance.randrange(1 << 40))
        with (
            beside(sender.work),
            beside(partial(sync_often, self._folders)),
            self._factory.start("ingest") as running,
        ):
            for share in shares:
                self._wait(running, photos_waiting * (1 - share) if share > 0 else None)
                disk = self._disk.snapshot(self._disk.path.with_name(f"cut-{number + len(done)}"))
                done.append(Cut(disk, phase, list(self._synced), list(sender.sent), before))
        self._synced += sender.sent  # the next phase begins with a sync
        return done

    def _feed(self) -> None:
        """Fills the inbox up, and syncs it."""
        for path, content in itertools.islice(self._photos, max(0, PHOTOS - self._waiting())):
            target = self._factory.inbox / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            self._synced.append(Source(path, hashlib.sha256(content).hexdigest()))
        subprocess.run(["sync", "--file-system", self._factory.inbox], check=True)

    def _waiting(self) -> int:
        return sum(
            len(names)
            for base, _, names in os.walk(self._factory.inbox)
            if os.path.basename(base) != ".factory-leaving"  # filed, and kept aside
        )

    def _wait(self, running: Running, still_waiting: float | None) -> None:
        """Until only so many photos wait in the inbox, and then for any moment of a batch's way."""
        if still_waiting is None:
            time.sleep(self._chance.uniform(0.0, 1.5))
        else:
            ended = running.process.poll
            wait_until(lambda: self._waiting() <= still_waiting or ended() is not None, 180, "the moment of the cut")
            time.sleep(self._chance.uniform(0.0, 0.15))


class Sender:
    """Puts photos into an inbox while the factory works there, and never syncs one."""

    def __init__(self, inbox: Path, seed: int) -> None:
        self._inbox = inbox
        self._outside = inbox.with_name("sender")  # on the same filesystem
        self._seed = seed
        self.sent: list[Source] = []  # the one in hand included

    def work(self, stopping: threading.Event) -> None:
        self._outside.mkdir(exist_ok=True)
        for number in itertools.count(self._seed):
            content = unique_jpeg(number, size=60_000)
            name = f"sent-{number}.jpg"
            self.sent.append(Source(name, hashlib.sha256(content).hexdigest()))
            if number % 2:
                (self._outside / name).write_bytes(content)
                (self._outside / name).rename(self._inbox / name)
            else:
                with open(self._inbox / name, "wb", buffering=0) as file:
                    file.write(content[:20_000])
                    stopping.wait(0.05)
                    file.write(content[20_000:])
            if stopping.wait(0.05):
                return


def sync_often(folders: list[Path], stopping: threading.Event) -> None:
    """Another program on the same disk: with each sync of its own files, names may come to disk before their data."""
    while not stopping.wait(0.02):
        for folder in folders:
            with open(folder / "neighbour", "ab") as file:
                file.write(b"x")
                file.flush()
                os.fsync(file.fileno())


@contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Something that goes on meanwhile, in a thread, until a signal stops it."""
    stopping = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work, stopping)
        try:
            yield
        finally:
            stopping.set()
        working.result()


@dataclass(frozen=True)
class Aftermath:
    """What came out when the power was back."""

    broken: list[str]
    counts: Counter[str]


def recover(cut: Cut, folder: Path) -> Aftermath:
    """Gives a cut disk its power back, lets the factory go on, and checks the promise."""
    name = cut.disk.path.name
    folders = [folder / name, folder / f"{name}-vault"][: cut.disk.parts]
    try:
        with cut.disk.mounted(folders):
            factory = factory_on(folders)
            if cut.phase == AWAY:
                give_ledger_back(factory)
            try:
                return _judge(cut, factory)
            finally:
                factory.kill_all()
    finally:
        cut.disk.path.unlink()


def _judge(cut: Cut, factory: Factory) -> Aftermath:
    settings = load_settings(factory.env(), env_file=factory.data / "no.env")
    standing = set(sources_in(settings.inbox, settings.inbox))
    in_vault = vault_files(settings)
    whole = {one.sha256 for one in (*cut.synced, *cut.sent)}
    counts = Counter(
        {
            "within filing": len(in_vault) > cut.filed_before and not standing.isdisjoint(cut.synced),
            "inbox copies gone": len(set(cut.synced) - standing),
            "with a journal": any((settings.state / "journal").glob("*.jsonl")),
            "torn in the inbox": len(standing - {*cut.synced, *cut.sent}),
            "torn in the vault": sum(sha256 not in whole for sha256 in in_vault.values()),
        }
    )
    began = datetime.now(UTC)
    try:
        done = factory.run("ingest", "--json", limit=RECOVERY_LIMIT)
        assert done.code == 0 and "Traceback" not in done.err, f"recovery ends with {done.code}: {done.err.strip()}"
        with _ledger(settings):
            _assert_kept(settings, cut, standing)
            placed = ledger_rows(settings, "SELECT final_path, ingested_at FROM media_assets")
        counts["placed, unrecorded"] = sum(
            row["final_path"] in in_vault and row["ingested_at"] >= began for row in placed
        )
    except (AssertionError, EmbeddedPostgresError, SQLAlchemyError, subprocess.TimeoutExpired) as error:
        return Aftermath([str(error).splitlines()[0]], counts)
    return Aftermath([], counts)


def _assert_kept(settings: Settings, cut: Cut, standing: set[Source]) -> None:
    """What was synced is in the vault; what was not is there too, or still in the inbox with its fate told."""
    remaining = set(sources_in(settings.inbox, settings.inbox))
    assert remaining <= standing, f"appeared in the inbox: {remaining - standing}"
    others = standing - set(cut.synced)  # torn ones among them
    kept = set(vault_files(settings).values())
    filed_before = {one for one in cut.sent if one not in standing and one.sha256 in kept}
    assert_promise_kept(settings, [*cut.synced, *(others - remaining), *filed_before])
    events = ledger_rows(settings, "SELECT original_path FROM ingest_events WHERE fate = 'not_media'")
    untold = {one.original_path for one in remaining} - {event["original_path"] for event in events}
    assert not untold, f"left in the inbox, and no fate told: {untold}"


@contextmanager
def _ledger(settings: Settings) -> Iterator[None]:
    server = EmbeddedPostgres(settings.db_data)
    server.ensure_running()
    try:
        yield
    finally:
        server.release()


@contextmanager
def ledger_away(factory: Factory) -> Iterator[None]:
    """Inside, the embedded server does not start: PostgreSQL refuses a database that belongs to root.

    Another database in its place would be refused before anything is filed, for a vault knows its own.
    """
    os.chown(factory.cluster, 0, 0)
    try:
        yield
    finally:
        give_ledger_back(factory)


def give_ledger_back(factory: Factory) -> None:
    """The owner of what is in it owns it again."""
    owner = (factory.cluster / "PG_VERSION").stat()
    os.chown(factory.cluster, owner.st_uid, owner.st_gid)


def factory_on(folders: list[Path]) -> Factory:
    """The factory on mounted filesystems: one for all, or a second one for the vault."""
    data, *vault = folders
    factory = Factory(data, {**SHORT_DELAYS, "LOG_LEVEL": "ERROR"})
    if vault:
        factory.environment["STORAGE_PATH"] = str(vault[0] / "Storage")
    return factory


def photos(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Endless: small photos of ten days, whose names collide in the vault, and duplicates."""
    content = b""
    for number in itertools.count():
        camera, shot = divmod(number, 50)
        if number % 12 or not content:
            size = chance.randrange(50_000, 150_000)
            day = f"20{10 + shot % 10}:01:01".encode()
            content = unique_jpeg(chance.randrange(1 << 40), size=size).replace(b"2008:05:30", day)
        yield f"camera {camera}/IMG_{shot:04}.JPG", content


STUB = """
int fsync(int fd) { return 0; }
int fdatasync(int fd) { return 0; }
int syncfs(int fd) { return 0; }
void sync(void) {}
"""


SLOW = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int syncfs(int fd) {
    usleep(400000);
    return ((int (*)(int)) dlsym(RTLD_NEXT, "syncfs"))(fd);
}
"""


def sync_nothing(folder: Path) -> dict[str, str]:
    """An environment in which no program syncs anything."""
    return _preloaded(folder, STUB)


def sync_slowly(folder: Path) -> dict[str, str]:
    """An environment in which `syncfs` waits for others."""
    return _preloaded(folder, SLOW)


def _preloaded(folder: Path, source: str) -> dict[str, str]:
    library = folder / "sync.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], input=source, text=True, check=True)
    return {"LD_PRELOAD": str(library)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--no-sync", action="store_true", help="the factory's syncs do nothing: losses must be found")
    how.add_argument("--slow-syncfs", action="store_true", help="the factory syncs file by file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL has an account of its own
        try:
            environment = (
                sync_nothing(folder) if options.no_sync else sync_slowly(folder) if options.slow_syncfs else {}
            )
            figures = cut_power(Orders(folder, options.seed, options.cuts), environment)
        except NotPossible as reason:
            print(f"power: {reason}", file=sys.stderr)
            return 2
    print(f"{figures.done} {figures.unit}, {len(figures.violations)} violations", figures.measured)
    return int(bool(figures.violations) != options.no_sync)


if __name__ == "__main__":
    sys.exit(main())
