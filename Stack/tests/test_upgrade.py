"""An installation of the version before roles and vaults' ids, with its photos: one start brings it to today.

That version's ledger (schema 0002, `photo_factory` a superuser) and its vault's marker (empty) are made as it
made them.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import time
import uuid
from pathlib import Path

import pytest

from Src.Shared.migrations import HEAD
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.postgres.roles import ADMIN
from Src.Shared.postgres.tests.earlier_version import ask, earlier_version, make_ledger
from Src.Shared.settings import load_settings
from Src.Shared.tests.postgres_helpers import cluster_of, stop_for_good
from Src.Shared.vault_marker import read_marker
from Src.Testing.patience import wait_until
from Src.Testing.promise import Source, assert_promise_kept
from Stack.tests.photos import unique_jpeg
from Stack.tests.real_factory import LIMIT, Factory, Running

DAY = "2008/2008-05-30"  # of the sample
ORIGINALS, WAITING = 12, 3
KILLS = 8


@pytest.fixture
def earlier(bare_factory: Factory) -> tuple[Factory, list[Source]]:
    """It has filed photos; others wait, one of them a duplicate."""
    factory = bare_factory
    data = factory.data / "factory-db-data"
    server = EmbeddedPostgres(data)
    folder = factory.originals / DAY
    folder.mkdir(parents=True)
    (factory.originals / ".photo-factory-vault").touch()
    factory.inbox.mkdir()
    sources = []
    with earlier_version():
        make_ledger(server.ensure_running())
        ask(cluster_of(data), "DELETE FROM media_assets RETURNING 1")
        for number in range(ORIGINALS):
            content, name = unique_jpeg(number), f"IMG_{number}.jpg"
            sha256 = hashlib.sha256(content).hexdigest()
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o444)
            path, size = f"Originals/{DAY}/{name}", len(content)
            ask(
                cluster_of(data),
                "INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path,"
                f" media_kind, mime_type, captured_at, date_source) VALUES ('{uuid.uuid4()}', '{sha256}', {size},"
                f" '{name}', '{name}', '{path}', 'JPEG', 'image/jpeg', '2008-05-30 15:56:01', 'exif') RETURNING 1",
            )
            ask(
                cluster_of(data),
                "INSERT INTO ingest_events (id, fate, source, original_name, original_path, file_hash, file_size,"
                f" final_path) VALUES ('{uuid.uuid4()}', 'ingested', 'inbox', '{name}', '{name}', '{sha256}', {size},"
                f" '{path}') RETURNING 1",
            )
            sources.append(Source(name, sha256))
        stop_for_good(server, data)
    for number in (0, *range(ORIGINALS, ORIGINALS + WAITING)):
        (factory.inbox / f"waits {number}.jpg").write_bytes(unique_jpeg(number))
        sources.append(Source(f"waits {number}.jpg", hashlib.sha256(unique_jpeg(number)).hexdigest()))
    return factory, sources


def test_one_start_brings_it_to_today_however_often_it_is_killed(earlier: tuple[Factory, list[Source]]) -> None:
    factory, sources = earlier
    before = vault(factory)
    chance = random.Random(7)
    for _ in range(KILLS):
        running = Running(factory, factory.command("up"), factory.env())
        wait_until(factory.postgres, LIMIT, "PostgreSQL comes up")
        time.sleep(chance.uniform(0.0, 3.0))  # any moment: before, while and after the ledger is brought to today
        factory.kill_all()
        running.wait()
        assert "Traceback" not in running.output
        assert before.items() <= vault(factory).items()
    with factory.start("up") as running:
        told = "SELECT count(DISTINCT original_path) FROM ingest_events"
        wait_until(lambda: factory.asked(told) == [(len(sources),)], LIMIT, "all is filed")
        wait_until(lambda: not list(factory.inbox.iterdir()), LIMIT, "the inbox is empty")
        assert_promise_kept(load_settings(factory.env(), env_file=factory.data / "no.env"), sources)
        assert factory.sql("SELECT version_num FROM alembic_version") == [(HEAD,)]
        assert factory.sql("SELECT rolname FROM pg_roles WHERE rolsuper") == [(ADMIN,)]
        [(vault_id,)] = factory.sql("SELECT vault_id FROM vault")
        marker = read_marker(factory.originals)
        assert marker is not None and str(marker.vault_id) == str(vault_id)
        assert "Traceback" not in running.output
    assert before.items() <= vault(factory).items()


def vault(factory: Factory) -> dict[Path, tuple[int, bytes]]:
    """Each original, the very file and its bytes."""
    return {path: (path.stat().st_ino, path.read_bytes()) for path in factory.vault_files()}


def test_without_its_photos_it_is_refused_and_nothing_is_filed(earlier: tuple[Factory, list[Source]]) -> None:
    """The disk with the photos is not mounted, and another's is."""
    factory, _ = earlier
    shutil.rmtree(factory.originals / "2008")
    result = factory.run("ingest")
    assert result.code == 2
    assert "none that was looked for is in the vault" in result.err
    assert len(list(factory.inbox.iterdir())) == 1 + WAITING
    assert not factory.vault_files()
