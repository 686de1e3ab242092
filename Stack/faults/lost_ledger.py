"""The ledger lost, emptied or exchanged in the middle of filing: nothing is filed twice, and every row comes back."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psycopg2

from Src.Shared.settings import Settings, load_settings
from Src.Testing.promise import vault_files
from Stack.faults.checking import has_traceback
from Stack.faults.ledger import ingesting
from Stack.faults.orders import Figures, Orders
from Stack.faults.server import DATABASE, Server, empty_ledger
from Stack.faults.site import Site, again_and_again, site_in, spread, up, wait_for
from Stack.tests.real_factory import Running, ask

UNIT = "losses"
FULL = 100
SHORT = 4

LANES = 3  # factories in trouble at once: most of the time is waiting
FILED_WITHIN = 180.0
TOLD_WITHIN = 180.0
AT_REST = 300.0
KILLED = 0.4  # share of rebuilds that are killed in their middle first
OTHER = "another_factory"  # the database that takes the ledger's place

_TABLES = "media_assets, ingest_events, inbox_files"


class Loss:
    """One way to lose a ledger. `comes_back`: the old one is put in its place again, and nothing is to be rebuilt."""

    comes_back = False

    def happens(self, site: Site) -> None:
        raise NotImplementedError

    def ends(self, site: Site) -> None:
        """Puts the ledger back."""


class Emptied(Loss):
    """Its rows are gone; the id is there, or not."""

    def happens(self, site: Site) -> None:
        tables = _TABLES + (", vault" if site.chance.random() < 0.5 else "")
        site.ledger.ask(f"TRUNCATE {tables}", database=DATABASE)


class Removed(Loss):
    """The database is dropped, and an empty one made; of the embedded server all files are deleted."""

    def happens(self, site: Site) -> None:
        if site.wire is None:
            shutil.rmtree(site.ledger.displace("18.gone"))
        else:
            site.ledger.ask(f"DROP DATABASE {DATABASE} WITH (FORCE)")
            site.ledger.ask(f"CREATE DATABASE {DATABASE}")


class Exchanged(Loss):
    """Another factory's ledger stands in its place for a while."""

    comes_back = True

    def happens(self, site: Site) -> None:
        if site.wire is None:
            own = site.ledger.displace("18.own")
            _copy(own.with_name("18.other"), site.ledger.cluster)
            site.ledger.start()
        else:
            _rename(site.ledger, DATABASE, "own")
            _rename(site.ledger, OTHER, DATABASE)

    def ends(self, site: Site) -> None:
        if site.wire is None:
            shutil.rmtree(site.ledger.displace("18.gone"))
            site.ledger.cluster.with_name("18.own").rename(site.ledger.cluster)
            site.ledger.start()
        else:
            _rename(site.ledger, DATABASE, OTHER)
            _rename(site.ledger, "own", DATABASE)


class Second(Loss):
    """The embedded ledger beside a vault that has another: the command is refused before it makes one."""

    comes_back = True

    def happens(self, site: Site) -> None:
        source = site.factory.data.parent / "elsewhere"
        source.mkdir(exist_ok=True)
        before = vault_files(_settings(site))
        kept = {sha256: path for path, sha256 in before.items()}
        for sha256 in [one.sha256 for one in site.arrivals.sources if one.sha256 in kept][:3]:
            shutil.copy(site.factory.storage / kept[sha256], source)
        done = site.factory.run("import", source, env={"DATABASE_URL": ""})
        said = done.err.strip().splitlines()
        if done.code != 2 or len(said) != 1 or "second one" not in said[0]:
            site.problems.append(f"import beside a second ledger ends with {done.code}: {said[-1:]}")
        if (site.factory.data / "factory-db-data").exists():
            site.problems.append("a second ledger was made")
        shown = {path for path in before if "/.factory-" not in path}  # what is being made gets another name
        if lost := shown - vault_files(_settings(site)).keys():
            site.problems.append(f"gone from the vault: {lost}")


def _copy(cluster: Path, target: Path) -> None:
    """At rest, or killed: whole under its name, before anybody starts it."""
    half = target.with_name("18.half")
    subprocess.run(["cp", "-a", str(cluster), str(half)], check=True)
    for name in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
        (half / name).unlink(missing_ok=True)
    half.rename(target)


def _rename(server: Server, old: str, new: str) -> None:
    server.ask(f"ALTER DATABASE {old} ALLOW_CONNECTIONS false")
    wait_for(partial(_is_renamed, server, old, new), FILED_WITHIN, "the last connection goes")
    server.ask(f"ALTER DATABASE {new} ALLOW_CONNECTIONS true")


def _is_renamed(server: Server, old: str, new: str) -> bool:
    """Not yet where somebody was just connecting when no more connections were allowed."""
    server.ask("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s", old)
    with suppress(psycopg2.errors.ObjectInUse):
        server.ask(f"ALTER DATABASE {old} RENAME TO {new}")
        return True
    return False


LOSSES: dict[str, Loss] = {"removed": Removed(), "emptied": Emptied(), "exchanged": Exchanged()}


@dataclass(frozen=True)
class Job:
    """Losses of one kind, one after another, of one factory's ledger."""

    command: str  # up, ingest
    server: str  # external, embedded
    name: str
    loss: Loss
    times: int = 0

    def __str__(self) -> str:
        return f"{self.command}, {self.server}, {self.name}"


def _jobs(amount: int) -> list[Job]:
    jobs = [
        Job(command, server, name, loss)
        for command in ("up", "ingest")
        for server in ("external", "embedded")
        for name, loss in LOSSES.items()
    ]
    jobs.append(Job("up", "external", "a second one", Second()))
    first = (
        "up, embedded, removed",
        "up, external, exchanged",
        "ingest, external, emptied",
        "up, external, a second one",
    )
    jobs.sort(key=lambda job: str(job) not in first)
    times = spread(amount, len(jobs))
    return [replace(job, times=times[index]) for index, job in enumerate(jobs) if times[index]]


def run(orders: Orders) -> Figures:
    """All ways to lose a ledger, of `up` and of `ingest`, with an external server and the embedded one."""
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
    measured: dict[str, float] = {}
    try:
        _strike(site, job, measured)
        broken = [*_broken(site), *site.problems]
        if job.loss.comes_back and not broken:
            broken = list(site.broken_promises())
    except AssertionError as error:
        broken = [str(error), *site.problems]
    for name, seconds in measured.items():
        name = f"{job}: {name}"
        figures.measured[name] = max(round(seconds, 1), float(figures.measured.get(name, 0)))
    figures.blame(f"{job}, seed {seed}, loss {number}", broken)
    return not broken


def _strike(site: Site, job: Job, measured: dict[str, float]) -> None:
    arrivals, chance = site.arrivals, site.chance
    with arrivals.coming():
        wanted = arrivals.filed() + chance.randint(5, 40)
        wait_for(lambda: arrivals.filed() >= wanted, FILED_WITHIN, "photos are filed before the loss")
        time.sleep(chance.uniform(0.0, 0.5))
        job.loss.happens(site)
        if not isinstance(job.loss, Second):
            measured["told after s"] = wait_for(lambda: _is_told(site), TOLD_WITHIN, "status tells of the loss")
            time.sleep(chance.uniform(0.0, 3.0))
        if job.loss.comes_back:
            job.loss.ends(site)
        else:
            began = time.monotonic()
            _rebuild(site)
            measured["rebuilt after s"] = time.monotonic() - began
    arrivals.put(3)
    measured["at rest after s"] = wait_for(lambda: _is_at_rest(site), AT_REST, "all is filed")


def _rebuild(site: Site) -> None:
    """Killed in its middle now and then; whoever runs it again brings it to its end."""
    if site.chance.random() < KILLED:
        half = Running(site.factory, site.factory.command("rebuild", "--missing"), site.factory.env())
        time.sleep(site.chance.uniform(1.0, 6.0))
        half.process.kill()
        half.wait()
    for _ in range(3):
        done = site.factory.run("rebuild", "--missing", "--json", limit=AT_REST)
        if done.code >= 0:  # else somebody outside has ended it
            break
    assert done.code == 0, f"rebuild ends with {done.code}: {done.err.strip().splitlines()[-1:]}"
    found = done.json()
    assert found["complete"] and not found["failed"]["count"], done.out[:500]


def _is_told(site: Site) -> bool:
    return bool(site.factory.run("status", "--json").json()["vault"]["wrong_ledger"])


def _is_at_rest(site: Site) -> bool:
    if site.arrivals.waiting() or site.journals:
        return False
    try:
        [(count,)] = site.ledger.ask("SELECT count(*) FROM media_assets", database=DATABASE)
    except (OSError, IndexError, psycopg2.Error):
        return False
    return int(count) >= len({source.sha256 for source in site.arrivals.sources})


def _settings(site: Site) -> Settings:
    environment = {**site.factory.env(), "DATABASE_URL": site.ledger.url}
    return load_settings(environment, env_file=site.factory.data / "no.env")


def _broken(site: Site) -> Iterator[str]:
    """The promise, but for fates that went with the ledger: every photo once in the vault, and each has its row."""
    kept = vault_files(_settings(site))
    counted = Counter(kept.values())
    if twice := [path for path, sha256 in kept.items() if counted[sha256] > 1]:
        yield f"in the vault twice: {twice[:6]}"
    wanted = {source.sha256 for source in site.arrivals.sources}
    if lost := wanted - set(kept.values()):
        yield f"{len(lost)} photos are lost: {[one for one in site.arrivals.sources if one.sha256 in lost][:3]}"
    if strange := [path for path, sha256 in kept.items() if sha256 not in wanted]:
        yield f"nobody's: {strange[:3]}"
    rows: dict[str, str] = dict(site.ledger.ask("SELECT final_path, file_hash FROM media_assets", database=DATABASE))
    if rows != kept:
        yield f"rows and vault differ: {sorted(rows.items() ^ kept.items())[:4]}"
    if has_traceback(site.said()):
        yield f"a traceback: {site.said().partition('Traceback')[2].strip()[-600:]!r}"
    writable = [path for path in kept if (site.factory.storage / path).stat().st_mode & 0o222]
    if writable:
        yield f"can be written: {writable[:3]}"


@contextmanager
def _site(job: Job, folder: Path, template: Path, chance: random.Random) -> Iterator[Site]:
    try:
        with site_in(folder, template, chance, embedded=job.server == "embedded") as site:
            if isinstance(job.loss, Exchanged):
                _make_another_ledger(site)
            running: Callable[[Site], AbstractContextManager[object]] = up
            if job.command == "ingest":
                running = partial(ingesting, refused=True)
            with running(site):
                yield site
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # PostgreSQL may still be ending


def _make_another_ledger(site: Site) -> None:
    """A ledger with an id and a row of another factory's."""
    site.ledger.ask(f"CREATE DATABASE {OTHER} TEMPLATE {DATABASE}")
    socket = str(site.ledger.socket_folder)
    ask(socket, OTHER, "INSERT INTO vault (vault_id, ledger_kind) VALUES (gen_random_uuid(), 'external')")
    ask(
        socket,
        OTHER,
        "INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind, "
        "mime_type, captured_at, date_source) VALUES (gen_random_uuid(), repeat('0', 64), 1, 'a.jpg', 'a.jpg', "
        "'Originals/2024/2024-01-01/a.jpg', 'JPEG', 'image/jpeg', '2024-01-01', 'mtime')",
    )
    if site.wire is None:  # whole servers are exchanged
        _rename(site.ledger, DATABASE, "own")
        _rename(site.ledger, OTHER, DATABASE)
        site.ledger.stop(signal.SIGINT)
        _copy(site.ledger.cluster, site.ledger.cluster.with_name("18.other"))
        site.ledger.start()
        _rename(site.ledger, DATABASE, OTHER)
        _rename(site.ledger, "own", DATABASE)
