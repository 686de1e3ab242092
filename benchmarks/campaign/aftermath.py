"""After a fault: the factory recovers by itself, and then the whole promise is checked from outside."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg2

from benchmarks.campaign.arrivals import Arrivals
from benchmarks.campaign.server import Server
from Src.Librarian.tests.promise import assert_promise_kept
from Src.Shared.settings import load_settings
from Stack.tests.real_factory import Factory, Running

RECOVERS_WITHIN = 150.0  # seconds; a reconnect may be 60 s away, and an answer another 30 s

_FAILED = "SELECT original_path, fate, message FROM ingest_events WHERE fate NOT IN ('ingested', 'duplicate')"
_STAYS = "SELECT original_path, state, last_error FROM inbox_files"


@contextmanager
def up(factory: Factory, *, wrapper: Sequence[str] = ()) -> Iterator[Running]:
    """`./factory up`, started through another program where one is given; killed at the end of the block."""
    running = Running(factory, [*wrapper, *factory.command("up")], factory.env())
    try:
        yield running
    finally:
        factory.kill_all()
        running.wait()


def wait_for(condition: Callable[[], bool], limit: float, what: str) -> float:
    """Seconds until the condition is true; AssertionError where it is not within the limit. Looks now and then only:
    looking costs the factory time."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit, f"not within {limit:g} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - began


def seconds_to_recover(factory: Factory, ledger: Server, arrivals: Arrivals) -> float:
    """Waits until all that has arrived is filed and in the ledger. AssertionError where it does not come to that."""
    wanted = len(arrivals.sources)
    try:
        return wait_for(lambda: _at_rest(factory, ledger, arrivals, wanted), RECOVERS_WITHIN, "it recovers")
    except AssertionError as error:
        raise AssertionError(
            f"{error}: {len(arrivals.waiting())} of {wanted} photos are in the inbox, {len(journal(factory))} journals "
            f"are left, {_told(ledger)} fates told"
        ) from None


def broken_promises(factory: Factory, ledger: Server, arrivals: Arrivals, said: str) -> Iterator[str]:
    """What is wrong with a factory at rest, a line each; `said`: what it has written so far."""
    environment = {**factory.env(), "DATABASE_URL": ledger.url}
    settings = load_settings(environment, env_file=factory.data / "no.env")
    try:
        assert_promise_kept(settings, arrivals.sources)
    except AssertionError as error:
        yield str(error).splitlines()[0][:500]
    for row in ledger.ask(_FAILED, database="photo_factory"):
        yield f"a sound photo is blamed for the trouble: {row}"
    for row in ledger.ask(_STAYS, database="photo_factory"):
        yield f"a sound photo is noted as one that stays in the inbox: {row}"
    if "Traceback" in said:
        yield "a traceback: " + said[said.rindex("Traceback") :].strip().splitlines()[-1]


def journal(factory: Factory) -> list[str]:
    with suppress(FileNotFoundError):
        return [name for name in os.listdir(factory.storage / ".factory" / "journal") if name.endswith(".jsonl")]
    return []


def _at_rest(factory: Factory, ledger: Server, arrivals: Arrivals, wanted: int) -> bool:
    return not arrivals.waiting() and not journal(factory) and _told(ledger) >= wanted


def _told(ledger: Server) -> int:
    """How many files have their fate in the ledger; -1 where it cannot be asked."""
    try:
        [(count,)] = ledger.ask("SELECT count(DISTINCT original_path) FROM ingest_events", database="photo_factory")
    except (OSError, IndexError, psycopg2.Error):
        return -1
    return int(count)
