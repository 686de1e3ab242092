"""An import that is killed again and again is resumed, and everything is filed exactly once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

import psycopg2
import pytest

from Src.Library.hash_cache import COARSEST_CLOCK
from Src.Shared.disk.filesystem_id import filesystem_id
from Src.Testing.patience import wait_until
from Stack.tests.conftest import ExternalLedger
from Stack.tests.photos import large_jpeg, unique_jpeg
from Stack.tests.real_factory import Factory

# The whole of it, by hand: OPERATIONS_FILES=2000 OPERATIONS_KILLS=50.
FILES, KILLS = int(os.environ.get("OPERATIONS_FILES", "40")), int(os.environ.get("OPERATIONS_KILLS", "2"))
ENDLESS = 1 << 42  # bytes: reading them takes longer than any test


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number in range(FILES):
        path = folder / f"day {number % 7}" / f"IMG_{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(unique_jpeg(number))
    return folder


@pytest.fixture
def ledger(factory: Factory, external_ledger: ExternalLedger) -> ExternalLedger:
    """Of a server that no kill of the factory ends."""
    factory.environment.update(READERS="2", BATCH_SIZE="4", DATABASE_URL=external_ledger.url)
    return external_ledger


def status(ledger: ExternalLedger) -> list[tuple[object, ...]]:
    """Id, status, runs, done and total of each operation; nothing while there is no such table yet."""
    try:
        return list(ledger.sql("SELECT id::text, status, runs, done, total FROM operations ORDER BY created_at"))
    except psycopg2.errors.UndefinedTable:
        return []


def runs_and_has_filed(factory: Factory, ledger: ExternalLedger, run: int, files: int) -> bool:
    return [row[1:3] for row in status(ledger)] == [("running", run)] and factory.filed() >= files


def test_killed_at_any_moment_and_resumed_everything_is_filed_once(
    factory: Factory, ledger: ExternalLedger, source: Path
) -> None:
    large_jpeg(source / "the last.jpg", ENDLESS)  # so that no run comes to its end
    chance = random.Random(1)
    id_ = ""
    for run in range(1, KILLS + 1):
        words = ["operations", "resume", id_] if id_ else ["import", source]
        with factory.start(*words):
            some = factory.filed() + chance.randrange(1, max(2, FILES // (KILLS + 1)))
            wait_until(partial(runs_and_has_filed, factory, ledger, run, some))
            factory.kill_all()
        ((id_, *_),) = status(ledger)  # type: ignore[assignment]

    (source / "the last.jpg").unlink()
    said = factory.run("ingest").err
    assert f"./factory operations resume {id_[-8:]}" in said and "stopped at " in said, "the next command offers it"
    report = factory.run("operations", "resume", id_, "--json").json()
    assert report["new"] + report["duplicates"] == report["entries"] == FILES, report
    assert report["failed"] == 0 and report["new"] > 0
    assert status(ledger) == [(id_, "completed", KILLS + 1, FILES, FILES)]

    rows = ledger.sql("SELECT final_path FROM media_assets")
    assert len(rows) == FILES
    assert {str(path.relative_to(factory.storage)) for path in factory.vault_files()} == {path for (path,) in rows}
    filed = ledger.sql("SELECT original_path FROM ingest_events WHERE fate = 'ingested'")
    assert Counter(path for (path,) in filed) == Counter(str(path) for path in source.rglob("*.jpg"))
    assert "operations resume" not in factory.run("ingest").err, "nothing is left to be offered"


def test_ctrl_c_and_the_same_import_once_more(factory: Factory, ledger: ExternalLedger, source: Path) -> None:
    large_jpeg(source / "the last.jpg", ENDLESS)
    with factory.start("import", source) as running:
        wait_until(partial(runs_and_has_filed, factory, ledger, 1, 1))
        running.process.send_signal(signal.SIGINT)
        done = running.wait()
    ((id_, *_),) = status(ledger)
    assert done.code == 130 and f"./factory operations resume {str(id_)[-8:]}" in done.err
    (source / "the last.jpg").unlink()
    assert factory.run("import", source, "--json").json()["entries"] == FILES
    assert status(ledger) == [(id_, "completed", 2, FILES, FILES)], "it went on with the one that stopped"


def test_another_terminal_cancels_it(factory: Factory, ledger: ExternalLedger, source: Path) -> None:
    large_jpeg(source / "the last.jpg", ENDLESS)
    with factory.start("import", source) as running:
        wait_until(partial(runs_and_has_filed, factory, ledger, 1, 1))
        ((id_, *_),) = status(ledger)
        assert factory.run("operations", "cancel", str(id_)).code == 0
        assert running.wait().code == 130
    assert [row[:3] for row in status(ledger)] == [(id_, "cancelled", 1)]
    refused = factory.run("operations", "resume", str(id_))
    assert refused.code == 2 and "cannot be resumed: it is cancelled" in refused.one_line()


def test_an_unchanged_source_is_known_by_the_cache_and_a_changed_file_is_read(
    factory: Factory, ledger: ExternalLedger, source: Path
) -> None:
    del ledger
    one = source / "day 0" / "IMG_00000.jpg"
    before = one.stat()
    newest = max(path.stat().st_ctime for path in source.rglob("*.jpg"))
    wait_until(lambda: time.time() - newest > 2 * COARSEST_CLOCK)  # what is younger is not remembered
    first = factory.run("import", source, "--json").json()
    assert (first["new"], first["hash_cache"]["hits"]) == (FILES, 0)
    again = factory.run("import", source, "--json").json()
    assert (again["duplicates"], again["hash_cache"]) == (FILES, {"hits": FILES, "misses": 0, "rate": 1.0})

    one.write_bytes(unique_jpeg(999_999))
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (one.stat().st_size, one.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    if not filesystem_id(source).keeps_numbers:
        pytest.skip("this filesystem has no ctime that says so")
    third = factory.run("import", source, "--json").json()
    assert (third["new"], third["duplicates"], third["hash_cache"]["misses"]) == (1, FILES - 1, 1)
