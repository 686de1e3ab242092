"""Originals that rot while photos arrive: bits flip, files are cut, zeroed, removed, or become something else.

New photos and duplicates come in, processes are killed, and random originals of the vault are damaged meanwhile. When a
good copy of each has come again, every source's bytes are exactly once in the vault; and what was damaged is where only
a person removes it, unless it was gone altogether.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psycopg2

from Src.Shared.ledger_text import from_ledger
from Src.Shared.settings import Settings, load_settings
from Src.Testing.patience import wait_until
from Src.Testing.promise import Source, assert_promise_kept, files_aside, ledger_rows
from Stack.faults.checking import has_traceback, noted_as_staying
from Stack.faults.kills import in_turns, other_filesystem, small_batches
from Stack.faults.orders import Figures, Orders
from Stack.faults.ways import Ingest, Up, Way
from Stack.tests.feeder import Feeder

UNIT = "faults"  # originals damaged
FULL = 500
SHORT = 12

_PER_FACTORY = 50  # faults
_PER_CHECK = 25  # faults between two checks of the whole promise
_PER_ROUND = 5  # faults while one feed of photos is filed
_FED = 60  # photos
_MOMENT_LIMIT = 180.0  # seconds
_GRACES = ("LEAVING_GRACE", "LEAVING_GRACE_WITHOUT_LEASE")

Kind = Literal["flip", "cut", "zero", "remove", "link", "fifo"]
_KINDS: tuple[Kind, ...] = ("flip", "flip", "cut", "zero", "remove", "link", "fifo")
_GONE = "gone from the vault before its row could be written"


def run(orders: Orders) -> Figures:
    """Damages until so many originals are damaged."""
    chance = orders.chance()
    figures = Figures(UNIT)
    done: Counter[str] = Counter()
    files = aside = 0
    factories = max(2, math.ceil(orders.amount / _PER_FACTORY))
    with other_filesystem(orders.folder) as other:
        ways: list[tuple[type[Way], Path | None]] = [(Ingest, None), (Up, other), (Ingest, other), (Up, None)]
        for number in range(factories):
            kind, vaults = ways[number % len(ways)]
            factory = small_batches(orders.folder / str(number), vaults, chance)
            # A file that leaves the inbox is the kept one by another name, for as long as the grace lasts.
            factory.environment |= {"RETRY_FIRST_DELAY": "0.2", **dict.fromkeys(_GRACES, "0")}
            campaign = Campaign(kind(factory, chance), chance)
            faults = orders.amount * (number + 1) // factories - orders.amount * number // factories
            try:
                campaign.damage_again_and_again(faults)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                how = f"{kind.COMMAND}, {'linked' if vaults is None else 'copied'}"
                figures.blame(
                    f"rot, seed {orders.seed}, factory {number} ({how}), last: {', '.join(campaign.told[-5:])}",
                    [f"{type(error).__name__}: {error}".splitlines()[0][:1000]],
                )
                print(campaign.way.said[-5000:], file=sys.stderr)
            else:
                shutil.rmtree(orders.folder / str(number))
            finally:
                campaign.way.factory.kill_all()
            done += campaign.done
            files += len(campaign.feeder.sources)
            aside += campaign.aside
    figures.done = done.total() - done["kills"]
    figures.measured = {**dict(sorted(done.items())), "factories": factories, "files": files, "moved aside": aside}
    return figures


class _Remembering(Feeder):
    """Knows every content that it has brought, to bring it again."""

    def __init__(self, inbox: Path, chance: random.Random) -> None:
        super().__init__(inbox, chance)
        self.contents: dict[str, bytes] = {}

    def bring(self, content: bytes) -> None:
        self.contents[hashlib.sha256(content).hexdigest()] = content
        super().bring(content)


class Campaign:
    """Rot in one factory."""

    def __init__(self, way: Way, chance: random.Random) -> None:
        self.way = way
        self.feeder = _Remembering(way.factory.inbox, chance)
        self.told: list[str] = []
        self.done: Counter[str] = Counter()
        self.aside = 0
        self._chance = chance
        self._damaged: dict[str, str] = {}  # content that is not in the vault any more -> how it was damaged
        self._rotten: set[str] = set()  # hashes of what was made of originals
        # What is damaged between a look at it and the next is not judged, and tried again: that run says so.
        way.ends_well_with = (0, 1)

    def damage_again_and_again(self, faults: int) -> None:
        """AssertionError where a promise is broken."""
        factory = self.way.factory
        factory.inbox.mkdir(parents=True)
        victims, kinds = in_turns(self.way.VICTIMS, self._chance), in_turns(_KINDS, self._chance)
        done = checked = 0
        while done < faults:
            self._feed()
            self.way.ensure_running()
            before, left = factory.filed(), min(_PER_ROUND, faults - done)
            end = time.monotonic() + _MOMENT_LIMIT
            while left and self.way.is_running and self.feeder.waiting() and time.monotonic() < end:
                time.sleep(self._chance.uniform(0.0, 0.3))
                hit = self._damage_one(next(kinds), at_rest=False)
                left, done = left - hit, done + hit
                if factory.filed() > before + 20 and self._chance.random() < 0.3:
                    killed = self.way.kill(victim := next(victims))
                    self.done["kills"] += killed
                    self.told.append(f"{victim} killed" if killed else "nobody killed")
                    self.way.ensure_running()
                    before = factory.filed()
            while left and not self.way.is_running and self._damage_one(next(kinds), at_rest=True):
                left, done = left - 1, done + 1
            if done - checked >= min(_PER_CHECK, faults) or done >= faults:
                self._check()
                checked = done
        self.way.end()
        assert not has_traceback(self.way.said), "a traceback"

    def _feed(self) -> None:
        """New photos, and good copies of some that are damaged."""
        self.feeder.feed(_FED)
        for sha256 in self._chance.sample(sorted(self._damaged), len(self._damaged) // 2):
            self._bring_again(sha256)

    def _bring_again(self, sha256: str) -> None:
        self.feeder.bring(self.feeder.contents[sha256])

    def _damage_one(self, kind: Kind, *, at_rest: bool) -> bool:
        """Damages one living original that has its row; whether there was one."""
        factory = self.way.factory
        statement = "SELECT final_path, file_hash FROM media_assets"
        rows: list[tuple[str, str]] = []
        with suppress(psycopg2.Error):  # a kill came before it had tables
            rows = factory.sql_at_rest(statement) if at_rest else factory.asked(statement)
        for final_path, sha256 in self._chance.sample(rows, min(len(rows), 50)):
            path = factory.storage / from_ledger(final_path)
            try:
                at = path.lstat()
                # With a second link, the inbox copy is the same file: that would be no rot of the kept one only.
                if not stat.S_ISREG(at.st_mode) or at.st_nlink > 1:
                    continue
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() != sha256:
                    continue
                self._damage(kind, path, content, in_place=at_rest)
            except FileNotFoundError:
                continue
            self._damaged[sha256] = kind
            self.done[kind] += 1
            self.told.append(f"{kind} {final_path!r}")
            return True
        return False

    def _damage(self, kind: Kind, path: Path, content: bytes, *, in_place: bool) -> None:
        at = path.stat()
        beside = self.way.factory.data / "rotten"
        beside.unlink(missing_ok=True)  # another original went away meanwhile
        made = set[str]()
        match kind:
            case "remove":
                path.unlink()
                return
            case "link":
                target = self.way.factory.data / "elsewhere.jpg"
                target.write_bytes(content)
                beside.symlink_to(target)
            case "fifo":
                os.mkfifo(beside)
            case _:
                rotten = self._spoiled(kind, content)
                made.add(hashlib.sha256(rotten).hexdigest())
                if in_place:
                    with open(path, "r+b") as file:  # root may, and on a disk nobody asks
                        file.write(rotten)
                        file.truncate()
                    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
                    self._rotten |= made
                    return
                beside.write_bytes(rotten)
                beside.chmod(at.st_mode & 0o777)
                os.utime(beside, ns=(at.st_atime_ns, at.st_mtime_ns))
        if beside.lstat().st_dev == path.lstat().st_dev:
            os.replace(beside, path)
        else:  # in one step there, too
            hidden = path.parents[3] / ".rotten"
            subprocess.run(["mv", "-T", beside, hidden], check=True)
            os.replace(hidden, path)
        self._rotten |= made

    def _spoiled(self, kind: Kind, content: bytes) -> bytes:
        chance = self._chance
        match kind:
            case "cut":
                return content[: chance.choice([0, chance.randrange(len(content))])]
            case "zero":
                start = chance.randrange(len(content) - 1)
                end = min(len(content), start + 4096)
                return content[:start] + bytes(end - start) + content[end:]
            case _:
                spoiled = bytearray(content)
                spoiled[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
                return bytes(spoiled)

    def _check(self) -> None:
        """After a good copy of each damaged one has come again."""
        factory = self.way.factory
        settings = load_settings(factory.env(), env_file=factory.data / "no.env")
        for sha256 in list(self._damaged):
            self._bring_again(sha256)
        with self.way.at_rest(self.feeder):
            wait_until(lambda: not files_aside(settings), _MOMENT_LIMIT, "all has left the inbox for good")
            assert_promise_kept(settings, self._sources_with_their_fate(settings))
            for accused in ("SELECT original_path, error_message FROM media_assets WHERE has_errors",):
                rows = factory.sql(accused)
                assert not rows, f"{accused}: {rows}"
            stays = noted_as_staying(lambda: factory.sql("SELECT original_path, state FROM inbox_files"))
            assert not stays, f"noted as staying in the inbox: {stays}"
        moved = [path for path in (factory.storage / ".factory/damaged").glob("*/*") if path.is_file()]
        held = {hashlib.sha256(path.read_bytes()).hexdigest() for path in moved if not path.is_symlink()}
        assert self._rotten <= held, f"damaged originals that are nowhere: {sorted(self._rotten - held)}"
        self.aside = len([*(factory.storage / ".factory/damaged").glob("*/*")])
        self._damaged.clear()

    def _sources_with_their_fate(self, settings: Settings) -> list[Source]:
        """Without those whose fate is that their file was damaged in the vault before its row came, from the journal.

        A good copy of each has come since, and that one's fate is asked.
        """
        rows = ledger_rows(settings, f"SELECT original_path, file_hash FROM ingest_events WHERE message = '{_GONE}'")
        gone = {Source(from_ledger(row["original_path"]), row["file_hash"]) for row in rows}
        return [source for source in self.feeder.sources if source not in gone]
