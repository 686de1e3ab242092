"""A factory at work while photos arrive, and the check of its whole promise once trouble is over."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psycopg2

from Src.Shared.settings import load_settings
from Src.Testing.promise import assert_promise_kept
from Stack.faults.arrivals import Arrivals
from Stack.faults.checking import noted_as_staying
from Stack.faults.server import DATABASE, Server
from Stack.faults.wire import Wire
from Stack.tests.real_factory import SHORT_DELAYS, Factory, Running

T = TypeVar("T")

RECOVERS_WITHIN = 300.0  # seconds; a reconnect may be 60 s away, and an answer another 30 s

_FAILED = "SELECT original_path, fate, message FROM ingest_events WHERE fate NOT IN ('ingested', 'duplicate')"
_STAYS = "SELECT original_path, state, last_error FROM inbox_files"
_TOLD = "SELECT count(DISTINCT original_path) FROM ingest_events"


@dataclass
class Site:
    """A factory, its ledger, the way there, and what arrives."""

    factory: Factory
    ledger: Server
    wire: Wire | None  # None: the embedded server
    arrivals: Arrivals
    chance: random.Random
    has_modes: bool = True  # of the vault's filesystem
    said: Callable[[], str] = str  # what it has written so far
    ended: Callable[[], int] | None = None  # how many runs have ended, where one follows another
    problems: list[str] = field(default_factory=list)  # what was seen on the way

    @property
    def journals(self) -> list[str]:
        with suppress(FileNotFoundError):
            return [name for name in os.listdir(self.factory.storage / ".factory/journal") if name.endswith(".jsonl")]
        return []

    def recover(self) -> float:
        """Seconds until all that has arrived is filed and in the ledger.

        AssertionError where it does not come to that.
        """
        wanted = len(self.arrivals.sources)
        try:
            seconds = wait_for(lambda: self._is_at_rest(wanted), RECOVERS_WITHIN, "it recovers")
            if self.ended is not None:  # the next run looks at what this one keeps aside
                ended, wanted_runs = self.ended, self.ended() + 2
                wait_for(
                    lambda: ended() >= wanted_runs and self._is_at_rest(wanted), RECOVERS_WITHIN, "it stays at rest"
                )
            return seconds
        except AssertionError as error:
            raise AssertionError(
                f"{error}: {len(self.arrivals.waiting())} of {wanted} photos are in the inbox, {len(self.journals)} "
                f"journals are left, {self._told()} fates told"
            ) from None

    def broken_promises(self) -> Iterator[str]:
        """What is wrong with a factory at rest, a line each."""
        environment = {**self.factory.env(), "DATABASE_URL": self.ledger.url}
        settings = load_settings(environment, env_file=self.factory.data / "no.env")
        try:
            assert_promise_kept(settings, self.arrivals.sources, read_only=self.has_modes)
        except AssertionError as error:
            yield str(error).splitlines()[0][:500]
        if rows := self.ledger.ask(_FAILED, database=DATABASE):
            yield f"{len(rows)} sound photos are blamed for the trouble: {rows[0]}"
        if rows := noted_as_staying(lambda: self.ledger.ask(_STAYS, database=DATABASE)):
            yield f"{len(rows)} sound photos are noted as staying in the inbox: {rows[0]}"
        if traceback := re.search(r"^Traceback .*\n(?:[ \t].*\n|\n)*(.*)", self.said(), re.MULTILINE):
            yield f"a traceback: {traceback[1]}"
        yield from self.problems

    def _is_at_rest(self, wanted: int) -> bool:
        return not self.arrivals.waiting() and not self.journals and self._told() >= wanted

    def _told(self) -> int:
        """How many files have their fate in the ledger; -1 where it cannot be asked."""
        try:
            [(count,)] = self.ledger.ask(_TOLD, database=DATABASE)
        except (OSError, IndexError, psycopg2.Error):
            return -1
        return int(count)


@contextmanager
def site_in(
    folder: Path, template: Path, chance: random.Random, *, embedded: bool, waiting_room: Path | None = None
) -> Iterator[Site]:
    """A factory in `folder / "factory"` that does not run yet, with a ledger that does."""
    factory = Factory(folder / "factory", {**SHORT_DELAYS, "READERS": "1", "LOG_LEVEL": "WARNING"})
    with ExitStack() as stack:
        ledger = Server(factory.data / "factory-db-data" if embedded else folder / "server", template)
        stack.callback(ledger.close)
        wire = None
        if not embedded:
            wire = Wire(ledger.socket)
            stack.callback(wire.close)
            factory.environment["DATABASE_URL"] = f"postgresql://{DATABASE}@127.0.0.1:{wire.port}/{DATABASE}"
        factory.inbox.mkdir(parents=True, exist_ok=True)
        stack.callback(factory.kill_all)
        yield Site(factory, ledger, wire, Arrivals(factory.inbox, chance, waiting_room), chance)


@contextmanager
def up(site: Site, *, wrapper: Sequence[str] = ()) -> Iterator[Running]:
    """`./factory up`, started through another program where one is given; killed at the end of the block."""
    factory = site.factory
    running = Running(factory, [*wrapper, *factory.command("up")], factory.env())
    site.said = lambda: running.output
    try:
        yield running
    finally:
        factory.kill_all()
        running.wait()


def again_and_again(
    times: int, place: Callable[[], AbstractContextManager[T]], strike: Callable[[T, int], bool]
) -> int:
    """So many faults in one place as long as all is well after them; after a violation, in a new one."""
    done = 0
    while done < times:
        with place() as there:
            kept = True
            while kept and done < times:
                done += 1
                kept = strike(there, done)
    return done


def wait_for(condition: Callable[[], object], limit: float, what: str) -> float:
    """Seconds until the condition is true; AssertionError where it is not within the limit.

    Looks ten times a second: looking costs the factory time.
    """
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit, f"not within {limit:g} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - began


def spread(amount: int, kinds: int) -> list[int]:
    """How many of each kind, as even as it goes; the first get more."""
    each, more = divmod(amount, kinds)
    return [each + (index < more) for index in range(kinds)]
