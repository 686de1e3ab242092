"""`./factory backup` and `restore` without Docker, as a person or a script meets them."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest

from Src.Testing.patience import wait_until
from Stack.tests.photos import unique_jpeg
from Stack.tests.real_factory import LIMIT, Factory


def ingest(factory: Factory, *numbers: int) -> None:
    factory.inbox.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (factory.inbox / f"{number}.jpg").write_bytes(unique_jpeg(number))
    assert factory.run("ingest", "--json").json()["new"] == len(numbers)


def originals(factory: Factory) -> int:
    [[count]] = factory.sql_at_rest("SELECT count(*) FROM media_assets")
    assert isinstance(count, int)
    return count


def test_backup_restore_and_what_is_said(factory: Factory, folder: Path) -> None:
    target = folder / "ledger.dump"
    ingest(factory, 1, 2, 3)
    result = factory.run("backup", target)
    assert (result.code, result.err) == (0, "")
    assert "3 originals" in result.out and str(target) in result.out
    report = factory.run("backup", "--json", "--force", target).json()
    assert report["rows"]["media_assets"] == 3
    assert report["bytes"] == target.stat().st_size

    ingest(factory, 4)
    assert "4 originals" in factory.run("restore", target).one_line()
    assert factory.run("restore", "--json", "--force", target).json()["rows"]["media_assets"] == 3
    assert originals(factory) == 3
    assert factory.filed() == 4, "photos are not what a restore is about"


def test_a_backup_of_an_empty_ledger_replaces_no_other(factory: Factory, folder: Path) -> None:
    """A nightly job goes on after the ledger was lost."""
    target = folder / "ledger.dump"
    ingest(factory, 1)
    assert factory.run("backup", target).code == 0
    before = target.read_bytes()
    subprocess.run(["rm", "-rf", factory.data], check=True)

    result = factory.run("backup", "--force", target)

    assert result.code == 2
    last = result.err.splitlines()[-1]
    assert "the database is empty" in last and "another name" in last
    assert target.read_bytes() == before
    assert [path.name for path in folder.glob("*ledger*")] == ["ledger.dump"]
    assert factory.run("backup", folder / "new.dump").code == 0, "where there is none, an empty one is one"


def test_originals_that_came_after_the_backup_get_their_rows_again(factory: Factory, folder: Path) -> None:
    """As docs/TROUBLESHOOTING.md tells it."""
    ingest(factory, 1)
    factory.run("backup", folder / "ledger.dump")
    ingest(factory, 2, 3)
    assert factory.run("restore", "--force", folder / "ledger.dump").code == 0
    before = {path: path.stat().st_ino for path in factory.vault_files()}

    done = factory.run("rebuild", "--missing", "--json")

    assert (done.code, done.json()["filed"], done.json()["from_nothing"]) == (0, 2, False)
    assert originals(factory) == 3
    assert {path: path.stat().st_ino for path in factory.vault_files()} == before


def test_pipes(factory: Factory) -> None:
    ingest(factory, 1, 2)
    made = subprocess.run(factory.command("backup", "-"), env=factory.env(), capture_output=True, check=True)
    assert made.stdout.startswith(b"PGDMP")
    restore = factory.command("restore", "--force", "-")
    restored = subprocess.run(restore, env=factory.env(), input=made.stdout, capture_output=True, check=True)
    assert b"2 originals" in restored.stdout
    assert originals(factory) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_backup_that_is_killed_leaves_no_file(
    factory: Factory, folder: Path, number: signal.Signals, code: int
) -> None:
    backups = folder / "backups"
    backups.mkdir()
    ingest(factory, 1)
    with factory.start("up") as running:
        running.wait_for("watching ")
        # Reading the table waits for this: so the backup is under way for as long as we like.
        with factory.start("psql", "-c", "BEGIN; LOCK TABLE ingest_events; SELECT pg_sleep(600)") as lock:
            lockers = "SELECT pid FROM pg_locks WHERE relation = 'ingest_events'::regclass AND granted"
            lockers += " AND mode = 'AccessExclusiveLock'"
            wait_until(lambda: factory.asked(lockers), LIMIT)
            with factory.start("backup", backups / "ledger.dump") as backup:
                waiting = "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid)"
                waiting += " WHERE NOT granted AND application_name = 'pg_dump'"
                wait_until(lambda: factory.asked(waiting), LIMIT)
                os.kill(backup.pid, number)
                # What is under way in the database is waited for: it may be anything.
                [[locker]] = factory.sql(lockers)
                factory.sql("SELECT pg_cancel_backend(%s)", locker)
                result = backup.wait()
            lock.wait()
        assert result.code == code
        assert "Traceback" not in result.err
        left = [path.name for path in backups.iterdir()]
        assert left == ([".ledger.dump.factory-part"] if number == signal.SIGKILL else [])

        # The programs that a killed one has started end a little later.
        at_work = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
        wait_until(lambda: not factory.sql(at_work), LIMIT, "its session ends")
        wait_until(lambda: not any(map(is_locked, backups.iterdir())), LIMIT, "its pg_dump ends")
        assert factory.run("backup", backups / "ledger.dump").code == 0
        assert [path.name for path in backups.iterdir()] == ["ledger.dump"]
        assert factory.sql("SELECT datname FROM pg_database WHERE datname LIKE '%% (%%'") == []


def test_a_restore_beside_a_librarian_at_work(factory: Factory, folder: Path) -> None:
    factory.environment["HEARTBEAT_INTERVAL"] = "0.5"
    ingest(factory, 1, 2)
    assert factory.run("backup", folder / "ledger.dump").code == 0
    with factory.start("up") as running:
        running.wait_for("watching ")
        (factory.inbox / "3.jpg").write_bytes(unique_jpeg(3))
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(3,)], LIMIT)
        # It knows by now that this row is there. One that had not heard so would write it again.
        wait_until(lambda: not any(factory.inbox.iterdir()), LIMIT, "it is done with the file")

        assert factory.run("restore", "--force", folder / "ledger.dump").code == 0

        assert factory.sql("SELECT count(*) FROM media_assets") == [(2,)]
        (factory.inbox / "4.jpg").write_bytes(unique_jpeg(4))
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(3,)], 2 * LIMIT, "it goes on")
        wait_until(lambda: factory.asked("SELECT 1 FROM system_status WHERE status = 'OK'"), LIMIT, "heartbeats too")


def test_a_ledger_moves_to_a_new_factory(factory: Factory, bare_factory: Factory, folder: Path) -> None:
    """An embedded one that was never started; the photos would have been copied."""
    ingest(factory, 1, 2)
    factory.run("backup", folder / "ledger.dump")
    other = Factory(folder / "other", dict(factory.environment))
    try:
        assert other.run("restore", folder / "ledger.dump").code == 0
        assert originals(other) == 2
    finally:
        other.kill_all()


def test_a_backup_of_a_later_version_is_refused(factory: Factory, folder: Path) -> None:
    ingest(factory, 1)
    [[schema]] = factory.sql_at_rest("SELECT version_num FROM alembic_version")
    target = folder / "ledger.dump"
    with factory.start("psql", "-c", "SELECT pg_sleep(600)"):  # holds the server
        wait_until(lambda: factory.asked("SELECT 1"), LIMIT)
        assert factory.run("backup", target).code == 0
        factory.sql("UPDATE alembic_version SET version_num = '9999'")
        pg_dump = ["sh", "-c", '"$0" --format=custom', str(pg_dump_program())]
        with open(target, "wb") as file:
            subprocess.run(pg_dump, env=os.environ | way_to(factory), stdout=file, check=True)
        factory.sql("UPDATE alembic_version SET version_num = %s", schema)

        result = factory.run("restore", "--force", target)

        assert result.code == 2
        assert "schema 9999" in result.one_line() and "update Photo Factory" in result.one_line()
        assert factory.sql("SELECT version_num FROM alembic_version") == [(schema,)]
        factory.kill_all()


def is_locked(path: Path) -> bool:
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def pg_dump_program() -> Path:
    from Src.Shared.postgres.embedded import EmbeddedPostgres

    return EmbeddedPostgres(Path("/nowhere")).bin / "pg_dump"


def way_to(factory: Factory) -> dict[str, str]:
    socket = (factory.cluster / "postmaster.pid").read_text().splitlines()[4]
    return {"PGHOST": socket, "PGUSER": "photo_factory", "PGDATABASE": "photo_factory"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("backup",), "FILE"),
        (("restore", "/nowhere/at/all"), "No such file or directory"),
        (("backup", "/nowhere/at/all"), "no such folder"),
        (("password",), "docker compose up -d"),
    ],
)
def test_wrong_usage(factory: Factory, arguments: tuple[str, ...], reason: str) -> None:
    result = factory.run(*arguments)
    assert result.code == 2
    assert reason in result.err
    assert "Traceback" not in result.err
