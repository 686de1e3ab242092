"""Ledger, secrets and Syncthing's identity are the checkout's own folders: no other checkout takes or deletes them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from Src.Testing.patience import wait_until
from Stack.tests.photos import unique_jpeg
from Stack.tests.real_factory import FACTORY, ROOT
from Stack.tests.stack import IMAGES, INIT, LIMIT, MOVE_IN, OURS, Stack, docker, docker_says, other_ports, stack_beside

pytestmark = pytest.mark.stack

SECOND, BEFORE = "photo-factory-test-second", "photo-factory-test-before"
BEFORE_FILES = ROOT / "Stack" / "tests" / "before_folders"
SECRETS = ("syncthing_api_key", "dashboard_password")  # an earlier version gave the dashboard the ledger's too
ROWS = "SELECT file_hash, final_path, ingested_at FROM media_assets ORDER BY 1"


def identity(stack: Stack) -> list[str]:
    """What must stay for ever: passwords, and the certificate from which Syncthing's device ID is made."""
    certificate = stack.exec("syncthing", "cat", "/var/syncthing/config/cert.pem")
    assert "BEGIN CERTIFICATE" in certificate
    return [certificate, *(stack.secret("dashboard", name) for name in SECRETS)]


def clone(folder: Path) -> Path:
    """A second checkout of the same code."""
    root = folder / "second checkout"
    (root / "Stack").mkdir(parents=True)
    for name in ("docker-compose.yml", ".dockerignore", ".env.example", "pyproject.toml", "factory"):
        shutil.copy(ROOT / name, root)
    shutil.copytree(
        ROOT / "Stack" / "App_Data", root / "Stack" / "App_Data", ignore=shutil.ignore_patterns("*-*-data*")
    )
    for name in ("Src", "requirements", "docs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def filed(stack: Stack, name: str, number: int) -> None:
    stack.drop(f"{name}.jpg", unique_jpeg(number))
    stack.filed(1, where=f"original_name = '{name}.jpg'")


def status(stack: Stack) -> subprocess.CompletedProcess[str]:
    """`./factory status` in the stack's checkout, whose `.env` would hold its settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
    given = {"FACTORY_SECRETS": str(stack.secrets), "FACTORY_NAME": stack.name, "FACTORY_NO_APT": "1"}
    return subprocess.run(
        [FACTORY, "status"], env=kept | given, cwd="/", capture_output=True, text=True, timeout=LIMIT, check=False
    )


def test_a_second_checkout_of_the_same_name_takes_and_deletes_nothing(stack: Stack, tmp_path: Path) -> None:
    filed(stack, "before the second", 8_100_001)
    rows, before = stack.sql(ROWS), identity(stack)
    second = Stack(tmp_path / "Factory_Data", root=clone(tmp_path))
    try:
        said = second.compose("up", "-d", check=False)
        assert f"{MOVE_IN}\" didn't complete successfully" in said or "exit 2" in said, said
        log = docker_says("logs", MOVE_IN)
        assert f"belongs to another checkout, {stack.root}" in log
        assert "FACTORY_NAME" in log
        assert [stack.state(name) for name in OURS] == ["created"] * len(OURS), "nothing of the second runs"
        assert not list(second.data.glob("*")), "and nothing was made of it"
        # Compose has given up, and the librarian that it was stopping ends by itself.
        labels = (f"com.docker.compose.project={stack.name}", "com.docker.compose.service=librarian")
        runs = ("ps", "--quiet", *(word for label in labels for word in ("--filter", f"label={label}")))
        wait_until(lambda: not docker(*runs).strip(), LIMIT, "the first one's librarian has ended")
        told = status(stack)
        assert told.returncode == 2
        assert f"are now those of another checkout, {second.root}" in told.stderr
        second.down(volumes=True)
    finally:
        second.down(volumes=True)
        stack.up()
    assert stack.sql(ROWS) == rows
    assert identity(stack) == before
    wait_until(
        lambda: status(stack).returncode == 0, LIMIT, "what the monitor has missed meanwhile is no warning any more"
    )
    filed(stack, "after the second", 8_100_002)


@pytest.fixture
def second(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """A second stack beside the first, with a name of its own."""
    with stack_beside(stack, SECOND, tmp_path, root=clone(tmp_path)) as second:
        yield second


def test_two_stacks_with_names_run_beside_each_other(stack: Stack, second: Stack) -> None:
    filed(stack, "of the first", 8_200_001)
    rows, before = stack.sql(ROWS), identity(stack)
    containers = docker("inspect", "--format", "{{.Id}}", *OURS)
    second.up()
    filed(second, "of the second", 8_200_002)
    assert [row[0] for row in second.sql("SELECT original_name FROM media_assets")] == ["of the second.jpg"]
    assert set(identity(second)).isdisjoint(before)
    health = f"details->'checks'->'container {SECOND}_librarian'->>'health'"
    seen = f"SELECT {health} FROM system_status WHERE service_name = 'service-monitor'"
    wait_until(lambda: second.sql(seen) == [["healthy"]], LIMIT, "its monitor sees its own containers")
    second.down(volumes=True)
    assert stack.sql(ROWS) == rows
    assert identity(stack) == before
    assert docker("inspect", "--format", "{{.Id}}", *OURS) == containers, "the first has not even noticed"
    stack.wait_healthy()
    second.up()
    assert [row[0] for row in second.sql("SELECT original_name FROM media_assets")] == ["of the second.jpg"]


def test_a_ledger_in_a_volume(images: Stack, tmp_path: Path) -> None:
    """As docs/INSTALL.md tells it for Docker Desktop, whose folders are no filesystem of Linux."""
    name = "photo-factory-test-volume"
    volume = f"{name}_factory-db-data"
    settings = {"FACTORY_DB_DATA": "factory-db-data"}
    with stack_beside(images, name, tmp_path, settings) as with_volume:
        docker("volume", "rm", "--force", volume, check=False)  # of an earlier run that was killed
        said = with_volume.compose("up", "-d", check=False)
        assert volume in said and "not found" in said, said  # without the volume nothing starts
        docker("volume", "create", volume)
        try:
            with_volume.up()
            filed(with_volume, "in a volume", 8_600_001)
            rows = with_volume.sql(ROWS)
            [mounted] = [
                mount
                for mount in with_volume.inspect("factory_postgres")["Mounts"]
                if mount["Destination"] == "/var/lib/postgresql"
            ]
            assert (mounted["Type"], mounted["Name"]) == ("volume", volume)
            assert not (with_volume.own / "factory-db-data").exists()
            with_volume.down(volumes=True)
            with_volume.up()
            assert with_volume.sql(ROWS) == rows, "what Compose deletes is no ledger"
            filed(with_volume, "after it", 8_600_002)

            # An empty volume in its place: nothing is filed beside the photos until the ledger is restored or rebuilt.
            with_volume.down()
            docker("volume", "rm", volume)
            docker("volume", "create", volume)
            with_volume.compose("up", "-d")
            refused = "message LIKE '%has originals and this database knows none%'"
            said = f"SELECT 1 FROM system_status WHERE service_name = 'librarian' AND status = 'ERROR' AND {refused}"
            wait_until(lambda: with_volume.sql(said), LIMIT, "it is refused")
            assert with_volume.sql(ROWS) == []
        finally:
            with_volume.down(volumes=True)
            docker("volume", "rm", volume, check=False)


def test_down_with_volumes_and_up_again_keep_all(stack: Stack) -> None:
    filed(stack, "before down", 8_300_001)
    rows, before = stack.sql(ROWS), identity(stack)
    stack.down(volumes=True)
    stack.up()
    assert (stack.sql(ROWS), identity(stack)) == (rows, before)


def test_a_link_in_the_inboxs_place_leads_nobody_elsewhere(stack: Stack, tmp_path: Path) -> None:
    """Somebody who may write in FACTORY_DATA puts it there while services are down."""
    elsewhere, aside = tmp_path / "elsewhere", stack.data / "aside"
    elsewhere.mkdir(mode=0o777)
    elsewhere.chmod(0o777)
    stack.compose("stop", "syncthing", "librarian")
    stack.inbox.rename(aside)
    stack.inbox.symlink_to(elsewhere)
    try:
        # As Docker starts them after a reboot; Compose would start `init` first.
        docker("start", "syncthing", "librarian")
        refused = "The inbox is not the folder"
        wait_until(lambda: refused in docker_says("logs", "syncthing"), LIMIT, "Syncthing does not start")
        refused_too = "Photos_Inbox is a link"
        wait_until(lambda: refused_too in docker_says("logs", "librarian"), LIMIT, "the librarian does not start")
        stack.compose("up", "-d", check=False)
        assert "FACTORY_DATA/Photos_Inbox is a link" in docker_says("logs", INIT)
        assert not list(elsewhere.iterdir())
        assert (elsewhere.stat().st_uid, elsewhere.stat().st_gid) == (os.geteuid(), os.getegid())
    finally:
        stack.inbox.unlink()
        aside.rename(stack.inbox)
        stack.up()
    filed(stack, "after the link", 8_500_001)


# An installation of before


class Before:
    """A stack whose data are volumes."""

    def __init__(self, now: Stack) -> None:
        self._now = now
        self._command = ["docker", "compose", "--project-name", BEFORE, "--project-directory", str(BEFORE_FILES)]

    def compose(self, *arguments: str) -> str:
        command = [*self._command, "--file", str(BEFORE_FILES / "docker-compose.yml"), *arguments]
        done = subprocess.run(
            command, env=self._now.settings, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sql(self, statement: str) -> list[list[str]]:
        psql = ("psql", "-U", "photo_factory", "-d", "photo_factory", "-v", "ON_ERROR_STOP=1", "-qAtF", "\t")
        rows = self.compose("exec", "-T", "factory-db", *psql, "-c", statement)
        return [line.split("\t") for line in rows.splitlines()]

    def has_identity(self) -> bool:
        here = ("exec", "-T", "syncthing", "sh", "-c", "test -s /var/syncthing/config/cert.pem && echo yes; true")
        return "yes" in self.compose(*here)

    def identity(self) -> list[str]:
        files = [("syncthing", "/var/syncthing/config/cert.pem")]
        found = [self.compose("exec", "-T", service, "cat", file) for service, file in files]
        volumes = [f"{BEFORE}_dashboard-secrets:/secrets:ro", "photo-factory/librarian:2"]
        return [
            *found,
            *(docker("run", "--rm", "-u", "0", "-v", *volumes, "cat", f"/secrets/{name}") for name in SECRETS),
        ]


@pytest.fixture
def before(images: Stack, tmp_path: Path) -> Iterator[tuple[Before, Stack]]:
    """It runs, has filed photos, and Syncthing has its keys; and the stack of today that is to take its place."""
    for name in IMAGES:
        docker("tag", f"photo-factory/{name}:2", f"{BEFORE}/{name}:2")
    now = Stack(tmp_path / "Factory_Data", {"FACTORY_NAME": BEFORE, **other_ports(images)}, project=None)
    now.data.mkdir()
    old = Before(now)
    try:
        now.down(volumes=True)  # of an earlier run that was killed
        old.compose("down", "--volumes")
        old.compose("up", "-d")
        for number in range(5):
            now.drop(f"before {number}.jpg", unique_jpeg(8_400_000 + number))
        wait_until(lambda: old.sql("SELECT to_regclass('media_assets')") != [[""]], LIMIT, "the ledger is made")
        count = "SELECT count(*) FROM media_assets"
        wait_until(lambda: old.sql(count) == [["5"]], LIMIT, "five are filed")
        wait_until(old.has_identity, LIMIT, "Syncthing has its keys")
        yield old, now
    finally:
        now.remove()
        old.compose("down", "--volumes")
        for name in IMAGES:
            docker("rmi", f"{BEFORE}/{name}:2")


def volume_contents() -> str:
    """What is in the old volumes, file by file."""
    names = [
        name for name in docker("volume", "ls", "-q").split() if name.startswith(f"{BEFORE}_") and "claim" not in name
    ]
    mounts = [word for name in names for word in ("-v", f"{name}:/old/{name}:ro")]
    find = "cd /old && find . -type f -exec sha256sum {} + | sort"
    return docker("run", "--rm", "-u", "0", *mounts, "photo-factory/librarian:2", "sh", "-c", find)


def test_an_installation_with_volumes_is_moved_by_one_start(before: tuple[Before, Stack]) -> None:
    old, now = before
    rows, identity_before = old.sql(ROWS), old.identity()
    now.up()  # over the running one, as after `git pull`
    assert now.sql(ROWS) == rows
    assert identity(now) == identity_before
    for path in ("factory-db-data/18/docker/PG_VERSION", "syncthing_config/config/cert.pem", "secrets/README.txt"):
        assert (now.own / path).is_file(), path
    log = docker_says("logs", now.container(MOVE_IN))
    assert "moved the database" in log
    assert f"docker volume rm {BEFORE}_factory-db-data" in log
    kept = volume_contents()
    filed(now, "after the move", 8_400_100)
    now.down(volumes=True)
    assert volume_contents() == kept, "not even that deletes them"
    now.up()
    assert "moved" not in docker_says("logs", now.container(MOVE_IN)), "it is done once"
    assert len(now.sql(ROWS)) == 6


def test_killed_while_it_moves_it_begins_again(before: tuple[Before, Stack]) -> None:
    old, now = before
    rows, identity_before = old.sql(ROWS), old.identity()
    old.compose("stop")
    kept = volume_contents()
    name = now.container(MOVE_IN)
    for step in range(8):
        start = subprocess.Popen(
            [*now.command, "up", "-d"], cwd=now.root, env=now.settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        while start.poll() is None and now.state(MOVE_IN) != "running":
            time.sleep(0.02)
        time.sleep(0.25 * step)  # a little later each time
        docker("kill", name, check=False)
        start.communicate(timeout=LIMIT)
        assert volume_contents() == kept
        if start.returncode == 0:
            break  # it was done before it could be killed
        assert now.state("factory_postgres") == "created", "no ledger is started before it is there"
    now.up()
    assert now.sql(ROWS) == rows
    assert identity(now) == identity_before


def test_volumes_of_before_are_not_taken_by_a_checkout_without_their_photos(before: tuple[Before, Stack]) -> None:
    old, now = before
    rows = old.sql(ROWS)
    old.compose("stop")
    kept = volume_contents()
    ports = {name: value for name, value in now.environment.items() if name.endswith("_PORT")}
    stranger = Stack(now.data.with_name("another"), {"FACTORY_NAME": BEFORE, **ports}, project=None)
    stranger.compose("up", "-d", check=False)
    assert "holds no vault" in docker_says("logs", now.container(MOVE_IN))
    assert not (stranger.own / "factory-db-data" / "18").exists()
    stranger.down(volumes=True)
    assert volume_contents() == kept
    now.up()
    assert now.sql(ROWS) == rows
