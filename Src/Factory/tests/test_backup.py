"""Backups of the ledger, with a real PostgreSQL: complete and proven, or not there at all."""

from __future__ import annotations

import itertools
import json
import os
import resource
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from Src.Factory import backup as module
from Src.Factory.backup import restore_backup, run_restore, write_backup
from Src.Factory.ledger_server import local_programs, restore
from Src.Factory.postgres_programs import PostgresPrograms
from Src.Factory.problems import Problem
from Src.Shared import migrations
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.postgres.roles import ADMIN
from Src.Shared.settings import Settings
from Src.Testing.patience import wait_until

_numbers = itertools.count()
Rows = list[tuple[object, ...]]


@pytest.fixture
def programs(database: Database, ledger_server: EmbeddedPostgres) -> PostgresPrograms:
    """The programs for the ledger of `database`, with 100 originals in it."""
    database.ensure_ready()
    add_originals(database, 100)
    return replace(local_programs(database), folder=ledger_server.bin)


@pytest.fixture
def other_databases(programs: PostgresPrograms) -> Iterator[Callable[[], list[str]]]:
    """Databases of this ledger beside it; none may be left in the end."""

    def others() -> list[str]:
        with programs.session("postgres") as session:
            found = session.ask(f"SELECT datname FROM pg_database WHERE datname LIKE '{programs.database} (%';")
        return [name for [name] in found]

    yield others
    assert others() == []


def add_originals(database: Database, count: int) -> None:
    with database.session() as session:
        for number in itertools.islice(_numbers, count):
            session.execute(
                text(
                    "INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path,"
                    " media_kind, mime_type, captured_at, date_source) VALUES (gen_random_uuid(), :hash, 1000,"
                    " :name, :name, :path, 'JPEG', 'image/jpeg', now(), 'mtime')"
                ),
                {
                    "hash": f"{number:064x}",
                    "name": f"\tzwölf\\x '\"{number}.jpg",
                    "path": f"Originals/2020/2020-01-01/{number}.jpg",
                },
            )


def originals(database: Database) -> Rows:
    with database.session() as session:
        return [tuple(row) for row in session.execute(text("SELECT * FROM media_assets ORDER BY file_hash"))]


def unchanged(_database: str) -> None:
    """For a backup that is of today's schema."""


def test_a_restored_ledger_is_as_it_was(database: Database, programs: PostgresPrograms, tmp_path: Path) -> None:
    before = originals(database)

    copied = write_backup(programs, str(tmp_path / "ledger"))
    add_originals(database, 5)
    restored = restore_backup(programs, str(tmp_path / "ledger"), force=True, migrate=unchanged)

    assert copied.rows == restored.rows
    assert copied.rows["media_assets"] == 100
    assert copied.bytes == (tmp_path / "ledger").stat().st_size
    database.dispose()
    assert originals(database) == before
    add_originals(database, 1)  # and it is one to go on with


def test_no_copy_counts_by_a_restored_ledger(
    database: Database, programs: PostgresPrograms, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it says of copies was true when the backup was made."""
    with database.session() as session:
        session.execute(
            text("INSERT INTO copies (id, name, kind, target) VALUES (gen_random_uuid(), 'd', 'folder', '/d')")
        )
        session.execute(
            text(
                "INSERT INTO copied_files (copy_id, path, file_hash, file_size, original_hash, stamp, there_since, "
                "read_back_at) SELECT c.id, a.final_path, a.file_hash, 1, a.file_hash, 's', now(), now() "
                "FROM copies AS c, media_assets AS a LIMIT 7"
            )
        )
        session.execute(text("UPDATE media_assets SET is_backed_up = true, backed_up_at = now()"))
    write_backup(programs, str(tmp_path / "ledger"))
    run_restore(programs, str(tmp_path / "ledger"), force=True, as_json=False, migrate=unchanged)
    assert "./factory copies run NAME" in capsys.readouterr().out
    database.dispose()
    with database.session() as session:
        asked = "SELECT count(*) FROM copied_files WHERE stamp = '' AND read_back_at = to_timestamp(0)"
        assert session.execute(text(asked)).scalar_one() == 7
        assert session.execute(text("SELECT count(*) FROM media_assets WHERE is_backed_up")).scalar_one() == 0


def test_a_backup_is_one_moment_of_a_ledger_at_work(
    database: Database, programs: PostgresPrograms, tmp_path: Path
) -> None:
    finished = threading.Event()

    def work() -> None:
        while not finished.is_set():
            add_originals(database, 1)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        wait_until(lambda: len(originals(database)) > 100)
        copied = write_backup(programs, str(tmp_path / "ledger"))
        wait_until(lambda: len(originals(database)) > copied.rows["media_assets"])
    finally:
        finished.set()
        worker.join()
    assert 100 < copied.rows["media_assets"] < len(originals(database))


def test_only_its_owner_may_read_it(programs: PostgresPrograms, tmp_path: Path) -> None:
    write_backup(programs, str(tmp_path / "ledger"))
    assert stat.S_IMODE((tmp_path / "ledger").stat().st_mode) == 0o600
    assert not [*tmp_path.glob(".*")]


def test_an_older_backup_is_replaced_only_when_told_to(programs: PostgresPrograms, tmp_path: Path) -> None:
    target = tmp_path / "ledger"
    target.write_bytes(b"older")
    with pytest.raises(Problem, match="exists already"):
        write_backup(programs, str(target))
    assert target.read_bytes() == b"older"

    write_backup(programs, str(target), force=True)
    assert target.read_bytes().startswith(b"PGDMP")


def test_a_file_that_another_makes_meanwhile_is_not_replaced(
    programs: PostgresPrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "ledger"
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (target.write_bytes(b"other"), real(file)))
    with pytest.raises(Problem, match="File exists"):
        write_backup(programs, str(target))
    assert target.read_bytes() == b"other"
    assert not [*tmp_path.glob(".*")]


def pg_dump_with(programs: PostgresPrograms, tmp_path: Path, command: str) -> PostgresPrograms:
    """Programs whose pg_dump is a shell command; the real one is "$PG_DUMP"."""
    folder = tmp_path / "bin"
    folder.mkdir()
    assert programs.folder is not None
    for name in ("psql", "pg_restore"):
        (folder / name).symlink_to(programs.folder / name)
    (folder / "pg_dump").write_text(f"#!/bin/sh\nPG_DUMP={programs.folder}/pg_dump\n{command}\n")
    (folder / "pg_dump").chmod(0o755)
    return replace(programs, folder=folder)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ('exec "$PG_DUMP" "$@" --exclude-table-data=media_assets', "do not have the database's rows: media_assets"),
        ('exec "$PG_DUMP" "$@" --exclude-table=inbox_files', "do not have the database's rows: inbox_files"),
        ('"$PG_DUMP" "$@" | head -c 2000', "end of file"),
        ("exit 0", "end of file"),
        ('"$PG_DUMP" "$@"; echo "pg_dump: error: no luck" >&2; exit 1', "no luck"),
    ],
)
def test_a_backup_that_is_not_whole_is_none(
    programs: PostgresPrograms,
    other_databases: Callable[[], list[str]],
    tmp_path: Path,
    command: str,
    reason: str,
) -> None:
    target = tmp_path / "backups" / "ledger"
    target.parent.mkdir()
    with pytest.raises(Problem, match=reason) as told:
        write_backup(pg_dump_with(programs, tmp_path, command), str(target))
    assert "\n" not in str(told.value)
    assert not [*target.parent.iterdir()]


def test_a_full_disk_leaves_nothing(programs: PostgresPrograms, tmp_path: Path) -> None:
    target = tmp_path / "backups" / "ledger"
    target.parent.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # Python ignores SIGXFSZ: writing fails
    try:
        with pytest.raises(Problem, match=r"backup: .*ledger: File too large"):
            write_backup(programs, str(target))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [*target.parent.iterdir()]


def test_where_there_is_no_place_for_it(programs: PostgresPrograms, tmp_path: Path) -> None:
    for target, reason in ((tmp_path / "none" / "ledger", "no such folder"), (tmp_path, "is a folder")):
        with pytest.raises(Problem, match=reason):
            write_backup(programs, str(target))


def test_two_at_a_time_are_refused(programs: PostgresPrograms, tmp_path: Path) -> None:
    with programs.session("postgres") as other:
        other.ask(f"SELECT pg_advisory_lock({module._LOCK});")
        with pytest.raises(Problem, match="another backup or restore is under way"):
            write_backup(programs, str(tmp_path / "ledger"))
        other.ask(f"SELECT pg_advisory_unlock({module._LOCK});")


def test_the_next_one_finds_the_way_free(
    database: Database, programs: PostgresPrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late the server notices that the psql of the last one has gone."""
    held: list[object] = []
    end = subprocess.Popen.communicate
    locks = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {module._LOCK & 0xFFFFFFFF}"

    def communicate(process: subprocess.Popen[bytes]) -> object:
        with database.session() as session:
            held.append(session.scalar(text(locks)))
        return end(process)

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
    write_backup(programs, str(tmp_path / "ledger"))
    assert held[0] == 1
    assert held[-1] == 0


def test_the_ledger_is_swapped_when_its_visitors_are_shown_out() -> None:
    """PostgreSQL waits 5 s for them, and a psql may take as long to start."""
    events: list[str] = []
    swapper = threading.get_ident()

    def is_awaited() -> bool:
        stack = traceback.extract_stack(sys._current_frames()[swapper])
        return [frame.name for frame in stack[-3:]] == ["_without_visitors", "wait", "wait"]

    class Late:
        @contextmanager
        def session(self, _database: str) -> Iterator[Late]:
            wait_until(lambda: events or is_awaited())
            yield self

        def ask(self, statement: str) -> None:
            assert "pg_terminate_backend" in statement
            events.append("shown out")

    with module._without_visitors(Late(), "ledger"):  # type: ignore[arg-type]
        events.append("swapped")
    assert events[:1] == ["shown out"]


def test_a_missing_program_is_told_with_advice(programs: PostgresPrograms, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="psql is not installed; install it"):
        write_backup(replace(programs, folder=tmp_path), str(tmp_path / "ledger"))


@pytest.mark.usefixtures("other_databases")
@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.8, 0.99])
def test_a_backup_cut_short_changes_nothing(
    database: Database, programs: PostgresPrograms, tmp_path: Path, part: float
) -> None:
    whole, cut = tmp_path / "ledger", tmp_path / "cut"
    write_backup(programs, str(whole))
    cut.write_bytes(whole.read_bytes()[: int(part * whole.stat().st_size)])
    before = originals(database)

    with pytest.raises(Problem, match=r"restore: .*cut: ") as told:
        restore_backup(programs, str(cut), force=True, migrate=unchanged)

    assert "\n" not in str(told.value)
    assert originals(database) == before


@pytest.mark.usefixtures("other_databases")
@pytest.mark.parametrize("what", ["nothing of ours", "another database"])
def test_what_is_no_ledger_changes_nothing(
    database: Database, programs: PostgresPrograms, tmp_path: Path, what: str
) -> None:
    source = tmp_path / "ledger"
    if what == "another database":
        with open(source, "wb") as file:
            programs.run("pg_dump", "--format=custom", database="postgres", to=file)
    else:
        source.write_text(what)
    before = originals(database)
    reason = "something else than this database" if what == "another database" else "magic string"
    with pytest.raises(Problem, match=reason):
        restore_backup(programs, str(source), force=True, migrate=unchanged)
    assert originals(database) == before


@pytest.mark.usefixtures("other_databases")
@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("CREATE EXTENSION vector", "permission denied to create extension"),
        (
            "CREATE FUNCTION f(internal) RETURNS internal LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler'",
            "denied",
        ),
        ("CREATE FOREIGN DATA WRAPPER elsewhere", "permission denied to create foreign-data wrapper"),
        ("CREATE TABLE theirs (id int)", None),
    ],
)
def test_what_a_superuser_made_is_told_or_becomes_the_owners(
    database: Database, programs: PostgresPrograms, tmp_path: Path, made: str, reason: str | None
) -> None:
    """A dump from a server where a person worked as superuser in the ledger's database."""
    as_admin = replace(programs, environment={**programs.environment, "PGUSER": ADMIN})
    with as_admin.session(programs.database) as session:
        session.ask(f"{made};")
    with open(tmp_path / "ledger", "wb") as file:
        as_admin.run("pg_dump", "--format=custom", database=programs.database, to=file)
    before = originals(database)
    if reason is None:
        with pytest.raises(Problem, match=r"backup: .*another role's .*theirs.*OWNER TO photo_factory"):
            write_backup(programs, str(tmp_path / "own"))
        restore_backup(programs, str(tmp_path / "ledger"), force=True, migrate=unchanged)
        database.dispose()
        with programs.session(programs.database) as session:
            owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'theirs';"
            assert session.ask(owner) == [[programs.environment["PGUSER"]]]
    else:
        told = f"restore: .*: it holds what only a superuser .*{reason}.*drop it in the database that was backed up"
        with pytest.raises(Problem, match=told):
            restore_backup(programs, str(tmp_path / "ledger"), force=True, migrate=unchanged)
    assert originals(database) == before


@pytest.mark.usefixtures("other_databases")
def test_a_ledger_with_originals_is_replaced_only_when_told_to(
    database: Database, programs: PostgresPrograms, tmp_path: Path
) -> None:
    write_backup(programs, str(tmp_path / "ledger"))
    add_originals(database, 1)
    with pytest.raises(Problem, match="holds 101 originals"):
        restore_backup(programs, str(tmp_path / "ledger"), migrate=unchanged)
    assert len(originals(database)) == 101


def test_an_empty_ledger_is_replaced_without_being_told(
    database: Database, programs: PostgresPrograms, tmp_path: Path
) -> None:
    write_backup(programs, str(tmp_path / "ledger"))
    with database.session() as session:
        session.execute(text("DELETE FROM media_assets"))
    restore_backup(programs, str(tmp_path / "ledger"), migrate=unchanged)
    database.dispose()
    assert len(originals(database)) == 100


@pytest.mark.usefixtures("other_databases")
def test_the_schema_is_brought_up_to_date_before_anybody_sees_it(
    database: Database, programs: PostgresPrograms, tmp_path: Path
) -> None:
    write_backup(programs, str(tmp_path / "ledger"))
    seen = []

    def migrate(name: str) -> None:
        seen.append(name)
        raise Problem("it is of a later version")

    with pytest.raises(Problem, match="later version"):
        restore_backup(programs, str(tmp_path / "ledger"), force=True, migrate=migrate)
    assert seen == [f"{programs.database} (scratch of ./factory backup)"]
    assert len(originals(database)) == 100


def test_a_backup_of_an_older_version_is_brought_up_to_date(
    factory_settings: Settings,
    database: Database,
    programs: PostgresPrograms,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With the programs on PATH, as for a PostgreSQL of one's own."""
    monkeypatch.setenv("PATH", f"{programs.folder}:{os.environ['PATH']}")
    older, target = f"{programs.database}_older", tmp_path / "ledger"
    with programs.session("postgres") as session:
        session.ask(f"CREATE DATABASE {older};")
    engine = create_engine(make_url(database.url).set(database=older))
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.commit()
    engine.dispose()
    write_backup(replace(programs, database=older), str(target))
    with programs.session("postgres") as session:
        session.ask(f"DROP DATABASE {older};")

    assert restore(factory_settings, file=str(target), force=True, as_json=True) == 0

    assert json.loads(capfd.readouterr().out)["rows"]["media_assets"] == 0
    database.dispose()
    with database.session() as session_now:
        assert session_now.scalar(text("SELECT version_num FROM alembic_version")) == migrations.HEAD
    add_originals(database, 1)


def test_what_a_killed_run_left_is_cleared_away(
    programs: PostgresPrograms, other_databases: Callable[[], list[str]], tmp_path: Path
) -> None:
    with programs.session("postgres") as session:
        for what in ("scratch of ./factory backup", "replaced by ./factory restore"):
            session.ask(f'CREATE DATABASE "{programs.database} ({what})";')
    (tmp_path / ".ledger.factory-part").write_bytes(b"half" * 100_000)
    assert len(other_databases()) == 2

    copied = write_backup(programs, str(tmp_path / "ledger"))
    restore_backup(programs, str(tmp_path / "ledger"), force=True, migrate=unchanged)

    assert not (tmp_path / ".ledger.factory-part").exists()
    assert (tmp_path / "ledger").stat().st_size == copied.bytes


def test_a_restore_while_services_keep_coming_back(
    database: Database, programs: PostgresPrograms, tmp_path: Path
) -> None:
    """They lose their connections and open new ones at once; none stays with the ledger that was."""
    write_backup(programs, str(tmp_path / "ledger"))
    add_originals(database, 1)
    finished = threading.Event()
    counts = []

    def come_back() -> None:
        while not finished.is_set():
            try:
                with database.session() as session:
                    counts.append(session.scalar(text("SELECT count(*) FROM media_assets")))
            except LedgerUnavailable:
                counts.append(None)

    clients = [threading.Thread(target=come_back) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        wait_until(lambda: len(counts) > 0)
        restore_backup(programs, str(tmp_path / "ledger"), force=True, migrate=unchanged)
    finally:
        finished.set()
        for client in clients:
            client.join()
    assert counts[0] == 101
    assert len(originals(database)) == 100
