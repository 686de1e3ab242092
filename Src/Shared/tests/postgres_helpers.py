"""For tests that treat a server badly: processes that use it, and signals to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import psycopg2
from sqlalchemy.engine import make_url

from Src.Shared.postgres.embedded import VERSION, EmbeddedPostgres
from Src.Shared.postgres.postmaster import is_alive, read_postmaster
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.patience import wait_until

LIMIT = 120.0  # seconds that nothing here should ever need, on whatever machine

USER = """
import sys
from pathlib import Path
from Src.Shared.limits import Limits
from Src.Shared.postgres.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), limits=Limits(probe=60.0, stop=60.0))  # a slow machine is no defect
print(server.ensure_running(), flush=True)
sys.stdin.readline()
"""


class UserProcess:
    """Another process that uses the server until a signal stops it, or killed."""

    def __init__(self, data: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, data],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            text=True,
        )

    def url(self) -> str:
        """Waits until it uses the server."""
        line = self._pipe(self.process.stdout).readline().strip()
        assert line, self._pipe(self.process.stderr).read()
        return line

    def end(self) -> None:
        self.process.communicate("\n")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def as_user(uid: int, function: Callable[[], str]) -> str:
    """What `function` returns in a process of that user, or the error it raises.

    A fork, because the interpreter's own files may be root's alone; what it imports must be imported already.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            answer = function()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        answer = file.read()
    os.waitpid(child, 0)
    return answer


def cluster_of(data: Path) -> Path:
    return data / VERSION


def pid_of(data: Path) -> int:
    postmaster = read_postmaster(cluster_of(data))
    assert postmaster is not None
    return postmaster.pid


def is_up(data: Path) -> bool:
    postmaster = read_postmaster(cluster_of(data))
    return postmaster is not None and is_alive(postmaster.pid, cluster_of(data))


def kill_server(data: Path) -> None:
    """kill -9 of the server's first process, as the kernel does it when memory runs out."""
    pid = pid_of(data)
    assert is_alive(pid, cluster_of(data)), "the pid of another process may stand there, even our own"
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid, cluster_of(data)))


def stop_for_good(server: EmbeddedPostgres, data: Path) -> None:
    server.release()
    postmaster = read_postmaster(cluster_of(data))
    if postmaster is not None and is_alive(postmaster.pid, cluster_of(data)):
        with suppress(ProcessLookupError):  # it has ended by now
            os.kill(postmaster.pid, signal.SIGCONT)
            os.kill(postmaster.pid, signal.SIGQUIT)
        wait_until(lambda: not is_up(data))


def ask(url: str, sql: str) -> str:
    """The first value of the answer, over a plain connection."""
    parts = make_url(url)
    connection = psycopg2.connect(
        host=parts.query["host"], port=parts.query["port"], user=parts.username, dbname=parts.database
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
            return str(row[0]) if row else ""
    finally:
        connection.close()
