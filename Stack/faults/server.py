"""A PostgreSQL server, seen from outside, and what can be done to it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from Src.Shared.database import Database
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.settings import load_settings
from Src.Testing.patience import wait_until
from Stack.tests.real_factory import Row, ask, command_line, is_running

DATABASE = "photo_factory"
LIMIT = 180.0


class Server:
    """A server that runs, with an empty ledger. We use it, perhaps beside a factory whose embedded one it is."""

    def __init__(self, data: Path, template: Path) -> None:
        """`template`: the data folder of a server at rest."""
        self.cluster = data / "18"
        data.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", str(template), str(self.cluster)], check=True)
        self._server = EmbeddedPostgres(data)
        self.start()

    def start(self) -> None:
        self._server.ensure_running()

    def close(self) -> None:
        """For good."""
        while pids := self.processes():
            self._signal(pids, signal.SIGKILL)
        self._server.release()

    @property
    def socket_folder(self) -> Path:
        return Path((self.cluster / "postmaster.pid").read_text().splitlines()[4])

    @property
    def socket(self) -> Path:
        return self.socket_folder / ".s.PGSQL.5432"

    @property
    def url(self) -> str:
        """A way to the ledger that no trouble on the wire reaches."""
        return f"postgresql://{DATABASE}@/{DATABASE}?host={self.socket_folder}"

    def ask(self, statement: str, *values: object, database: str = "postgres") -> list[Row]:
        return ask(str(self.socket_folder), database, statement, values)

    def displace(self, name: str) -> Path:
        """Renames its files away under services that would start it again, and kills it."""
        place = self.cluster.with_name(name)
        self.cluster.rename(place)
        while pids := self.processes(place):
            self._signal(pids, signal.SIGKILL)
        return place

    def processes(self, folder: Path | None = None) -> list[int]:
        """All of it: PostgreSQL's processes work in their data folder."""
        folder = folder or self.cluster
        found = []
        for entry in os.listdir("/proc"):
            with suppress(OSError):
                if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(folder):
                    found.append(int(entry))
        return [pid for pid in found if "postgres" in command_line(pid)]

    def stop(self, how: signal.Signals) -> None:
        """As `pg_ctl stop` does: SIGINT is fast, SIGQUIT is immediate. Returns when it has ended."""
        postmaster = int((self.cluster / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, how)
        wait_until(lambda: not is_running(postmaster), LIMIT, "PostgreSQL stops")

    @contextmanager
    def paused(self) -> Iterator[None]:
        pids = self.processes()
        self._signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(pids, signal.SIGCONT)

    def reload(self) -> None:
        self._signal([int((self.cluster / "postmaster.pid").read_text().splitlines()[0])], signal.SIGHUP)

    @staticmethod
    def _signal(pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def empty_ledger(data: Path) -> Path:
    """The data folder of a server at rest whose ledger has all tables and no rows."""
    database = Database(
        load_settings(
            {"FACTORY_DATA": str(data), "FACTORY_DB_DATA": str(data / "factory-db-data")}, env_file=data / "no.env"
        )
    )
    database.ensure_ready()
    database.close()
    cluster = data / "factory-db-data" / "18"
    with open(cluster / "postgresql.conf", "a") as configuration:
        configuration.write("fsync = off\n")  # no power is cut here
    return cluster
