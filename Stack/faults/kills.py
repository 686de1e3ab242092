"""`kill -9` of each process that takes part, and of all at once, at any moment of filing.

Some factories work under `./factory ingest`, some under `./factory up`; some link their photos, some copy them to
another filesystem. A kill meets what the one before it has left. Now and then the factory is left in peace: it must
come to rest by itself, and then the whole promise is checked.
"""

from __future__ import annotations

import math
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from Src.Shared.settings import load_settings
from Src.Testing.promise import assert_promise_kept
from Stack.faults.checking import has_traceback, noted_as_staying
from Stack.faults.orders import Figures, Orders
from Stack.faults.ways import Way, all_ways, blamed
from Stack.tests.feeder import Feeder
from Stack.tests.real_factory import SHORT_DELAYS, Factory

UNIT = "kills"  # in the middle of filing; those that came before or after it are told apart
FULL = 500
SHORT = 8

_PER_FACTORY = 24  # kills
_PER_CHECK = 12  # kills between two checks of the whole promise
_LEAST, _MOST = 150, 250  # files in the inbox before a kill: so that there is a middle to be killed in

Moment = Literal["any time", "between files", "while copying"]
_MOMENTS: tuple[Moment, ...] = ("any time", "between files", "while copying", "between files")
_MOMENT_LIMIT = 180.0  # seconds

T = TypeVar("T")


def run(orders: Orders) -> Figures:
    """Kills until so many kills have come in the middle of filing."""
    chance = orders.chance()
    figures = Figures(UNIT)
    came: Counter[str] = Counter()
    longest_rest, files = 0.0, 0
    factories = max(2, math.ceil(orders.amount / _PER_FACTORY))
    with other_filesystem(orders.folder) as other:
        ways = all_ways(other)
        for number in range(factories):
            kind, vaults = ways[number % len(ways)]
            folder = orders.folder / str(number)
            campaign = Campaign(kind(small_batches(folder, vaults, chance), chance), chance)
            kills = orders.amount * (number + 1) // factories - orders.amount * number // factories
            how = "linked" if vaults is None else "copied"
            what = f"kills, seed {orders.seed}, factory {number}, {how}"
            with blamed(figures, what, campaign.way, folder, campaign.killed):
                campaign.kill_again_and_again(kills)
            came += campaign.came
            files += len(campaign.feeder.sources)
            longest_rest = max(longest_rest, campaign.longest_rest)
    figures.done = came.total() - came["beside the filing"]
    figures.measured = {
        **dict(sorted(came.items())),
        "factories": factories,
        "files": files,
        "longest way to rest, s": round(longest_rest, 1),
        "other filesystem": "yes" if other is not None else "there is none",
    }
    return figures


class Campaign:
    """Kills in one factory."""

    def __init__(self, way: Way, chance: random.Random) -> None:
        self.way = way
        self.feeder = Feeder(way.factory.inbox, chance)
        self.killed: list[str] = []
        self.came: Counter[str] = Counter()  # victims killed in the middle of filing
        self.longest_rest = 0.0
        self._chance = chance

    def kill_again_and_again(self, kills: int) -> None:
        """AssertionError where a promise is broken."""
        self.way.factory.inbox.mkdir(parents=True)
        victims, moments = in_turns(self.way.VICTIMS, self._chance), in_turns(_MOMENTS, self._chance)
        done = 0
        while done < kills:
            in_the_middle = self._kill(next(victims), next(moments))
            done += in_the_middle
            if in_the_middle and (done == kills or done % _PER_CHECK == 0):
                self._check()
        self.way.end()
        assert not has_traceback(self.way.said), "a traceback"

    def _kill(self, victim: str, moment: Moment) -> bool:
        """Whether it was killed in the middle of filing."""
        factory = self.way.factory
        before = factory.filed()
        if (waiting := self.feeder.waiting()) < _LEAST:
            self.feeder.feed(_MOST - waiting)
        self.way.ensure_running()
        if not self._await(moment, before) or not self.way.kill(victim):
            return False
        in_the_middle = factory.filed() > before and self.feeder.waiting() > 0
        self.killed.append(f"{victim} ({moment})")
        self.came[victim if in_the_middle else "beside the filing"] += 1
        return in_the_middle

    def _await(self, moment: Moment, before: int) -> bool:
        """Waits for the moment of the kill; False where the work was done before it."""
        factory, chance = self.way.factory, self._chance
        now = time.monotonic()
        any_time, limit = now + chance.uniform(0.0, 2.5), now + _MOMENT_LIMIT
        filed = before + chance.randint(1, 60)
        copying = factory.storage / ".factory" / "copying"
        while self.way.is_running:
            now = time.monotonic()
            if not self.feeder.waiting():
                return False
            time.sleep(0.005)
            assert now < limit, f"it does not go on within {_MOMENT_LIMIT:g} s"
            if moment == "any time" and now >= any_time:
                return True
            if moment == "while copying" and any(copying.glob("*")) and chance.random() < 0.2:
                return True
            if moment == "between files" and factory.filed() >= filed:
                break
            if moment == "while copying" and factory.filed() >= filed + 60:  # one filesystem: nothing is copied
                break
        else:
            return False
        time.sleep(chance.uniform(0.0, 0.02))  # anywhere in a batch, not always right after a placement
        return True

    def _check(self) -> None:
        factory = self.way.factory
        settings = load_settings(factory.env(), env_file=factory.data / "no.env")
        began = time.monotonic()
        with self.way.at_rest(self.feeder):
            self.longest_rest = max(self.longest_rest, time.monotonic() - began)
            assert_promise_kept(settings, self.feeder.sources)
            for accused in (
                "SELECT original_path, error_message FROM media_assets WHERE has_errors",
                "SELECT original_path, message FROM ingest_events WHERE fate NOT IN ('ingested', 'duplicate')",
            ):
                rows = factory.sql(accused)
                assert not rows, f"{accused}: {rows}"
            stays = noted_as_staying(lambda: factory.sql("SELECT original_path, state FROM inbox_files"))
            assert not stays, f"noted as staying in the inbox: {stays}"
            beside = {path.name for path in factory.storage.iterdir()} - {"Originals", "Manifests", ".factory"}
            assert not beside, f"beside the vault: {beside}"


def in_turns(kinds: tuple[T, ...], chance: random.Random) -> Iterator[T]:
    """Each as often as any other, in random order; endless."""
    while True:
        yield from chance.sample(kinds, len(kinds))


def small_batches(folder: Path, vaults: Path | None, chance: random.Random) -> Factory:
    """With small batches, so that they are many."""
    environment = {**SHORT_DELAYS, "BATCH_SIZE": "16", "READERS": chance.choice("12"), "LOG_LEVEL": "WARNING"}
    if vaults is not None:
        environment["STORAGE_PATH"] = str(vaults / folder.name)
    return Factory(folder / "factory", environment)


@contextmanager
def other_filesystem(folder: Path) -> Iterator[Path | None]:
    shared_memory = Path("/dev/shm")
    if not os.access(shared_memory, os.W_OK) or shared_memory.stat().st_dev == folder.stat().st_dev:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="pf-kills-", dir=shared_memory) as name:
        yield Path(name)
