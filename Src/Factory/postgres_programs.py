"""PostgreSQL's own programs, wherever they are: in the embedded server's wheel, on PATH, or in the stack's container.

Nothing but the standard library: against the stack this runs in the system's Python.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from Src.Factory.problems import Problem

_CHUNK = 1 << 20
_END = "-- end of the answer --"
_PROGRAM = re.compile(r"^[\w-]+(:<stdin>:\d+)?: (error: )?")


class PostgresFailure(Exception):
    """A program of PostgreSQL failed. The message is its reason, in one line."""


@dataclass(frozen=True)
class PostgresPrograms:
    """How to run psql, pg_dump and pg_restore on one server, of which `database` is the ledger."""

    database: str
    folder: Path | None = None  # where the programs are; None: on PATH
    prefix: tuple[str, ...] = ()  # the command that runs another one where they are
    environment: Mapping[str, str] = field(default_factory=dict)  # PGHOST, PGPASSWORD, ...

    def command(self, program: str, *arguments: str) -> list[str]:
        return [*self.prefix, program if self.folder is None else str(self.folder / program), *arguments]

    def run(
        self, program: str, *arguments: str, database: str, source: IO[bytes] | None = None, to: IO[bytes] | None = None
    ) -> None:
        """Runs a program on a database, `source` its input and `to` its output. Raises PostgresFailure, Problem."""
        with tempfile.TemporaryFile() as said:
            process = self._start(
                self.command(program, f"--dbname={_conninfo(database)}", *arguments),
                source or subprocess.DEVNULL,
                subprocess.PIPE if to is not None else subprocess.DEVNULL,
                said,
            )
            try:
                # By a pipe: into a file pg_dump would write its table of contents twice.
                if to is not None and process.stdout is not None:
                    with process.stdout:
                        shutil.copyfileobj(process.stdout, to, _CHUNK)
                code = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            if code != 0:
                raise PostgresFailure(_reason(said) or f"{program} ended with exit code {code}")

    @contextmanager
    def session(self, database: str) -> Iterator[Session]:
        """A psql that stays: its transaction and its locks end with it. Raises PostgresFailure, Problem."""
        with tempfile.TemporaryFile() as said:
            options = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t")
            command = self.command("psql", f"--dbname={_conninfo(database)}", *options, "--set=ON_ERROR_STOP=1")
            process = self._start(command, subprocess.PIPE, subprocess.PIPE, said)
            try:
                yield Session(process, said)
            finally:
                process.communicate()

    def _start(
        self, command: list[str], source: int | IO[bytes], to: int | IO[bytes], said: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        # Not in our process group: Ctrl-C is ours, and what is under way is ended in order.
        try:
            return subprocess.Popen(
                command,
                stdin=source,
                stdout=to,
                stderr=said,
                env={**os.environ, "LC_ALL": "C", **self.environment},
                process_group=0,
            )
        except FileNotFoundError:
            raise missing(Path(command[0]).name) from None


class Session:
    """A psql at work."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self._process = process
        self._said = said

    def ask(self, statement: str) -> list[list[str]]:
        """The rows of the answers to what psql is told, as text. Raises PostgresFailure; then psql has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        rows: list[list[str]] = []
        try:
            self._process.stdin.write(f"{statement}\n\\echo {_END!r}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the reason is read below
        for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip("\n")
            if text == _END:
                return rows
            rows.append(text.split("\t"))
        self._process.wait()
        raise PostgresFailure(_reason(self._said) or f"psql ended with exit code {self._process.returncode}")


def missing(program: str) -> Problem:
    return Problem(f"{program} is not installed; install it (Debian: apt install postgresql-client)")


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def _conninfo(database: str) -> str:
    """A bare name with `=` or `://` in it would be taken for a connection string."""
    return "dbname='" + database.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _reason(said: IO[bytes]) -> str:
    """The line that says why: the first that names a failure, else the last."""
    said.seek(0)
    lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    failures = [line for line in lines if re.search("error: |ERROR: |FATAL: |PANIC: ", line)]
    line = (failures or lines[-1:] or [""])[0]
    return _PROGRAM.sub("", line) if failures else line
