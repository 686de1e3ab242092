"""Hostile files, names and trees: none of them crashes, hangs or fattens the factory, and each has its fate.

Four groups, each in a factory of its own: real files corrupted, bombs, fuzzed names, deep and wide trees.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.settings import load_settings
from Src.Testing.promise import Source, assert_promise_kept, files_below
from Stack.faults.bombs import give_bombs
from Stack.faults.corrupted import give_corrupted
from Stack.faults.given import Given, sha256_at
from Stack.faults.names import give_names
from Stack.faults.orders import Figures, Orders
from Stack.faults.trees import give_abyss, give_deep, give_wide
from Stack.faults.watched import Run, ingest
from Stack.tests.real_factory import Factory

UNIT = "files"
FULL = 110_000  # 10,000 corrupted, 100,000 names; bombs and trees beside them
SHORT = 1_100
MOST_MEMORY = 350.0  # MB: librarian, readers and ExifTool together. The goal is 250; RELIABILITY.md says what misses it
LIMIT = 900.0  # seconds for one run of a group
_SETTINGS = {"STABILITY_DELAY": "0.2", "MIN_FILE_AGE": "0.1", "READERS": "2"}  # each takes memory of its own
_MOST_LINES = 20  # for a group: what breaks all at once is told by its first lines

_TOLD = {"not_media": ("not_media",), "failing": ("failed",), "dead_letter": ("dead_letter", "failed")}
_SIDECARS = ("companion", "sidecar")  # its photo has another one of its name in the vault; joined to none
_ODD = ("link", "special")
_FILED = ("ingested", "duplicate", "restored")
_SECRET = "THIS-STAYS-OUTSIDE"

# Control characters, and what turns the writing direction or breaks a line.
_STEERING = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F))}
_STEERING = {*_STEERING, *map(chr, range(0x2066, 0x206A))} - {"\n"}

Give = Callable[[Path, random.Random], Iterator[Given]]


def run(orders: Orders) -> Figures:
    """As many files as are ordered, and bombs of a size in proportion."""
    figures = Figures(UNIT)
    scale = min(1.0, orders.amount / FULL)
    secret = orders.folder / "secret.txt"
    secret.write_text(_SECRET)
    groups: dict[str, Give] = {
        "corrupted": partial(give_corrupted, count=orders.amount // 11),
        "bombs": partial(give_bombs, scale=scale, secret=secret),
        "names": partial(give_names, count=orders.amount * 10 // 11),
        "trees": lambda inbox, _: _give_trees(inbox, orders.amount * 2 // 11),
    }
    try:
        for name, give in groups.items():
            factory = _factory(orders.folder, name)
            given = list(give(factory.inbox, random.Random(f"{orders.seed} {name}")))
            server = EmbeddedPostgres(factory.cluster.parent)
            server.ensure_running()
            try:
                done = ingest(factory, LIMIT)
                broken = [*_broken_in_run(done), *_broken_in_factory(factory, given, done)]
            finally:
                server.release()
            more = [f"and {len(broken) - _MOST_LINES} more"] if len(broken) > _MOST_LINES else []
            figures.blame(f"{name} (seed {orders.seed})", [*broken[:_MOST_LINES], *more])
            figures.done += len(given)
            figures.measured[f"{name}: files"] = len(given)
            figures.measured[f"{name}: seconds"] = round(done.seconds, 1)
            figures.measured[f"{name}: MB of memory at most"] = round(done.memory)
    finally:
        # Not shutil.rmtree: it cannot go where no path reaches.
        subprocess.run(["rm", "-rf", "--", str(orders.folder / "trees")], check=True)
    return figures


def _give_trees(inbox: Path, folders: int) -> Iterator[Given]:
    yield from give_wide(inbox, folders)
    yield from give_deep(inbox, max(1_200, folders))
    yield from give_abyss(inbox)


def _factory(folder: Path, name: str) -> Factory:
    """A new factory with an empty inbox; its ledger is copied from the first one where that is made already."""
    factory = Factory(folder / name, dict(_SETTINGS))
    factory.inbox.mkdir(parents=True)
    model = Factory(folder / "model", dict(_SETTINGS))
    if not model.cluster.exists():
        assert model.run("find", "nothing").code == 1
    factory.cluster.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", str(model.cluster), str(factory.cluster)], check=True)
    return factory


# -- the promise, from outside ----------------------------------------------------------------------------


def _broken_in_run(done: Run) -> Iterator[str]:
    """What the run itself shows."""
    if done.code is None:
        yield f"it does not end within {LIMIT:g} s"
    elif done.code != (1 if done.report.get("failed") else 0):
        yield f"exit code {done.code} with the report {done.report}: {done.said[-300:]!r}"
    if "Traceback" in done.said:
        yield f"a traceback: {done.said[done.said.index('Traceback') :][:2000]!r}"
    if done.memory > MOST_MEMORY:
        yield f"{done.memory:.0f} MB of memory, {MOST_MEMORY:g} are allowed"
    if raw := _STEERING.intersection(done.said):
        yield f"characters that steer a terminal are printed: {sorted(raw)!a}"


def _broken_in_factory(factory: Factory, given: list[Given], done: Run) -> Iterator[str]:
    """What disk and ledger show, and whether the report says the same."""
    inbox = os.fsencode(factory.inbox)
    left = {os.fsencode(path)[len(inbox) + 1 :] for path in files_below(factory.inbox)}
    here = {one for one in given if one.path in left}
    for one in here:
        if sha256_at(os.path.join(inbox, one.path)) != one.sha256:
            yield f"{one.shown}: its content in the inbox has changed"
    for path in left - {one.path for one in given}:
        yield f"{path!r}: nobody put that into the inbox"
    beside = {sha256 for (sha256,) in factory.sql("SELECT companion_hash FROM companions WHERE filed_at IS NOT NULL")}
    for one in given:
        if one.fate in ("stays", "ignored") and one not in here and one.sha256 not in beside:
            yield f"{one.shown}: has left the inbox"
        if one.fate == "filed" and one in here:
            yield f"{one.shown}: is not filed"

    filed = [
        Source(os.fsdecode(one.path), one.sha256)
        for one in given
        if one not in here and not (one.fate == "stays" and one.sha256 in beside)
    ]
    try:
        assert_promise_kept(load_settings(factory.env(), env_file=factory.data / "no.env"), filed)
    except AssertionError as error:
        yield str(error)[:1000]
    states = Counter[str]()
    yield from _broken_fates(factory, here, states)
    yield from _nonsense_in_ledger(factory)
    counts = {
        "filed": len(filed),
        "not_media": states["not_media"],
        "failed": states["failing"] + states["dead_letter"],
    }
    report = done.report
    told = {
        "filed": sum(report.get(name, 0) for name in ("new", "duplicates", "restored")),
        "not_media": report.get("not_media"),
        "failed": report.get("failed"),
    }
    if told != counts:
        yield f"the report says {told}, and it is {counts}"
    if "a reader died" in done.said and "ends the reading process" not in done.said:
        yield "a reader died, and no file is told to be the reason"


def _broken_fates(factory: Factory, here: Iterable[Given], states: Counter[str]) -> Iterator[str]:
    """Of the files that are still in the inbox; `states` is told what they are."""
    register = {
        path: (state, error)
        for path, state, error in factory.sql("SELECT original_path, state, last_error FROM inbox_files")
    }
    events: dict[str, set[str]] = {}
    for path, fate in factory.sql("SELECT original_path, fate FROM ingest_events"):
        events.setdefault(path, set()).add(fate)
    for one in here:
        state, error = register.pop(one.in_ledger, (None, None))
        fates = events.get(one.in_ledger, set())
        if one.fate == "ignored":
            if state or fates:
                yield f"{one.shown}: is to be left alone, and the ledger has {state} {fates}"
            continue
        if state is None:
            yield f"{one.shown}: is in the inbox, and not in inbox_files (events: {fates})"
            continue
        states[state] += 1
        if state in _SIDECARS:
            if one.fate != "stays":
                yield f"{one.shown}: is taken for a sidecar"
            continue
        if not fates.intersection(_TOLD[state]) or fates.intersection(_FILED):
            yield f"{one.shown}: is {state}, and its events are {fates}"
        if state != "not_media" and not error:
            yield f"{one.shown}: is {state} for no reason"
        if (one.fate == "stays" and state != "not_media") or "defect" in (error or ""):
            yield f"{one.shown}: is {state}: {error}"
    for path, (state, _) in register.items():
        if state not in _ODD or not os.path.lexists(factory.inbox / path):
            yield f"{path!r}: is in inbox_files, and not in the inbox"


def _nonsense_in_ledger(factory: Factory) -> Iterator[str]:
    """Values that no photo has, and what was never in a photo."""
    for table in ("media_assets", "ingest_events", "inbox_files", "system_status"):
        [(count,)] = factory.sql(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", f"%{_SECRET}%")
        if count:
            yield f"{table} holds the content of a file outside"
    impossible = """
        SELECT original_path, captured_at, location, duration_seconds, error_message FROM media_assets
        WHERE captured_at NOT BETWEEN '1826-01-01' AND now() + interval '2 days'
           OR NOT (coalesce((location->>'lat')::float, 0) BETWEEN -90 AND 90)
           OR NOT (coalesce((location->>'lon')::float, 0) BETWEEN -180 AND 180)
           OR NOT (coalesce(duration_seconds, 0) BETWEEN 0 AND 1e300)
           OR has_errors AND coalesce(error_message, '') = ''
    """
    for row in factory.sql(impossible):
        yield f"the ledger believes {row}"


if __name__ == "__main__":
    amount = int(sys.argv[1]) if len(sys.argv) > 1 else SHORT
    with tempfile.TemporaryDirectory(prefix="pf-hostile-") as name:
        os.chmod(name, 0o711)
        print(run(Orders(Path(name), seed=1, amount=amount)).measured)
