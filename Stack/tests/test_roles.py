"""The real factory without Docker: who connects to the ledger as whom, and how an earlier version's is taken over."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from Src.Shared.migrations import HEAD
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.postgres.roles import ADMIN, OWNER, ROLES
from Src.Shared.postgres.tests.earlier_version import ROWS, earlier_version, make_ledger
from Src.Shared.tests.postgres_helpers import stop_for_good
from Src.Testing.patience import wait_until
from Src.Testing.ports import reserved_port
from Stack.tests.conftest import ExternalLedger
from Stack.tests.real_factory import LIMIT, SAMPLES, Factory

CLIENTS = (
    "SELECT DISTINCT application_name, usename::text, rolsuper "
    "FROM pg_stat_activity JOIN pg_roles r ON r.oid = usesysid WHERE backend_type = 'client backend'"
)
ROLE_OF = {role.service: role.name for role in ROLES}


@contextmanager
def watched(factory: Factory) -> Iterator[set[tuple[str, str, bool]]]:
    """Who is connected meanwhile, asked as often as possible: program, role, superuser."""
    seen: set[tuple[str, str, bool]] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            with suppress(psycopg2.Error, OSError, IndexError):
                seen.update(factory.sql(CLIENTS))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def connected(factory: Factory) -> dict[str, str]:
    return {program: role for program, role, _ in factory.asked(CLIENTS)}


def each_is_its_own(factory: Factory) -> bool:
    return connected(factory).items() >= ROLE_OF.items()


def test_while_it_runs_nobody_is_a_superuser(factory: Factory) -> None:
    with reserved_port() as port:
        factory.environment |= {"HEARTBEAT_INTERVAL": "0.5", "DASHBOARD_PORT": str(port)}
        _nobody_is_a_superuser(factory)


def _nobody_is_a_superuser(factory: Factory) -> None:
    with watched(factory) as seen, factory.start("up") as running:
        running.wait_for("watching ")
        shutil.copy(SAMPLES / "Canon_40D.jpg", factory.inbox)
        wait_until(lambda: factory.asked("SELECT 1 FROM media_assets"), LIMIT, "it is filed")
        wait_until(lambda: each_is_its_own(factory), LIMIT, "each is its own role")
        beats = "SELECT count(DISTINCT service_name) FROM system_status_history WHERE service_name = ANY (%s)"
        wait_until(lambda: factory.asked(beats, list(ROLE_OF)) == [(len(ROLE_OF),)], LIMIT, "all have spoken")
        assert factory.run("status", "--json").json()["database"]["roles"] == ROLE_OF
        assert "librarian as pf_librarian" in factory.run("status").out
        dump = factory.data / "a.dump"
        wait_until(lambda: factory.run("status").code == 0, LIMIT, "all have spoken in time")
        for command in (("find", "Canon"), ("retry",), ("backup", dump), ("restore", "--force", dump)):
            result = factory.run(*command)
            assert result.code == 0, result.err
        # The dashboard comes back when somebody looks at it.
        often = {service: role for service, role in ROLE_OF.items() if service != "dashboard"}
        wait_until(lambda: connected(factory).items() >= often.items(), LIMIT, "they came back")
        assert factory.run("psql", "-Atc", "SELECT current_user, session_user").out == f"{OWNER}|{OWNER}\n"
        assert factory.run("psql", "-Atc", "UPDATE media_assets SET rating = 3 RETURNING 1").out.startswith("1")
    assert {program for program, _, is_superuser in seen if is_superuser} == set()
    assert seen >= {(service, role, False) for service, role in ROLE_OF.items()}


@pytest.fixture
def earlier_factory(bare_factory: Factory) -> Factory:
    """A factory as an earlier version left it, with originals in its ledger."""
    data = bare_factory.data / "factory-db-data"
    server = EmbeddedPostgres(data)
    with earlier_version():
        make_ledger(server.ensure_running())
        stop_for_good(server, data)
    return bare_factory


def test_a_factory_of_an_earlier_version_is_taken_over_by_one_start(earlier_factory: Factory) -> None:
    factory = earlier_factory
    with factory.start("up") as running:
        both = {service: role for service, role in ROLE_OF.items() if service != "dashboard"}
        wait_until(lambda: connected(factory).items() >= both.items(), LIMIT, "each is its own role")
        assert factory.sql("SELECT count(*) FROM media_assets") == [(ROWS,)]
        assert factory.sql("SELECT version_num FROM alembic_version") == [(HEAD,)]
        assert factory.sql("SELECT rolname FROM pg_roles WHERE rolsuper") == [(ADMIN,)]
        # (The session by which it was taken over ends a moment after it was closed.)
        no_superuser = lambda: {is_superuser for _, _, is_superuser in factory.asked(CLIENTS)} == {False}  # noqa: E731
        wait_until(no_superuser, LIMIT, "nobody is a superuser any more")
        assert "Traceback" not in running.output


def test_a_backup_of_an_earlier_version_is_restored(factory: Factory, folder: Path) -> None:
    """All of it belonged to `photo_factory`, who was a superuser."""
    data = folder / "earlier"
    server, dump = EmbeddedPostgres(data), folder / "ledger.dump"
    with earlier_version():
        url = make_url(server.ensure_running())
        make_ledger(url.render_as_string())
        command = [
            str(server.bin / "pg_dump"),
            "--format=custom",
            f"--file={dump}",
            "-h",
            str(url.query["host"]),
            "-U",
            OWNER,
        ]
        subprocess.run([*command, "photo_factory"], check=True)
        stop_for_good(server, data)
    result = factory.run("restore", dump)
    assert result.code == 0, result.err
    owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert factory.sql_at_rest(owners) == [(OWNER,)]
    assert factory.sql_at_rest("SELECT count(*) FROM media_assets") == [(ROWS,)]
    assert factory.sql_at_rest("SELECT has_table_privilege('pf_dashboard', 'media_assets', 'SELECT')") == [(True,)]
    assert factory.sql_at_rest("SELECT has_table_privilege('pf_dashboard', 'media_assets', 'DELETE')") == [(False,)]


def test_one_role_of_ones_own_server_does_everything(bare_factory: Factory, external_ledger: ExternalLedger) -> None:
    """And status says so."""
    factory = bare_factory
    factory.environment |= {"DATABASE_URL": external_ledger.url, "HEARTBEAT_INTERVAL": "0.5", "DASHBOARD_PORT": "0"}
    with factory.start("up") as running:
        running.wait_for("watching ")
        shutil.copy(SAMPLES / "Canon_40D.jpg", factory.inbox)
        wait_until(lambda: external_ledger.sql("SELECT 1 FROM media_assets"), LIMIT, "it is filed")
        both = {"librarian": OWNER, "service-monitor": OWNER}
        wait_until(lambda: factory.run("status", "--json").json()["database"]["roles"] == both, LIMIT, "status says it")
