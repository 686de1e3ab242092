"""The real factory for these tests: `./factory` as a subprocess on a folder of its own, seen from outside only.

What is asked of the ledger is asked over a plain connection; what is said of the vault is read from the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
import pytest

from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.postgres.roles import DATABASE, OWNER
from Src.Testing.forwarder import Forwarder as Forwarder
from Src.Testing.patience import wait_until

ROOT = Path(__file__).resolve().parents[2]
FACTORY = ROOT / "factory"
SAMPLES = ROOT / "Src" / "Librarian" / "tests" / "samples"
ZONE = "Europe/Berlin"

# Of the object that `ingest --json` and `import --json` print.
KEYS = {
    "new",
    "duplicates",
    "restored",
    "companions",
    "unwanted",
    "not_media",
    "failed",
    "skipped",
    "entries",
    "skipped_by",
    "left",
    "left_out",
    "guessed_dates",
    "archives",
    "bytes",
    "seconds",
    "readings",
}
WATCHING = "SELECT 1 FROM system_status WHERE service_name = 'librarian' AND current_task = 'watching'"
SHORT_DELAYS = {"STABILITY_DELAY": "0.2", "MIN_FILE_AGE": "0.1", "SCAN_INTERVAL": "1", "REST_WITHOUT_LEASE": "1"}
LIMIT = 120.0  # seconds that no single step here should ever need, also where a machine stands still for a while
LAST_HEARTBEAT_LIMIT = 3.0  # seconds that a service waits for its last one; a machine that stands still may lose it

Row = tuple[Any, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """stdout, which must be exactly one JSON object on one line."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        value = json.loads(lines[0])
        assert isinstance(value, dict)
        return value

    def one_line(self) -> str:
        """stderr, which must be one line, and no traceback."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert self.out == ""
        return lines[0]


@dataclass
class Factory:
    """One factory: its folder and its settings."""

    data: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def inbox(self) -> Path:
        return self.data / "Photos_Inbox"

    @property
    def storage(self) -> Path:
        return Path(self.environment.get("STORAGE_PATH", self.data / "Storage"))

    @property
    def originals(self) -> Path:
        return self.storage / "Originals"

    @property
    def cluster(self) -> Path:
        return self.data / "factory-db-data" / "18"

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Nothing of our own environment decides how the factory works."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        own = {"LC_ALL": "C.UTF-8", "TZ": ZONE, "FACTORY_NO_APT": "1", "FACTORY_DATA": str(self.data)}
        own["FACTORY_DB_DATA"] = str(self.data / "factory-db-data")  # root's would be elsewhere, see test_modes.py
        own["DASHBOARD_PORT"] = "0"  # many factories run at once; those that want one set its port
        own["DOCKER_CONTEXT"] = "none"  # whether a Docker Engine is quick to say what runs is none of theirs
        own["DISK_WARNING"] = own["DISK_ERROR"] = "0"  # nor how full its disk is
        own["METADATA_TIME_LIMIT"] = "120"  # nor how long ExifTool takes on a machine that stands still
        return {**kept, **own, **self.environment, **(more or {})}

    # Running

    def command(self, *arguments: str | Path) -> list[str]:
        """By our Python: the one on PATH may be a script of pyenv's, which costs as much as the launcher itself."""
        return [sys.executable, str(FACTORY), *map(str, arguments)]

    def run_unprivileged(self, *arguments: str | Path) -> Result:
        """As a user for whom permissions count."""
        return self.run(*arguments, wrapper=unprivileged())

    def run(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        limit: float = LIMIT,
        text: str = "",
        wrapper: Sequence[str] = (),
    ) -> Result:
        """Runs `./factory` to its end."""
        done = subprocess.run(
            [*wrapper, *self.command(*arguments)],
            env=self.env(env),
            cwd="/",
            input=text,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=limit,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def start(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, wrapper: Sequence[str] = ()
    ) -> Iterator[Running]:
        """Runs `./factory` in a session of its own; whatever of it is left at the end is killed."""
        running = Running(self, [*wrapper, *self.command(*arguments)], self.env(env))
        try:
            yield running
        finally:
            running.end()

    # Processes

    def processes(self) -> list[int]:
        """All processes of this factory: by the FACTORY_DATA they were started with, or, as PostgreSQL's
        children write over theirs, by the folder they work in."""
        mine = f"FACTORY_DATA={self.data}".encode()
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                with suppress(OSError):
                    environment = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
                    if mine in environment or os.readlink(f"/proc/{entry}/cwd") == str(self.cluster):
                        found.append(int(entry))
        return found

    def named(self, *words: str) -> list[int]:
        """This factory's processes whose command line holds all these words.

        Without forks that are about to become another program: until then each is called as its parent is.
        """
        lines = {pid: line for pid in self.processes() if all(word in (line := command_line(pid)) for word in words)}
        return [pid for pid, line in lines.items() if lines.get(parent(pid)) != line]

    def postgres(self) -> list[int]:
        """The processes of the embedded server."""
        return [pid for pid in self.processes() if "postgres" in command_line(pid).split(" ")[0]]

    def kill_all(self) -> int:
        """`kill -9` of every process of this factory, until none is left; how many there were."""
        killed: set[int] = set()
        while pids := self.processes():
            killed.update(pids)
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return len(killed)

    # The ledger

    def sql(self, statement: str, *values: object, role: str = OWNER) -> list[Row]:
        """Asks the embedded server that is running; starts none. psycopg2.OperationalError while it is away."""
        lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        return ask(lines[4], DATABASE, statement, values, role=role)

    def sql_at_rest(self, statement: str, *values: object) -> list[Row]:
        """Asks the ledger of a factory that does not run."""
        server = EmbeddedPostgres(self.data / "factory-db-data")
        server.ensure_running()
        try:
            return self.sql(statement, *values)
        finally:
            server.release()

    def asked(self, statement: str, *values: object) -> list[Row]:
        """`sql`, where an absent ledger is one without rows."""
        try:
            return self.sql(statement, *values)
        except (psycopg2.Error, OSError, IndexError):
            return []

    # The vault

    def filed(self) -> int:
        """How many files the vault shows."""
        return sum(not path.name.startswith(".") for path in self.vault_files())

    def vault_files(self) -> list[Path]:
        """Every file in the vault but its marker, whatever its name."""
        return [
            Path(folder) / name
            for folder, _, names in os.walk(self.originals)
            for name in names
            if name != ".photo-factory-vault"
        ]


class Running:
    """A `./factory` that runs. What it says goes to files: no full pipe can hold it up."""

    def __init__(self, factory: Factory, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._factory = factory
        number = time.monotonic_ns()
        factory.data.parent.mkdir(parents=True, exist_ok=True)
        self._out = factory.data.parent / f"{number}.out"
        self._err = factory.data.parent / f"{number}.err"
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self.process = subprocess.Popen(
                command,
                env=dict(env),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        """What it has said so far, on stdout and then on stderr."""
        return self._out.read_text(errors="replace") + self._err.read_text(errors="replace")

    def wait_for(self, text: str, limit: float = LIMIT) -> None:
        """Waits until it has said this."""
        wait_until(lambda: text in self.output or self.process.poll() is not None, limit, f"{text!r} is said")
        assert text in self.output, self.output

    def wait(self, limit: float = LIMIT) -> Result:
        code = self.process.wait(limit)
        return Result(code, self._out.read_text(errors="replace"), self._err.read_text(errors="replace"))

    def end(self) -> None:
        if self.process.poll() is None:
            self._factory.kill_all()
        self.process.wait(LIMIT)
        print(self.output)  # pytest shows it where a test fails


def unprivileged() -> tuple[str, ...]:
    """What a command begins with that takes root's power to read everything away; skips where that cannot be had."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv, and root reads everything")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def parent(pid: int) -> int:
    """0 where there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ask(
    socket_folder: str, database: str, statement: str, values: Sequence[object] = (), *, role: str = OWNER
) -> list[Row]:
    connection = psycopg2.connect(host=socket_folder, user=role, dbname=database, connect_timeout=int(LIMIT))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, tuple(values) or None)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()
