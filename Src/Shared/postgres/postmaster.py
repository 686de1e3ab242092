"""A PostgreSQL server as seen from outside: its pid file, its process, its socket, its answers."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psycopg2

from Src.Shared.errors import FactoryError
from Src.Shared.postgres.cluster_roles import NO_OWNER, settle
from Src.Shared.postgres.connection import NoAnswer, limited
from Src.Shared.postgres.roles import DATABASE, OWNER

PORT = 5432  # only names the socket


class EmbeddedPostgresError(FactoryError):
    """The embedded PostgreSQL does not run. The message is one line."""

    about = "database"


@dataclass(frozen=True, slots=True)
class Postmaster:
    pid: int
    socket_folder: Path | None
    is_ending: bool


def read_postmaster(cluster: Path) -> Postmaster | None:
    """What `postmaster.pid` says. A file that is being written is like none, and read again."""
    try:
        lines = (cluster / "postmaster.pid").read_text(errors="surrogateescape").split("\n")
        pid = int(lines[0])
    except (OSError, ValueError):
        return None
    folder = lines[4].strip() if len(lines) > 5 else ""
    is_ending = len(lines) > 7 and lines[7].strip() == "stopping"  # pidfile.h: LOCK_FILE_LINE_PM_STATUS
    return Postmaster(abs(pid), Path(folder) if folder else None, is_ending)


def is_alive(pid: int, cluster: Path) -> bool:
    """Is that process a PostgreSQL server on this folder? A pid alone may be another process's by now."""
    import psutil

    try:
        process = psutil.Process(pid)
        if "postgres" not in process.name():
            return False
        with suppress(psutil.AccessDenied):
            return os.path.samefile(process.cwd(), cluster)
        return str(cluster) in process.cmdline()
    except psutil.AccessDenied:
        return False  # of another user: not the owner of this folder
    except (psutil.NoSuchProcess, OSError):  # zombies too: they have no folder any more
        return False


def listens(path: Path, limit: float) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(limit)
        try:
            client.connect(os.fsencode(path))
        except OSError:
            return False
    return True


_FULL = ("too many clients", "remaining connection slots")  # psycopg2 gives no SQLSTATE for a refused connection


def probe(socket_folder: Path, limit: float) -> str:
    """Empty if the server answers, else what it says instead: starting up, shutting down.

    Raises EmbeddedPostgresError if it says nothing at all, or that it is up and full: no wait helps then.
    """
    try:
        _connect(socket_folder, limit, OWNER, "postgres").close()
    except NoAnswer as error:
        raise EmbeddedPostgresError(f"PostgreSQL runs, but gives no answer in {limit:g} s") from error
    except psycopg2.Error as error:
        answer = " ".join(str(error).split())
        if any(words in answer for words in _FULL):
            raise EmbeddedPostgresError(answer) from error
        return "" if NO_OWNER in answer else answer
    return ""


def url_on(socket_folder: Path) -> str:
    """The ledger as its owner sees it."""
    return f"postgresql+psycopg2://{OWNER}@/{DATABASE}?host={quote(str(socket_folder), safe='/')}&port={PORT}"


def settle_roles(socket_folder: Path, limit: float) -> None:
    """Makes the roles and the database of a server that answers what they should be."""
    try:
        settle(partial(_connect, socket_folder, limit))
    except psycopg2.Error as error:
        raise EmbeddedPostgresError(f"roles and database cannot be made: {' '.join(str(error).split())}") from error


def _connect(socket_folder: Path, limit: float, role: str, database: str) -> psycopg2.extensions.connection:
    connection: psycopg2.extensions.connection = psycopg2.connect(
        host=str(socket_folder),
        port=PORT,
        user=role,
        dbname=database,
        connection_factory=limited(limit, 60.0),
    )
    return connection
