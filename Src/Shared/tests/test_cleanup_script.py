"""Retention: old heartbeats go, everything else stays."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import event, text

from Src.Shared import cleanup_script
from Src.Shared.cleanup_script import delete_old_heartbeats, delete_old_work
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Shared.tests.postgres_helpers import LIMIT
from Src.Testing.patience import wait_until


@pytest.fixture
def heartbeats(database: Database) -> Database:
    """One heartbeat a day for the last 100 days, each half a day short of whole days old, and old proof."""
    with database.session() as session:
        session.execute(
            text(
                "INSERT INTO system_status_history (service_name, heartbeat_timestamp, status) "
                "SELECT 'librarian', now() - make_interval(days => d) + interval '12 hours', 'OK' "
                "FROM generate_series(1, 100) d"
            )
        )
        session.execute(
            text(
                "INSERT INTO ingest_events (id, happened_at, fate, source, original_name, original_path) "
                "VALUES (gen_random_uuid(), now() - interval '10 years', 'ingested', 'inbox', 'a', 'a')"
            )
        )
        session.execute(
            text("INSERT INTO system_status VALUES ('old', now() - interval '1 year', 'OK', NULL, NULL, 60)")
        )
    return database


def _counts(database: Database) -> tuple[int, int, int]:
    with database.session() as session:
        history, events, status = (
            session.scalar(text(f"SELECT count(*) FROM {table}")) or 0
            for table in ("system_status_history", "ingest_events", "system_status")
        )
    return history, events, status


@pytest.mark.parametrize("batch", [1, 7, 40, 1000])
def test_only_old_heartbeats_go(heartbeats: Database, batch: int) -> None:
    assert delete_old_heartbeats(heartbeats, 60, batch=batch) == 40
    assert _counts(heartbeats) == (60, 1, 1)
    assert delete_old_heartbeats(heartbeats, 60, batch=batch) == 0


def test_each_batch_is_a_transaction_of_its_own(heartbeats: Database) -> None:
    commits: list[object] = []
    delete_old_heartbeats(heartbeats, 1000)
    assert heartbeats._engine is not None
    event.listen(heartbeats._engine, "commit", commits.append)
    delete_old_heartbeats(heartbeats, 60, batch=10)
    assert len(commits) == 5


def test_it_finds_them_by_the_index(heartbeats: Database) -> None:
    with heartbeats.session() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = session.scalars(text(f"EXPLAIN {cleanup_script._DELETE.text}"), {"days": 60, "batch": 10}).all()
    assert "ix_system_status_history_timestamp" in "\n".join(plan)


def test_it_can_be_stopped_between_batches(heartbeats: Database) -> None:
    stop = threading.Event()
    stop.set()
    assert delete_old_heartbeats(heartbeats, 60, stop=stop) == 0


def test_the_ledgers_absence_only_delays_it(
    heartbeats: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cleanup_script, "FIRST_RETRY", 0.01)
    ready, failures = heartbeats.ensure_ready, iter([LedgerUnavailable("away"), LedgerUnavailable("still away")])

    def ensure_ready(wait: float) -> None:
        for error in failures:
            raise error
        ready(wait)

    monkeypatch.setattr(heartbeats, "ensure_ready", ensure_ready)
    stop = threading.Event()
    caplog.set_level(logging.INFO)
    thread = threading.Thread(target=cleanup_script.run, args=(heartbeats, 60, 3600.0, stop))
    thread.start()
    wait_until(lambda: _counts(heartbeats)[0] == 60)
    stop.set()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert "next try in 0.01 s: away" in caplog.text
    assert "next try in 0.02 s: still away" in caplog.text


def _environment(settings: Settings, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "FACTORY_DATA": str(settings.data),
        "DATABASE_URL": str(settings.database_url),
        "RETENTION_DAYS": "60",
        "LOG_FORMAT": "text",
        **more,
    }


COMMAND = [sys.executable, "-m", "Src.Shared.cleanup_script"]


def test_the_command_deletes_once(heartbeats: Database, factory_settings: Settings) -> None:
    ran = subprocess.run(
        COMMAND, cwd=PROJECT_ROOT, env=_environment(factory_settings), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "Deleted 40 status reports older than 60 days" in ran.stderr
    assert _counts(heartbeats) == (60, 1, 1)


def test_the_command_goes_on_until_it_is_told_to_stop(heartbeats: Database, factory_settings: Settings) -> None:
    with subprocess.Popen(
        [*COMMAND, "--every", "24"],
        cwd=PROJECT_ROOT,
        env=_environment(factory_settings),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: _counts(heartbeats)[0] == 60)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, errors
    assert "SIGTERM" in errors


@pytest.mark.parametrize(
    ("arguments", "more", "says"),
    [
        (["--every", "0"], {}, "--every"),
        ([], {"RETENTION_DAYS": "soon"}, "RETENTION_DAYS=soon"),
        ([], {"DATABASE_URL": "postgresql://u:hidden@127.0.0.1:1/d"}, "refused"),
    ],
)
def test_what_is_wrong_is_exit_code_2(
    factory_settings: Settings, tmp_path: Path, arguments: list[str], more: dict[str, str], says: str
) -> None:
    environment = _environment(factory_settings, **more)
    ran = subprocess.run(
        [*COMMAND, *arguments], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert says in ran.stderr
    assert "hidden" not in ran.stderr and "Traceback" not in ran.stderr


def test_operations_and_hashes_go_when_they_are_old(database: Database) -> None:
    with database.session() as session:
        for days in (29, 31):
            session.execute(
                text(
                    "INSERT INTO operations (id, kind, parameters, who, is_scheduled, status, done, errors, runs, "
                    "host, pid, created_at, heartbeat_at) SELECT gen_random_uuid(), 'import', '{}', 'me', false, "
                    "status, 0, 0, 1, 'here', 1, now(), now() - make_interval(days => :days) "
                    "FROM unnest(ARRAY['completed', 'running']) AS status"
                ),
                {"days": days},
            )
        for days in (89, 91):
            session.execute(
                text(
                    "INSERT INTO hash_cache VALUES (gen_random_uuid(), '/a', '', NULL, 1, 1, NULL, repeat('a', 64), "
                    "now() - make_interval(days => :days))"
                ),
                {"days": days},
            )
    assert delete_old_work(database, batch=1) == 3
    assert delete_old_work(database) == 0
    with database.session() as session:
        left = session.execute(
            text(
                "SELECT (SELECT count(*) FROM operations WHERE heartbeat_at > now() - interval '30 days'), "
                "(SELECT count(*) FROM hash_cache WHERE seen_at > now() - interval '90 days')"
            )
        ).one()
    assert tuple(left) == (2, 1)
