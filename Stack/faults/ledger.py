"""The database in trouble while photos arrive: they are filed all the same, and every row is there in the end."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psycopg2

from Src.Testing.patience import wait_until
from Stack.faults.orders import Figures, Orders
from Stack.faults.server import DATABASE, Server, empty_ledger
from Stack.faults.site import Site, again_and_again, site_in, spread, up, wait_for
from Stack.faults.wire import Break, Wire

UNIT = "faults"
FULL = 88
SHORT = 3

LANES = 4  # factories in trouble at once: most of the time is waiting
FILED_WITHIN = 180.0  # seconds without a photo filed: the longest wait for an answer is 30 s, and for a connection 5 s
AT_REST = 180.0


Fault = Callable[[Site, random.Random], AbstractContextManager[None]]


# -- what can be wrong with a server ------------------------------------------------------------------------


@contextmanager
def _stopped(site: Site, chance: random.Random) -> Iterator[None]:
    site.ledger.stop(chance.choice((signal.SIGINT, signal.SIGQUIT)))
    yield
    site.ledger.start()


def _restarted(how: signal.Signals) -> Fault:
    @contextmanager
    def fault(site: Site, _: random.Random) -> Iterator[None]:
        site.ledger.stop(how)
        if site.wire is not None:  # the embedded one is started by the factory
            site.ledger.start()
        yield

    return fault


def _paused(site: Site, _: random.Random) -> AbstractContextManager[None]:
    return site.ledger.paused()


@contextmanager
def _paused_briefly(site: Site, chance: random.Random) -> Iterator[None]:
    with site.ledger.paused():
        time.sleep(chance.uniform(0.5, 6.0))
    yield


@contextmanager
def _refused_by_hba(site: Site, _: random.Random) -> Iterator[None]:
    rules = site.ledger.cluster / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local {DATABASE} all reject\n{before}")
    site.ledger.reload()
    _put_out(site.ledger)
    try:
        yield
    finally:
        rules.write_text(before)
        site.ledger.reload()


@contextmanager
def _database_closed(site: Site, _: random.Random) -> Iterator[None]:
    site.ledger.ask(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false")
    _put_out(site.ledger)
    try:
        yield
    finally:
        site.ledger.ask(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")


@contextmanager
def _no_connection_left(site: Site, _: random.Random) -> Iterator[None]:
    """Somebody else holds them all, also those that are set aside for superusers."""
    taken: list[psycopg2.extensions.connection] = []
    theirs = "FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
    try:
        for _attempt in range(10_000):
            try:
                taken.append(psycopg2.connect(host=site.ledger.socket_folder, user=DATABASE, dbname="postgres"))
            except psycopg2.OperationalError:
                with taken[0].cursor() as cursor:
                    cursor.execute(f"SELECT pg_terminate_backend(pid) {theirs}", (DATABASE,))
                    if not cursor.fetchall():
                        break
                taken[0].commit()
        else:
            raise AssertionError("the factory's connections cannot be taken")
        yield
    finally:
        for connection in taken:
            connection.close()


def _put_out(ledger: Server) -> None:
    """Ends the connections to the ledger until no new one can be made."""

    def is_closed() -> bool:
        try:
            ledger.ask("SELECT 1", database=DATABASE)
        except psycopg2.OperationalError:
            return not ledger.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s AND backend_type = 'client backend'",
                DATABASE,
            )
        return False

    wait_until(is_closed, AT_REST, "the ledger is closed")


# -- what can be wrong with the way there -------------------------------------------------------------------


def _wire(site: Site) -> Wire:
    assert site.wire is not None
    return site.wire


@contextmanager
def _slow(site: Site, _: random.Random) -> Iterator[None]:
    _wire(site).lag = 0.5
    yield
    _wire(site).lag = 0.0


@contextmanager
def _silent(site: Site, _: random.Random) -> Iterator[None]:
    """Connections are taken and nobody answers; what was open then is lost for good."""
    _wire(site).silent = True
    yield
    _wire(site).mute()
    _wire(site).silent = False


@contextmanager
def _mute(site: Site, _: random.Random) -> Iterator[None]:
    """As when a router forgets its connections: those there are never answer again, new ones work."""
    _wire(site).mute()
    yield


@contextmanager
def _cut(site: Site, _: random.Random) -> Iterator[None]:
    _wire(site).cut()
    yield


def _commit(how: Break) -> Fault:
    @contextmanager
    def fault(site: Site, _: random.Random) -> Iterator[None]:
        wire = _wire(site)
        with wire.breaking(how):
            wait_until(wire.broken.is_set, AT_REST, "a batch is committed")
            yield

    return fault


AWAY: dict[str, Fault] = {"stopped": _stopped}  # no such thing with the embedded server: the factory starts it
OF_SERVER: dict[str, Fault] = {
    "refused by pg_hba": _refused_by_hba,
    "paused": _paused,
    "restarted at once": _restarted(signal.SIGQUIT),
    "restarted": _restarted(signal.SIGINT),
    "paused briefly": _paused_briefly,
    "closed to connections": _database_closed,
    "no connection left": _no_connection_left,
}
OF_WIRE: dict[str, Fault] = {
    "commit unanswered": _commit("unanswered"),
    "commit late": _commit("late"),
    "commit unsent": _commit("unsent"),
    "cut": _cut,
    "slow by 500 ms": _slow,
    "silent": _silent,
    "mute": _mute,
}


@dataclass(frozen=True)
class Job:
    """Faults of one kind, one after another, on one factory."""

    command: str  # up, ingest
    server: str  # external, embedded
    name: str
    fault: Fault
    times: int = 0

    def __str__(self) -> str:
        return f"{self.command}, {self.server}, {self.name}"


def _jobs(amount: int) -> list[Job]:
    """So many faults of all kinds; a few first that tell much in a short campaign."""
    external, embedded = {**AWAY, **OF_SERVER, **OF_WIRE}, OF_SERVER
    jobs = [
        Job(command, server, name, fault)
        for command in ("up", "ingest")
        for server, faults in (("external", external), ("embedded", embedded))
        for name, fault in faults.items()
    ]
    first = ("up, external, commit unanswered", "up, embedded, restarted at once", "ingest, external, stopped")
    jobs.sort(key=lambda job: str(job) not in first)
    times = spread(amount, len(jobs))
    return [replace(job, times=times[index]) for index, job in enumerate(jobs) if times[index]]


def run(orders: Orders) -> Figures:
    """All kinds of trouble on `up` and on `ingest`, with an external server and the embedded one."""
    figures = Figures(UNIT)
    template = empty_ledger(orders.folder / "template")

    def work(job: Job) -> int:
        folder = orders.folder / str(job).replace(", ", "-").replace(" ", "_")
        chance = random.Random(f"{orders.seed}, {job}")
        return again_and_again(
            job.times, partial(_site, job, folder, template, chance), partial(_try, figures, job, orders.seed)
        )

    with ThreadPoolExecutor(LANES) as pool:
        for done in [pool.submit(work, job) for job in _jobs(orders.amount)]:
            figures.done += done.result()
    return figures


def _try(figures: Figures, job: Job, seed: int, site: Site, number: int) -> bool:
    broken: list[str] = []
    try:
        filed, recovered = _strike(site, job.fault)
        broken = list(site.broken_promises())
        for name, seconds in (("first photo filed", filed), ("all in the ledger", recovered)):
            name = f"{job}: {name} after s"
            figures.measured[name] = max(round(seconds, 1), float(figures.measured.get(name, 0)))
    except AssertionError as error:
        broken.append(str(error))
    figures.blame(f"{job}, seed {seed}, fault {number}", broken)
    return not broken


def _strike(site: Site, fault: Fault) -> tuple[float, float]:
    """Seconds until a photo that came during the fault was filed, and from its end until all rows were there."""
    arrivals, chance = site.arrivals, site.chance
    with arrivals.coming():
        wanted = arrivals.filed() + chance.randint(1, 40)
        wait_for(lambda: arrivals.filed() >= wanted, AT_REST, "photos are filed before the fault")
        time.sleep(chance.uniform(0.0, 0.5))
        with fault(site, chance):
            began = time.monotonic()
            filed = wait_for(
                lambda: any(one.is_filed for one in arrivals.since(began)), FILED_WITHIN, "a photo is filed meanwhile"
            )
            time.sleep(chance.uniform(0.0, 3.0))
    return filed, site.recover()


@contextmanager
def _site(job: Job, folder: Path, template: Path, chance: random.Random) -> Iterator[Site]:
    try:
        with (
            site_in(folder, template, chance, embedded=job.server == "embedded") as site,
            up(site) if job.command == "up" else ingesting(site),
        ):
            yield site
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # PostgreSQL may still be ending


@contextmanager
def ingesting(site: Site, *, refused: bool = False) -> Iterator[None]:
    """`ingest` again and again, as a timer might start it. `refused`: it may end with 2."""
    said: list[str] = []
    site.said = lambda: "".join(said)
    site.ended = lambda: len(said)
    stopped = threading.Event()

    def ingest() -> None:
        while not stopped.wait(0.2):
            try:
                done = site.factory.run("ingest", limit=FILED_WITHIN + AT_REST)
            except subprocess.TimeoutExpired as error:
                site.problems.append(f"ingest does not end within {error.timeout:g} s")
                return
            said.append(done.out + done.err)
            if done.code != 0 and not (refused and done.code == 2):
                site.problems.append(f"ingest ends with {done.code}: {done.err.strip().splitlines()[-1:]}")

    thread = threading.Thread(target=ingest, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        site.factory.kill_all()
        thread.join()
