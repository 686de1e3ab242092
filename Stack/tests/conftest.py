"""A factory for each test: real processes, a folder of its own, nothing shared but the code."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.postgres.roles import ADMIN
from Src.Testing.patience import wait_until
from Src.Testing.roots_ledgers import no_ledger_is_left_behind as no_ledger_is_left_behind
from Src.Testing.surroundings import small_filesystem as small_filesystem
from Stack.tests.real_factory import LIMIT, ROOT, SAMPLES, SHORT_DELAYS, Factory, Forwarder, Row, ask
from Stack.tests.stack import HEALTHY_LIMIT, Stack, engine_problem, other_stack

CORPUS = Path(os.environ.get("FACTORY_CORPUS") or ROOT.parent / "shared" / "corpus" / "exif-samples")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The stack's tests run in two processes: those of the one stack, and those that have stacks of their own."""
    for item in items:
        if item.get_closest_marker("stack") and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.timeout(1800, func_only=True))  # what fixtures make has limits of its own
            item.add_marker(pytest.mark.xdist_group("stack" if "stack" in item.fixturenames else "stacks beside"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own account can pass through. Not `tmp_path`: each start of pytest closes that
    for other users, and where we are root PostgreSQL is another user."""
    with tempfile.TemporaryDirectory(prefix="pf-e2e-") as name:
        os.chmod(name, 0o711)
        yield Path(name)


@pytest.fixture
def bare_factory(folder: Path) -> Iterator[Factory]:
    """A factory at its very first start: there is nothing."""
    factory = Factory(folder / "factory", dict(SHORT_DELAYS))
    yield factory
    factory.kill_all()


@pytest.fixture
def factory(bare_factory: Factory, migrated_cluster: Path) -> Factory:
    """A new factory whose empty ledger is made already, which saves a second; short delays."""
    bare_factory.cluster.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", str(migrated_cluster), str(bare_factory.cluster)], check=True)
    return bare_factory


@pytest.fixture(scope="session")
def migrated_cluster() -> Iterator[Path]:
    """The data folder of an embedded server that was stopped cleanly, with all tables and no rows."""
    with tempfile.TemporaryDirectory(prefix="pf-e2e-") as name:
        os.chmod(name, 0o711)
        template = Factory(Path(name) / "factory")
        assert template.run("find", "nothing").code == 1
        wait_until(lambda: not template.processes(), LIMIT, "the server stops")
        with open(template.cluster / "postgresql.conf", "a") as configuration:
            configuration.write("fsync = off\n")  # no test here cuts the power
        yield template.cluster


@pytest.fixture(scope="session")
def external_socket() -> Iterator[Path]:
    """The socket of a PostgreSQL server that is none of the factory's."""
    with tempfile.TemporaryDirectory(prefix="pf-e2e-") as name:
        os.chmod(name, 0o711)
        server = EmbeddedPostgres(Path(name) / "db")
        server.ensure_running()
        settings = Path(name) / "db" / "18"
        ask(str(settings), "postgres", "ALTER SYSTEM SET fsync = off", role=ADMIN)
        ask(str(settings), "postgres", "SELECT pg_reload_conf()", role=ADMIN)
        yield Path(name) / "db" / "18" / ".s.PGSQL.5432"
        server.release()


@dataclass(frozen=True)
class ExternalLedger:
    """A database on an external server, and the way there."""

    forwarder: Forwarder
    name: str
    socket: Path

    @property
    def url(self) -> str:
        return f"postgresql://photo_factory:not-asked-for@127.0.0.1:{self.forwarder.port}/{self.name}"

    def sql(self, statement: str, *values: object) -> list[Row]:
        return ask(str(self.socket.parent), self.name, statement, values)


@contextmanager
def new_ledger(external_socket: Path) -> Iterator[ExternalLedger]:
    """A new, empty database of an external server, reached by TCP."""
    name = f"ledger_{time.monotonic_ns()}"
    forwarder = Forwarder(external_socket)
    at_server = ExternalLedger(forwarder, "postgres", external_socket)
    at_server.sql(f"CREATE DATABASE {name}")
    yield ExternalLedger(forwarder, name, external_socket)
    forwarder.cut()


@pytest.fixture
def external_ledger(external_socket: Path) -> Iterator[ExternalLedger]:
    """One of the test's own."""
    with new_ledger(external_socket) as ledger:
        yield ledger


@pytest.fixture
def other_filesystem(folder: Path) -> Iterator[Path]:
    """A folder on another filesystem than the factory's."""
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == folder.stat().st_dev:
        pytest.skip("there is no second filesystem (/dev/shm)")
    with tempfile.TemporaryDirectory(prefix="pf-e2e-", dir=shm) as name:
        yield Path(name)


@pytest.fixture(params=["samples", "corpus"])
def photos(request: pytest.FixtureRequest) -> Path:
    """Real photos: those of the repository, and the full corpus where it is there."""
    if request.param == "samples":
        return SAMPLES
    if not CORPUS.is_dir():
        pytest.skip("no corpus (FACTORY_CORPUS)")
    return CORPUS


@pytest.fixture
def copied_samples(folder: Path) -> Path:
    """The repository's samples in a folder that a test may change."""
    return Path(shutil.copytree(SAMPLES, folder / "source"))


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker Engine on which our container names are free."""
    problem = engine_problem()
    if problem:
        pytest.skip(problem)
    other = other_stack()
    assert other is None, f"a container {other} is there already; stop that stack first: docker compose down"


@pytest.fixture(scope="session")
def images(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The images are built, by this code, once for all of pytest's processes; their stack was never up in this one."""
    stack = Stack(tmp_path_factory.mktemp("stack") / "Factory_Data")
    ours = tmp_path_factory.getbasetemp()
    built = (ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours) / "images built"
    with open(built, "a+") as said:
        fcntl.flock(said, fcntl.LOCK_EX)
        if not built.stat().st_size:
            stack.down(volumes=True)  # of an earlier run that was killed
            built_in = stack.build()
            stack.name_images()
            said.write(f"in {built_in:.0f} s\n")
    return stack


@pytest.fixture(scope="session")
def stack(images: Stack) -> Iterator[Stack]:
    """The stack of all tests, up and healthy, from nothing. A test leaves it as healthy as it was."""
    try:
        print(f"everything healthy after {images.up(HEALTHY_LIMIT):.0f} s")
        yield images
    finally:
        images.remove()
