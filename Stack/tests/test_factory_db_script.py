"""How PostgreSQL starts in the stack (`Stack/App_Data/factory-db.sh`), without an engine: the script and a real server.

The services connect by TCP with their passwords, people by the socket in the container.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from Src.Shared import stack_roles
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.postgres.roles import ADMIN, OWNER, ROLES
from Src.Shared.postgres.tests.earlier_version import make_ledger
from Src.Testing.patience import wait_until
from Src.Testing.ports import reserved_port
from Stack.tests.real_factory import LIMIT, ROOT

SCRIPT = ROOT / "Stack" / "App_Data" / "factory-db.sh"
PASSWORDS = {name: f"secret of {name}" for name in stack_roles.HOLDERS}
SUPERUSERS = "SELECT rolname FROM pg_roles WHERE rolsuper"


@dataclass
class Container:
    """What the script finds in PostgreSQL's container, and what runs there."""

    folder: Path
    programs: Path
    user: int | None
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def cluster(self) -> Path:
        return self.folder / "18" / "docker"

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    def environment(self) -> dict[str, str]:
        settings = {"unix_socket_directories": str(self.socket), "fsync": "off"}
        return {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "PGDATA": str(self.cluster),
            "PGPORT": str(self.port),
            "TMPDIR": str(self.folder / "tmp"),
            "FACTORY_SQL": str(self.folder / "secrets" / "roles.sql"),
            "POSTGRES_INITDB_ARGS": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            "LC_ALL": "C",
        }

    def give(self, passwords: Mapping[str, str]) -> None:
        """What `init` writes."""
        for name, text in stack_roles.scripts(passwords).items():
            path = self.folder / "secrets" / name
            path.write_text(text)
            path.chmod(0o400)
            self.own(path)

    def own(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, self.user, self.user)

    def start(self) -> None:
        as_user = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": ()}
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["bash", SCRIPT],
                env=self.environment(),
                cwd="/",
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_user,  # type: ignore[call-overload]
            )

    def up(self) -> None:
        self.start()
        wait_until(self._listens, LIMIT, "PostgreSQL takes connections")

    def _listens(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.said()
        try:
            self.connect(OWNER, host=str(self.socket)).close()
        except psycopg2.OperationalError:
            return False
        return True

    def said(self) -> str:
        return (self.folder / "log").read_text()

    def connect(self, role: str, password: str = "", host: str = "127.0.0.1") -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host=host, port=self.port, user=role, password=password, dbname="photo_factory", connect_timeout=int(LIMIT)
        )

    def ask(self, statement: str, role: str = OWNER) -> list[tuple[object, ...]]:
        """By the socket, as `docker exec factory_postgres psql` does."""
        with closing(self.connect(role, host=str(self.socket))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []

    def stop(self) -> int:
        """As Docker does, with the stack's stop signal."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(LIMIT)

    def kill(self) -> None:
        """Everything at once, as a power cut does."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(LIMIT)
        wait_until(lambda: not self.processes(), LIMIT, "all are dead")

    def processes(self) -> list[int]:
        mine = f"PGDATA={self.cluster}".encode()
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with suppress(OSError):
                    environment = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
                    # PostgreSQL's children write over theirs; they work in their data folder.
                    if mine in environment or os.readlink(f"/proc/{entry}/cwd") == str(self.cluster):
                        found.append(int(entry))
        return found


@pytest.fixture
def container(folder: Path) -> Iterator[Container]:
    """With nothing in its volume; `init` has run."""
    import pwd

    source = EmbeddedPostgres(folder / "unused").bin
    user = None
    if os.geteuid() == 0:
        EmbeddedPostgres(folder / "account").ensure_running()  # makes the account, and lets it read the programs
        user = pwd.getpwnam("pgserver").pw_uid
    with reserved_port() as port:
        container = Container(folder / "container", source, user, port)
        for path in (container.folder, *(container.folder / name for name in ("tmp", "secrets", "socket"))):
            path.mkdir(mode=0o700)
            container.own(path)
        container.give(PASSWORDS)
        yield container
        container.kill()


def test_from_nothing(container: Container) -> None:
    container.up()
    assert container.ask(SUPERUSERS) == [(ADMIN,)]
    assert container.ask("SELECT datdba::regrole::text FROM pg_database WHERE datname = 'photo_factory'") == [(OWNER,)]
    for role, secret in ((OWNER, "db_password"), *((role.name, role.password_file) for role in ROLES)):
        container.connect(role, PASSWORDS[secret]).close()
    assert "ERROR" not in container.said()
    assert container.stop() == 0
    wait_until(lambda: not container.processes(), LIMIT, "no process is left")


def test_passwords_are_asked_for_and_the_superuser_has_none(container: Container) -> None:
    container.up()
    rules = container.cluster / "pg_hba.conf"
    # In the container itself loopback is trusted, as the image has always done it; here everybody is on loopback.
    lines = [line for line in rules.read_text().splitlines() if not line.startswith("host") or "all all all" in line]
    rules.write_text("\n".join(lines) + "\n")
    container.ask("SELECT pg_reload_conf()", ADMIN)

    def refused(role: str, password: str) -> str:
        with pytest.raises(psycopg2.OperationalError) as caught:
            container.connect(role, password).close()
        return str(caught.value)

    wait_until(lambda: "no password supplied" in _said(lambda: container.connect(OWNER)), LIMIT, "the rules are read")
    assert "password authentication failed" in refused("pf_dashboard", PASSWORDS["pf_librarian_password"])
    assert "password authentication failed" in refused(ADMIN, PASSWORDS["db_password"])
    for role in ROLES:
        container.connect(role.name, PASSWORDS[role.password_file]).close()


def _said(connect: object) -> str:
    try:
        connect().close()  # type: ignore[operator]
    except psycopg2.OperationalError as error:
        return str(error)
    return ""


def test_a_new_password_counts_from_the_next_start(container: Container) -> None:
    container.up()
    verifier = "SELECT rolpassword FROM pg_authid WHERE rolname = 'pf_librarian'"
    before = container.ask(verifier, ADMIN)
    container.stop()
    container.give({**PASSWORDS, "pf_librarian_password": "größer – \u00ad\u2003ﬁ"})
    container.up()
    assert container.ask(verifier, ADMIN) != before
    container.connect("pf_librarian", "größer – \u00ad\u2003ﬁ").close()
    assert "größer" not in container.said()


def old_volume(container: Container) -> None:
    """As the image made it for an earlier version: POSTGRES_USER is the role of initdb."""
    container.cluster.parent.mkdir(mode=0o700)
    container.own(container.cluster.parent)
    word = container.folder / "word"
    word.write_text("as it was")
    container.own(word)
    as_user = {} if container.user is None else {"user": container.user, "group": container.user, "extra_groups": ()}
    arguments = container.environment()["POSTGRES_INITDB_ARGS"].split()
    subprocess.run(
        ["initdb", "-D", container.cluster, f"--username={OWNER}", f"--pwfile={word}", *arguments],
        env=container.environment(),
        cwd="/",
        check=True,
        capture_output=True,
        **as_user,  # type: ignore[call-overload]
    )
    with open(container.cluster / "pg_hba.conf", "a") as rules:
        rules.write("\nhost all all all scram-sha-256\n")
    with open(container.folder / "old.log", "wb") as log:
        server = subprocess.Popen(
            ["postgres", "-D", container.cluster],
            env=container.environment(),
            cwd="/",
            stdout=log,
            stderr=log,
            **as_user,  # type: ignore[call-overload]
        )
    wait_until(lambda: (container.socket / f".s.PGSQL.{container.port}").exists(), LIMIT, "it listens")
    at: dict[str, Any] = {"host": str(container.socket), "port": container.port, "user": OWNER}
    wait_until(lambda: not _said(lambda: psycopg2.connect(dbname="postgres", **at)), LIMIT, "it answers")
    for database, statement in (("postgres", "CREATE DATABASE photo_factory"), ("photo_factory", "SELECT 1")):
        with closing(psycopg2.connect(dbname=database, **at)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
    make_ledger(f"postgresql+psycopg2://{OWNER}@/photo_factory?host={container.socket}&port={container.port}")
    server.send_signal(signal.SIGINT)
    assert server.wait(LIMIT) == 0


def nothing_is_lost(container: Container) -> None:
    assert container.ask(SUPERUSERS) == [(ADMIN,)]
    assert container.ask("SELECT count(*) FROM media_assets") == [(50,)]
    assert container.ask("SELECT version_num FROM alembic_version") == [("0002",)]
    container.ask("CREATE TABLE mine (); DROP TABLE mine; UPDATE media_assets SET rating = 1")
    container.connect(OWNER, PASSWORDS["db_password"]).close()


def test_a_volume_of_an_earlier_version_is_taken_over(container: Container) -> None:
    old_volume(container)
    container.up()
    nothing_is_lost(container)
    assert container.stop() == 0
    container.up()
    nothing_is_lost(container)


def test_it_may_be_killed_at_any_moment(container: Container) -> None:
    """Starts that are killed a little later each time, until one comes up."""
    old_volume(container)
    kept = container.folder / "kept"
    subprocess.run(["cp", "-a", container.cluster, kept], check=True)
    pause, tries, up = 0.05, 0, False
    while not up:
        container.start()
        end = time.monotonic() + pause
        while not up and time.monotonic() < end:
            up = not _said(lambda: container.connect(OWNER, host=str(container.socket)))
        container.kill()
        pause, tries = pause * 1.4, tries + 1
        assert pause < LIMIT, container.said()
    assert tries > 2
    container.up()
    nothing_is_lost(container)


def test_a_first_start_may_be_killed_at_any_moment(container: Container) -> None:
    pause, up = 0.05, False
    while not up:
        container.start()
        end = time.monotonic() + pause
        while not up and time.monotonic() < end:
            up = not _said(lambda: container.connect(OWNER, host=str(container.socket)))
        container.kill()
        pause *= 1.6
        assert pause < LIMIT, container.said()
    container.up()
    assert container.ask(SUPERUSERS) == [(ADMIN,)]
    for role in ROLES:
        container.connect(role.name, PASSWORDS[role.password_file]).close()


def test_it_stops_when_it_is_told_to_in_the_middle_of_its_start(container: Container) -> None:
    container.start()
    wait_until(lambda: (container.cluster / "postmaster.pid").exists(), LIMIT, "the roles are being made")
    assert container.stop() == 0
    wait_until(lambda: not container.processes(), LIMIT, "no process is left")
    container.up()
    assert shutil.which("bash")


def test_nobody_connects_before_the_roles_are_made(container: Container) -> None:
    """In the meantime the server listens on a socket that only the script knows."""
    old_volume(container)
    sql = container.folder / "secrets" / "roles.sql"
    sql.chmod(0o600)
    sql.write_text(f"SELECT pg_sleep(600);\n{sql.read_text()}")
    container.start()
    wait_until(lambda: (container.cluster / "postmaster.pid").exists(), LIMIT, "it is at it")
    [hidden] = wait_until(
        lambda: list((container.folder / "tmp").glob(f"*/.s.PGSQL.{container.port}")), LIMIT, "its own socket"
    )
    sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"

    def asleep() -> bool:
        at: dict[str, Any] = {"host": str(hidden.parent), "port": container.port, "user": OWNER, "dbname": "postgres"}
        try:
            with closing(psycopg2.connect(**at)) as connection, connection.cursor() as cursor:
                cursor.execute(sleeps)
                return bool(cursor.fetchone() == (1,))
        except psycopg2.OperationalError:  # it is starting up
            return False

    wait_until(asleep, LIMIT, "the text is under way")
    for host in ("127.0.0.1", str(container.socket)):
        with pytest.raises(psycopg2.OperationalError):
            container.connect(OWNER, host=host)
    container.kill()
