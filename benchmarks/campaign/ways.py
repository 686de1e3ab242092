"""The ways to run a factory, `./factory ingest` and `./factory up`: what can be killed there, and what comes back."""

from __future__ import annotations

import os
import random
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from Src.Shared.embedded_postgres import EmbeddedPostgres
from Stack.tests.feeder import Feeder
from Stack.tests.real_factory import Factory, Running, command_line, parent, wait_until

_REST_LIMIT = 240.0  # seconds; the pauses between tries to reach a ledger grow while it is killed again and again
_END_LIMIT = 120.0  # seconds within which every process is gone


class Way(ABC):
    """One factory that is run in this way, and begun again when it was killed."""

    COMMAND: str
    VICTIMS: tuple[str, ...] = ("librarian", "worker", "backend", "postmaster", "postgres", "everything")
    ENDS_WITH: tuple[str, ...]  # the victims with which the command ends; it goes on without any other

    def __init__(self, factory: Factory, chance: random.Random) -> None:
        self.factory = factory
        self._chance = chance
        self._runs: list[Running] = []
        self._running: Running | None = None

    @property
    def said(self) -> str:
        """What all runs have said."""
        return "".join(running.output for running in self._runs)

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.process.poll() is None

    def ensure_running(self) -> None:
        """Begins it where nothing runs, as a person or a boot does."""
        if not self.is_running:
            self._see_it_end()
            self._running = Running(self.factory, self.factory.command(self.COMMAND), self.factory.env())
            self._runs.append(self._running)

    def kill(self, victim: str) -> bool:
        """`kill -9`; whether there was one to be killed."""
        if victim == "everything":
            killed = self.factory.kill_all() > 0
        else:
            killed = False
            for pid in self._processes(victim):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed = True
        if killed and self._running is not None and victim in self.ENDS_WITH:
            self._running.wait()
            self._running = None
        return killed

    @abstractmethod
    def at_rest(self, feeder: Feeder) -> AbstractContextManager[None]:
        """Waits until all is filed, which takes no person's help; inside, the ledger answers."""

    @abstractmethod
    def end(self) -> None:
        """Ends it; no process stays behind."""

    def _see_it_end(self) -> None:
        """What nobody killed must end well."""
        if self._running is not None:
            ended, self._running = self._running.wait(), None
            assert ended.code == 0, f"./factory {self.COMMAND} ended with {ended.code}: {ended.err[-300:]!r}"

    def _processes(self, victim: str) -> list[int]:
        match victim:
            case "librarian":
                return self._librarian()
            case "worker":
                return self._one_of(self.factory.named("spawn_main"))
            case "backend":  # the server then ends all others, and recovers
                return self._one_of([pid for pid in self.factory.postgres() if "[local]" in command_line(pid)])
            case "postmaster":
                return [pid for pid in self.factory.postgres() if " -D " in command_line(pid)]
            case "postgres":
                return self.factory.postgres()
            case "runner":
                return self._command()
        raise ValueError(victim)

    @abstractmethod
    def _librarian(self) -> list[int]: ...

    def _command(self) -> list[int]:
        return [self._running.pid] if self._running is not None and self.is_running else []

    def _one_of(self, pids: list[int]) -> list[int]:
        return [self._chance.choice(pids)] if pids else []

    def _await_no_process(self) -> None:
        wait_until(lambda: not self.factory.processes(), _END_LIMIT, "all processes have ended")


class Ingest(Way):
    """Runs that end when the inbox is empty; the next kill begins another."""

    COMMAND = "ingest"
    ENDS_WITH = ("librarian", "everything")

    @contextmanager
    def at_rest(self, feeder: Feeder) -> Iterator[None]:
        self._see_it_end()
        last = self.factory.run("ingest", "--json")
        assert last.code == 0, f"the last ingest ended with {last.code}: {last.err[-300:]!r}"
        assert last.json()["failed"] == 0, f"failed: {last.out}"
        self._await_no_process()
        left = [str(path) for path in self.factory.inbox.rglob("*")]
        assert not left and not feeder.waiting(), f"left in the inbox, empty folders count too: {left}"
        server = EmbeddedPostgres(self.factory.data / "factory-db-data")
        server.ensure_running()
        try:
            yield
        finally:
            server.release()

    def end(self) -> None:
        self._await_no_process()

    def _librarian(self) -> list[int]:
        return self._command()


class Up(Way):
    """Day and night: whatever dies is brought back by the runner, or by the librarian."""

    COMMAND = "up"
    VICTIMS = (*Way.VICTIMS, "runner")
    ENDS_WITH = ("runner", "everything")

    @contextmanager
    def at_rest(self, feeder: Feeder) -> Iterator[None]:
        self.ensure_running()
        wait_until(lambda: self._all_filed(feeder), _REST_LIMIT, "all is filed")
        assert self.is_running, "./factory up has ended by itself"
        yield

    def end(self) -> None:
        if self._running is not None:
            self._running.process.send_signal(signal.SIGTERM)
        self._see_it_end()
        self._await_no_process()

    def _librarian(self) -> list[int]:
        return self.factory.named("Src.Librarian.librarian")

    def _all_filed(self, feeder: Feeder) -> bool:
        librarians = self._librarian()
        if not librarians or {parent(pid) for pid in librarians} != set(self._command()):
            return False  # one whose runner was killed may do the work to its end
        journal = self.factory.storage / ".factory" / "journal"
        if feeder.waiting() or any(journal.glob("*")):
            return False
        told = self.factory.asked("SELECT count(DISTINCT original_path) FROM ingest_events")
        return told == [(len(feeder.sources),)]
