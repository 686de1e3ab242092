"""The ways to run a factory, `./factory ingest` and `./factory up`: what can be killed there, and what comes back."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Testing.patience import wait_until
from Stack.faults.orders import Figures
from Stack.tests.feeder import Feeder
from Stack.tests.real_factory import Factory, Running, command_line, parent

_REST_LIMIT = 240.0  # seconds; the pauses between tries to reach a ledger grow while it is killed again and again
_END_LIMIT = 120.0  # seconds within which every process is gone


class Way(ABC):
    """One factory that is run in this way, and begun again when it was killed."""

    COMMAND: str
    VICTIMS: tuple[str, ...] = ("librarian", "reader", "backend", "postmaster", "postgres", "everything")
    ends_well_with: tuple[int, ...] = (0,)  # codes of a run that nobody killed
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
            assert ended.code in self.ends_well_with, (
                f"./factory {self.COMMAND} ended with {ended.code}: {ended.err[-300:]!r}"
            )

    def _processes(self, victim: str) -> list[int]:
        match victim:
            case "librarian":
                return self._librarian()
            case "reader":
                return self._one_of(self.factory.named("Src.Librarian.read.reader"))
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
        left = [str(path) for path in self.factory.inbox.rglob("*") if ".factory-leaving" not in path.parts]
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
        return self.factory.named("-m Src.Librarian ")

    def _all_filed(self, feeder: Feeder) -> bool:
        librarians = self._librarian()
        if not librarians or {parent(pid) for pid in librarians} != set(self._command()):
            return False  # one whose runner was killed may do the work to its end
        journal = self.factory.storage / ".factory" / "journal"
        if feeder.waiting() or any(journal.glob("*")):
            return False
        own = (
            "SELECT count(DISTINCT original_path) FROM ingest_events WHERE original_path NOT LIKE '/%'"  # not imported
        )
        told = self.factory.asked(own)
        return bool(told) and told[0][0] >= len(feeder.sources)  # what came back to the inbox has a name more


def all_ways(other: Path | None) -> list[tuple[type[Way], Path | None]]:
    """Each way, with the vault on the inbox's filesystem (None: files are linked) and on another (they are copied)."""
    return [(Ingest, None), (Up, other), (Ingest, other), (Up, None)]


@contextmanager
def blamed(figures: Figures, what: str, way: Way, folder: Path, last: Sequence[str]) -> Iterator[None]:
    """What goes wrong in one factory is noted, with what was done to it last. A factory that was well is removed."""
    try:
        yield
    except (AssertionError, subprocess.TimeoutExpired) as error:
        problem = f"{type(error).__name__}: {error}".splitlines()[0][:1000]
        figures.blame(f"{what} ({way.COMMAND}), last: {', '.join(last[-5:])}", [problem])
        print(way.said[-5000:], file=sys.stderr)
    else:
        shutil.rmtree(folder)
    finally:
        way.factory.kill_all()
