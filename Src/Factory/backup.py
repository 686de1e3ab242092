"""`backup` and `restore`: the ledger in one file, as pg_dump's custom format.

A backup counts only when it was restored once, into a scratch database, with every row. A restore is made in a
scratch database too, which then takes the ledger's place in one transaction: until then, and if anything fails, the
ledger is as it was.

Nothing but the standard library: against the stack this runs in the system's Python.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from Src.Factory.postgres_programs import PostgresFailure, PostgresPrograms, Session, literal, quoted
from Src.Factory.problems import Problem
from Src.Shared.disk.locks import lock_now
from Src.Shared.disk.syncing import fsync_folder
from Src.Shared.errors import ExitCode
from Src.Shared.words import counted

STANDARD_STREAM = "-"

_LOCK = 0x4C6564676572  # "Ledger": the advisory lock of the one backup or restore under way
_SERVICE_DATABASE = "postgres"  # where one stands who works on the ledger's database from outside
_NAME_LIMIT = 63  # bytes in PostgreSQL's names

_BESIDE = "public_rebuild"  # the schema in which a rebuild works (`Src/Library/rebuilding`): it can be made again
_COUNTS = f"""
SELECT format('SELECT %L, count(*) FROM %I.%I', tablename, schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema', '{_BESIDE}')
AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT') ORDER BY schemaname, tablename \\gexec
"""

_COPIED_FILES = "copied_files"
# What was at copies when the backup was made may have gone from there since: nothing of it counts before it is read.
_COPIES_UNKNOWN = """
UPDATE copied_files SET read_back_at = to_timestamp(0), stamp = '';
UPDATE media_assets SET is_backed_up = false, backed_up_at = NULL WHERE is_backed_up;
"""

# An extension that PostgreSQL does not trust, a language, a foreign server, a function in C, …
_FOR_SUPERUSERS = re.compile("permission denied|must be superuser|must be owner", re.IGNORECASE)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Counts = dict[str, int]


@dataclass(frozen=True)
class Copied:
    """What a backup or restore has brought over: rows by table."""

    file: str
    bytes: int | None  # None: not known of a stream
    rows: Counts
    seconds: float


def run_backup(programs: PostgresPrograms, target: str, *, force: bool, as_json: bool) -> int:
    """Writes a backup and tells of it; the exit code. Raises Problem."""
    if target == STANDARD_STREAM and sys.stdout.isatty():
        raise Problem("backup: a backup is no text for a terminal; give a file, or redirect")
    with _interruptible() as interrupted:
        copied = write_backup(programs, target, force=force)
        out = sys.stderr if target == STANDARD_STREAM else sys.stdout
        said = f"Backup of {_originals(copied)} in {target}, {copied.bytes:,} bytes, restored once to see."
        _tell(copied, said, as_json, out)
    return ExitCode.INTERRUPTED if interrupted else ExitCode.WELL


def run_restore(
    programs: PostgresPrograms, source: str, *, force: bool, as_json: bool, migrate: Callable[[str], None]
) -> int:
    """Puts a backup in the ledger's place and tells of it; the exit code. Raises Problem."""
    with _interruptible() as interrupted:
        copied = restore_backup(programs, source, force=force, migrate=migrate)
        said = f"Restored from {source}: {_originals(copied)}."
        if copied.rows.get(_COPIED_FILES):
            said += "\nNo copy counts until its next run has read it back: ./factory copies run NAME, for each of them."
        _tell(copied, said, as_json, sys.stdout)
    return ExitCode.INTERRUPTED if interrupted else ExitCode.WELL


def write_backup(programs: PostgresPrograms, target: str, *, force: bool = False) -> Copied:
    """Writes the ledger into the file `target` (`-`: stdout), which appears complete and proven or not at all.

    Raises Problem.
    """
    started = time.monotonic()
    with _told("backup", target), _new_file(target, force) as file:
        with _alone(programs) as outside, programs.session(programs.database) as ledger:
            # What is counted and what is dumped are one moment's, while the services work on.
            ledger.ask("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;")
            [[snapshot]] = ledger.ask("SELECT pg_export_snapshot();")
            _dump(programs, snapshot, file)
            rows = _count(ledger)
            ledger.ask("COMMIT;")
            if not _kept(rows) and target != STANDARD_STREAM and Path(target).exists():
                raise Problem(
                    f"backup: {target}: the database is empty, and what is there may be the backup of one that was "
                    "lost: it stays; give another name"
                )
            _rewind(file)
            with _scratch(programs, outside) as scratch:
                _load(programs, scratch, file)
                with programs.session(scratch) as restored:
                    difference = dict(rows.items() ^ _count(restored).items())
            if difference:
                raise Problem(
                    f"backup: {target}: tables do not have the database's rows: {', '.join(sorted(difference))}"
                )
        size = os.fstat(file.fileno()).st_size
    return Copied(target, size, rows, time.monotonic() - started)


def restore_backup(
    programs: PostgresPrograms, source: str, *, force: bool = False, migrate: Callable[[str], None]
) -> Copied:
    """Replaces the ledger by what is in the file `source` (`-`: stdin).

    `migrate` brings the database of that name to the schema of today; its exceptions pass. Services lose their
    connections at the end and find the new ledger when they come back. Raises Problem.
    """
    started = time.monotonic()
    with _told("restore", source), _old_file(source) as file, _alone(programs) as outside:
        with programs.session(programs.database) as ledger:
            in_ledger = _count(ledger)
        if _kept(in_ledger) and not force:
            raise Problem(
                f"restore: the database holds {counted(in_ledger.get('media_assets', 0), 'original')} with their "
                "history; back it up first, then replace it with --force"
            )
        with _scratch(programs, outside) as scratch:
            _load(programs, scratch, file)
            with programs.session(scratch) as restored:
                if not {"media_assets", "alembic_version"} <= _count(restored).keys():
                    raise Problem(f"restore: {source}: is a backup of something else than this database")
            migrate(scratch)
            with programs.session(scratch) as restored:
                if _COPIED_FILES in _count(restored):
                    restored.ask(_COPIES_UNKNOWN)
                restored.ask("ANALYZE;")
                rows = _count(restored)
            _swap(programs, scratch, outside)
        size = None if source == STANDARD_STREAM else os.fstat(file.fileno()).st_size
    return Copied(source, size, rows, time.monotonic() - started)


def prove_backup(programs: PostgresPrograms, source: str) -> Counts:
    """Restores the backup in the file `source` into a scratch database, which goes again; the rows of its tables.

    Raises Problem.
    """
    with (
        _told("backup", source),
        _old_file(source) as file,
        _alone(programs) as outside,
        _scratch(programs, outside) as scratch,
    ):
        _load(programs, scratch, file)
        with programs.session(scratch) as restored:
            return _count(restored)


# Databases


@contextmanager
def _alone(programs: PostgresPrograms) -> Iterator[Session]:
    """A session beside the ledger's database; while it lasts nobody else backs up or restores on this server."""
    with programs.session(_SERVICE_DATABASE) as session:
        if session.ask(f"SELECT pg_try_advisory_lock({_LOCK});") != [["t"]]:
            raise PostgresFailure("another backup or restore is under way")
        try:
            yield session
        finally:
            # The server may notice the end of this psql later than the next one asks.
            with suppress(PostgresFailure):
                session.ask(f"SELECT pg_advisory_unlock({_LOCK});")


def _drop(session: Session, database: str) -> None:
    """Drops a database, if there is one. FORCE would do, but only a superuser may end an autovacuum that has just
    begun there by it; without it, PostgreSQL ends that itself."""
    session.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = {literal(database)} AND backend_type = 'client backend';"
        f"DROP DATABASE IF EXISTS {quoted(database)};"
    )


@contextmanager
def _scratch(programs: PostgresPrograms, outside: Session) -> Iterator[str]:
    """An empty database, which is gone in the end, unless it was given another name."""
    name = _beside(programs.database, "scratch of ./factory backup")
    # There is one where an earlier run was killed.
    _drop(outside, name)
    try:
        outside.ask(f"CREATE DATABASE {quoted(name)} TEMPLATE template0;")
        yield name
    finally:
        # In a session of its own: that one has ended if it was what failed.
        with suppress(PostgresFailure), programs.session(_SERVICE_DATABASE) as last:
            _drop(last, name)


def _swap(programs: PostgresPrograms, scratch: str, outside: Session) -> None:
    """The scratch database becomes the ledger, and the ledger's one goes, in one transaction."""
    ledger, old = programs.database, _beside(programs.database, "replaced by ./factory restore")
    _drop(outside, old)
    with _on_signals(signal.SIG_IGN), _without_visitors(programs, ledger):  # from here it is done to the end
        outside.ask(
            f"BEGIN; ALTER DATABASE {quoted(ledger)} RENAME TO {quoted(old)};"
            f"ALTER DATABASE {quoted(scratch)} RENAME TO {quoted(ledger)}; COMMIT;"
        )
    _drop(outside, old)


@contextmanager
def _without_visitors(programs: PostgresPrograms, database: str) -> Iterator[None]:
    """Ends the sessions of a database again and again. To rename it, PostgreSQL keeps new ones out and waits 5 s for
    those that are there to go; services come back as soon as they have lost theirs."""
    begun, done = threading.Event(), threading.Event()

    def end_them() -> None:
        try:
            with suppress(PostgresFailure), programs.session(_SERVICE_DATABASE) as session:
                while not done.is_set():
                    session.ask(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        f"WHERE datname = {literal(database)} AND backend_type = 'client backend';"
                    )
                    begun.set()
                    done.wait(0.1)
        finally:
            begun.set()

    helper = threading.Thread(target=end_them)
    helper.start()
    try:
        begun.wait()  # a psql may take as long to start as PostgreSQL waits
        yield
    finally:
        done.set()
        helper.join()


def _dump(programs: PostgresPrograms, snapshot: str, file: IO[bytes]) -> None:
    try:
        options = ("--format=custom", f"--snapshot={snapshot}", f"--exclude-schema={_BESIDE}")
        programs.run("pg_dump", *options, database=programs.database, to=file)
    except PostgresFailure as error:
        if _FOR_SUPERUSERS.search(str(error)) is None:
            raise
        raise PostgresFailure(
            f"the database holds what is another role's ({error}): nothing of ours is like that; give it to "
            "the database's owner (ALTER TABLE ... OWNER TO photo_factory), or drop it"
        ) from error


def _load(programs: PostgresPrograms, database: str, file: IO[bytes]) -> None:
    # Owner and rights are those of the role that restores: a backup may move to another server.
    options = ("--format=custom", "--exit-on-error", "--no-owner", "--no-privileges")
    try:
        programs.run("pg_restore", *options, database=database, source=file)
    except PostgresFailure as error:
        if _FOR_SUPERUSERS.search(str(error)) is None:
            raise
        raise PostgresFailure(
            f"it holds what only a superuser of PostgreSQL may make, and the database's owner is none ({error}): "
            "nothing of ours is like that; drop it in the database that was backed up, and make the backup again"
        ) from error


def _count(session: Session) -> Counts:
    return {table: int(count) for table, count in session.ask(_COUNTS)}


def _kept(rows: Counts) -> int:
    """How much a ledger knows of photos; 0: it is empty."""
    return rows.get("media_assets", 0) + rows.get("ingest_events", 0)


def _beside(database: str, what: str) -> str:
    """A name that tells what it is for, and that nobody else gives."""
    room = _NAME_LIMIT - len(what) - 3
    return f"{database.encode()[:room].decode(errors='ignore')} ({what})"


# Files


@contextmanager
def _new_file(target: str, force: bool) -> Iterator[IO[bytes]]:
    """A file to write and read, which gets its name in the end, and only then."""
    if target == STANDARD_STREAM:
        with tempfile.TemporaryFile() as file:
            yield file
            _rewind(file)
            with open(file.fileno(), "rb", closefd=False) as written:
                shutil.copyfileobj(written, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return
    path = Path(target)
    if path.is_dir():
        raise Problem(f"backup: {target}: is a folder; give a file")
    if path.exists() and not force:
        raise Problem(f"backup: {target}: exists already; give another name, or --force to replace it")
    if not path.parent.is_dir():
        raise Problem(f"backup: {path.parent}: no such folder; make it first")
    part = path.with_name(f".{path.name}.factory-part")
    # For its owner only: it tells where one's photos were taken.
    with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+b") as file:
        if not lock_now(file.fileno()):
            raise Problem(f"backup: {target}: is being written by another backup")
        file.truncate()  # what a killed one left
        try:
            yield file
            os.fsync(file.fileno())
            _publish(part, path, force)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    fsync_folder(path.parent)


def _rewind(file: IO[bytes]) -> None:
    """To the beginning, also for a program that is given the file."""
    file.flush()
    os.lseek(file.fileno(), 0, os.SEEK_SET)


def _publish(part: Path, path: Path, force: bool) -> None:
    """Gives the file its name; raises FileExistsError where another has it by now."""
    if not force:
        try:
            os.link(part, path)
        except FileExistsError:
            raise
        except OSError:  # a filesystem without links
            if path.exists():
                raise FileExistsError(17, "exists already", str(path)) from None
        else:
            part.unlink()
            return
    part.replace(path)


@contextmanager
def _old_file(source: str) -> Iterator[IO[bytes]]:
    if source == STANDARD_STREAM:
        yield sys.stdin.buffer
        return
    with open(source, "rb") as file:
        yield file


# Words


@contextmanager
def _told(command: str, name: str) -> Iterator[None]:
    """What stops it is one line."""
    try:
        yield
    except PostgresFailure as error:
        raise Problem(f"{command}: {name}: {error}") from error
    except OSError as error:
        raise Problem(f"{command}: {error.filename or name}: {error.strerror}") from error


def _tell(copied: Copied, words: str, as_json: bool, out: IO[str]) -> None:
    if as_json:
        said = {"file": copied.file, "bytes": copied.bytes, "rows": copied.rows, "seconds": round(copied.seconds, 3)}
        print(json.dumps(said), file=out)  # all ASCII: nothing in it steers a terminal
    else:
        print(words, file=out)


def _originals(copied: Copied) -> str:
    return counted(copied.rows.get("media_assets", 0), "original")


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Ctrl-C, SIGTERM and a closed terminal end what is under way in order; the list yielded then holds the signal."""
    received: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    with _on_signals(on_signal):
        try:
            yield received
        except KeyboardInterrupt:
            print("factory: interrupted; nothing was changed", file=sys.stderr)


@contextmanager
def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
