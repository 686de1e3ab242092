"""The real stack for these tests: `docker compose` on the files of a checkout, in a project of its own.

Without FACTORY_NAME container names are the same in every project: of such there is one at a time on one engine.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from Src.Testing.patience import sleep_after_asking, wait_until
from Stack.tests.real_factory import ROOT

PROJECT = "photo-factory-test"
BUILD_LIMIT = 1800.0  # a busy machine: images are built while all other tests run
HEALTHY_LIMIT = 120.0  # from nothing; that is promised
LIMIT = 300.0  # seconds that no step of a test should ever need
COMMAND_LIMIT = 300.0

OURS = ("librarian", "dashboard", "service_monitor")  # containers of our own images
SERVICES = (*OURS, "factory_postgres", "syncthing")
IMAGES = ("librarian", "dashboard", "service-monitor")  # named like the services by which they are built
PLUMBING = ("docker_proxy", "factory_gate")
INIT, MOVE_IN = "factory_init", "factory_move_in"  # have ended with success when the others start
MIGRATE = "factory_migrate"  # has ended when the services start, which it gives the ledger's newest schema

# Run in a container, see Stack.python.
CONNECT = """
import socket
from concurrent.futures import ThreadPoolExecutor
def connects(address):
    try:
        socket.create_connection(address, timeout=limit).close()
    except OSError:
        return False
    return True
addresses, limit = given
with ThreadPoolExecutor(64) as pool:
    answer = [address for address, yes in zip(addresses, pool.map(connects, map(tuple, addresses))) if yes]
"""
ASK = """
import http.client
from urllib.parse import urlsplit
def ask(method, url):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=120)
    try:
        connection.request(method, parts.path + "?" * bool(parts.query) + parts.query)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
answer = [ask(*question) for question in given]
"""


def engine_problem() -> str | None:
    """Why no stack can run here; None if one can."""
    if shutil.which("docker") is None:
        return "no Docker: there is no `docker` on PATH"
    for command in (["docker", "info", "--format", "{{.ServerVersion}}"], ["docker", "compose", "version"]):
        answer = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_LIMIT, check=False)
        if answer.returncode != 0:
            lines = answer.stderr.split("\n")
            return f"no Docker: `{' '.join(command[:3])}` says {lines[0]!r}"
    return None


def docker(*arguments: str, text: str = "", limit: float = COMMAND_LIMIT, check: bool = True) -> str:
    """stdout of a docker command; with `check` an error fails the test and shows what it said."""
    done = subprocess.run(
        ["docker", *arguments], input=text, capture_output=True, text=True, errors="replace", timeout=limit, check=False
    )
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout


def docker_says(*arguments: str) -> str:
    """stdout and stderr of a docker command, whatever becomes of it."""
    command = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=COMMAND_LIMIT, check=False)
    return done.stdout + done.stderr


def free_ports() -> Iterator[int]:
    """Different ones. They stay free until the stack takes them: the system gives none of these away by itself, and
    pytest's processes (pytest-xdist calls them gw0, gw1, ...) have theirs each."""
    first = 23000 + 1000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for port in range(first, first + 1000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            yield port


@dataclass
class Stack:
    """One stack: its folders on the host and the settings that `.env` would hold."""

    data: Path  # FACTORY_DATA; need not exist. What is the checkout's own otherwise is beside it
    environment: dict[str, str] = field(default_factory=dict)
    root: Path = ROOT  # its checkout
    project: str | None = PROJECT  # None: FACTORY_NAME says it

    def __post_init__(self) -> None:
        user, group = (os.geteuid(), os.getegid()) if os.geteuid() else (4321, 4322)
        ports = map(str, free_ports())
        self.environment = {
            "FACTORY_DATA": str(self.data),
            "FACTORY_DB_DATA": str(self.own / "factory-db-data"),
            "FACTORY_SECRETS": str(self.own / "secrets"),
            "SYNCTHING_CONFIG": str(self.own / "syncthing_config"),
            "PUID": str(user),
            "PGID": str(group),
            "TZ": "Europe/Berlin",
            "STABILITY_DELAY": "0.5",
            "DISK_WARNING": "0",  # how full this machine's disk is decides nothing
            "DISK_ERROR": "0",
            "METADATA_TIME_LIMIT": "120",  # nor how long ExifTool takes on a machine that stands still
            "REST_WITHOUT_LEASE": "5",
            "MIN_FILE_AGE": "0.2",
            "HEARTBEAT_INTERVAL": "5",
            "MONITOR_INTERVAL": "5",
            "INFRASTRUCTURE_INTERVAL": "5",
            "DASHBOARD_PORT": next(ports),
            "SYNC_PORT": next(ports),
            "SYNCTHING_GUI_PORT": next(ports),
            **self.environment,
        }

    @property
    def own(self) -> Path:
        """Where ledger, secrets and Syncthing's identity are."""
        return self.data.parent / f"{self.data.name} App_Data"

    @property
    def secrets(self) -> Path:
        return Path(self.environment["FACTORY_SECRETS"])

    @property
    def name(self) -> str:
        """Of the project."""
        return self.project or self.environment["FACTORY_NAME"]

    def container(self, name: str) -> str:
        """What a container is called in this stack."""
        prefix = self.environment.get("FACTORY_NAME")
        return f"{prefix}_{name}" if prefix else name

    @property
    def owner(self) -> tuple[int, int]:
        return int(self.environment["PUID"]), int(self.environment["PGID"])

    @property
    def inbox(self) -> Path:
        return self.data / "Photos_Inbox"

    @property
    def storage(self) -> Path:
        return self.data / "Storage"

    @property
    def originals(self) -> Path:
        return self.storage / "Originals"

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.environment['DASHBOARD_PORT']}"

    @property
    def syncthing(self) -> str:
        return f"http://127.0.0.1:{self.environment['SYNCTHING_GUI_PORT']}"

    # Running

    def compose(self, *arguments: str, limit: float = COMMAND_LIMIT, check: bool = True) -> str:
        """`docker compose` in the checkout; what it says. No `.env` of the user's, only these settings."""
        done = subprocess.run(
            [*self.command, "--progress=plain", *arguments],
            cwd=self.root,
            env=self.settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
        assert not check or done.returncode == 0, f"docker compose {' '.join(arguments)}\n{done.stdout}\n{self.logs()}"
        return done.stdout

    @property
    def command(self) -> list[str]:
        """The beginning of each `docker compose`; without the user's override and `.env`."""
        command = ["docker", "compose", "--file", "docker-compose.yml", "--env-file", "/dev/null"]
        return [*command, "--project-name", self.project] if self.project else command

    @property
    def settings(self) -> dict[str, str]:
        """The environment of each `docker compose`."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "DOCKER_HOST") if name in os.environ}
        return {**kept, **self.environment}

    def build(self) -> float:
        """Builds the images; how many seconds it took. At once: Compose would build each after those it depends on."""
        started = time.monotonic()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda service: self.compose("build", service, limit=BUILD_LIMIT), IMAGES))
        return time.monotonic() - started

    def name_images(self) -> None:
        """Gives the images that were just built the name by which `./factory` in this project's name runs them.

        First all images of these tests' names go: a run that was interrupted has left its own, with its code in them.
        """
        listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        ours = (f"{PROJECT}/", f"{PROJECT}-")
        if left := [image for image in listed if image.startswith(ours) and "<none>" not in image]:
            docker("rmi", "--force", *left)
        for image in IMAGES:
            docker("tag", f"photo-factory/{image}:2", f"{PROJECT}/{image}:2")

    def up(self, limit: float = LIMIT) -> float:
        """`up -d`, and waits until all is healthy; how many seconds that took. Images are there already."""
        started = time.monotonic()
        self.compose("up", "-d", limit=limit)
        self.wait_healthy(limit=limit - (time.monotonic() - started))
        return time.monotonic() - started

    def down(self, *, volumes: bool = False) -> None:
        """Stops and removes the containers; with `volumes` what is left of them in the engine too."""
        self.compose("down", "--timeout", "30", *(["--volumes"] if volumes else []))

    def remove(self) -> None:
        """Nothing is left of it but the images."""
        self.down(volumes=True)
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.own, ignore_errors=True)

    def logs(self) -> str:
        """The last words of each container, for the report of a failed test."""
        command = [*self.command, "logs", "--no-color", "--tail", "25"]
        done = subprocess.run(
            command, cwd=self.root, env=self.settings, capture_output=True, text=True, errors="replace", check=False
        )
        return done.stdout

    # Containers

    def inspect(self, container: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(docker("inspect", self.container(container)))
        return found[0]

    def state(self, container: str) -> str:
        """`healthy`, `unhealthy` or `starting`; for a container without a health check, or that does not run,
        `running`, `exited`, ...; `missing` where there is none."""
        return self.states(container)[container]

    def states(self, *containers: str) -> dict[str, str]:
        """The state of each, from one question to the engine."""
        state = "{{if and .State.Running .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}"
        names = {name: self.container(name) for name in containers}
        told = docker("container", "inspect", "--format", "{{.Name}} " + state, *names.values(), check=False)
        found = dict(line.removeprefix("/").split() for line in told.splitlines() if line)
        return {name: found.get(known_as, "missing") for name, known_as in names.items()}

    def wait_healthy(self, *containers: str, limit: float = LIMIT) -> None:
        """Waits until these containers, or all, are healthy."""
        wanted = dict.fromkeys(containers or (*SERVICES, *PLUMBING), "healthy")
        end = time.monotonic() + limit
        while True:
            asked = time.monotonic()
            states = self.states(*wanted)
            if states == wanted:
                return
            assert time.monotonic() < end, f"not healthy within {limit:.0f} s: {states}\n{self.logs()}"
            sleep_after_asking(asked)

    def addresses(self, container: str) -> set[str]:
        """Its IPv4 addresses in all its networks."""
        networks = self.inspect(container)["NetworkSettings"]["Networks"].values()
        return {network["IPAddress"] for network in networks if network["IPAddress"]}

    def exec(self, container: str, *command: str, text: str = "", check: bool = True) -> str:
        """stdout of a command in a container."""
        return docker("exec", "-i", self.container(container), *command, text=text, check=check)

    def python(self, container: str, program: str, given: object = None) -> Any:
        """What a Python program in a container of ours makes of `given`: it sets `answer`. Both as JSON can hold it."""
        around = f"import json, sys\ngiven = json.load(sys.stdin)\n{program}\nprint(json.dumps(answer))"
        return json.loads(self.exec(container, "python", "-c", around, text=json.dumps(given)))

    def reached(self, container: str, addresses: Iterable[tuple[str, int]], limit: float = 2.0) -> set[tuple[str, int]]:
        """Those of the addresses (host, port) to which the container can connect within `limit` seconds."""
        return {(host, port) for host, port in self.python(container, CONNECT, [sorted(set(addresses)), limit])}

    def asked(self, container: str, questions: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """The HTTP status that the container gets for each METHOD and URL; 0: no answer."""
        asked = list(questions)
        return dict(zip(asked, self.python(container, ASK, asked), strict=True))

    def secret(self, container: str, name: str) -> str:
        """A secret as the container's service sees it."""
        return self.exec(container, "cat", f"/run/factory-secrets/{name}").strip()

    # Photos and the ledger

    def sql(self, statement: str) -> list[list[str]]:
        """Rows of the ledger as psql tells them, by the way that the documentation names."""
        psql = ("psql", "-U", "photo_factory", "-d", "photo_factory", "-v", "ON_ERROR_STOP=1", "-qAtF", "\t")
        return [line.split("\t") for line in self.exec("factory_postgres", *psql, text=statement).splitlines()]

    def drop(self, name: str, content: bytes) -> Path:
        """A photo is put into the inbox by its owner, at once complete."""
        target = self.inbox / name
        hidden = target.with_name(f".{target.name}")  # files with such names are left alone
        while not hidden.exists():
            with suppress(FileNotFoundError, FileExistsError):  # folders that have been empty for long are removed
                target.parent.mkdir(parents=True, exist_ok=True)
                hidden.write_bytes(content)
        for path in (hidden, *target.parents):
            if path.is_relative_to(self.inbox):
                self._own(path)
        return hidden.rename(target)

    def give(self, folder: Path) -> None:
        """Folder and all in it belong to the owner of the photos."""
        paths = [Path(top, name) for top, folders, names in os.walk(folder) for name in (*folders, *names)]
        for path in (folder, *paths):
            self._own(path)

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            with suppress(FileNotFoundError):  # filed away meanwhile
                os.chown(path, *self.owner, follow_symlinks=False)

    def filed(self, count: int, limit: float = LIMIT, where: str = "true") -> list[list[str]]:
        """Waits until the ledger has so many originals: name, path below the storage, SHA-256."""
        question = f"SELECT original_name, final_path, file_hash FROM media_assets WHERE {where} ORDER BY 1"

        def complete() -> list[list[str]]:
            rows = self.sql(question)
            return rows if len(rows) >= count else []

        found = wait_until(complete, limit, f"{count} originals in the ledger")
        assert len(found) == count
        return found


def other_ports(first: Stack) -> dict[str, str]:
    """For a stack beside this one."""
    taken = {value for setting, value in first.environment.items() if setting.endswith("_PORT")}
    ports = (str(port) for port in free_ports() if str(port) not in taken)
    return {setting: next(ports) for setting in ("DASHBOARD_PORT", "SYNC_PORT", "SYNCTHING_GUI_PORT")}


@contextmanager
def stack_beside(
    first: Stack, name: str, folder: Path, environment: Mapping[str, str] | None = None, root: Path = ROOT
) -> Iterator[Stack]:
    """A stack with a name of its own beside the first one, not up yet; its images are the first one's."""
    for image in IMAGES:
        docker("tag", f"photo-factory/{image}:2", f"{name}/{image}:2")  # it would build the same
    settings = {"FACTORY_NAME": name, **other_ports(first), **(environment or {})}
    beside = Stack(folder / "Factory_Data", settings, root=root, project=None)
    try:
        beside.down(volumes=True)  # of an earlier run that was killed
        yield beside
    finally:
        beside.remove()
        for image in IMAGES:
            docker("rmi", f"{name}/{image}:2")


def other_stack() -> str | None:
    """A container with one of our names that is not of these tests."""
    form = '{{.Names}} {{.Label "com.docker.compose.project"}}'
    for line in docker("ps", "--all", "--format", form).splitlines():
        name, _, project = line.partition(" ")
        if name in (*SERVICES, *PLUMBING, INIT, MOVE_IN, MIGRATE) and project != PROJECT:
            return name
    return None


def settings_of(container: Mapping[str, Any]) -> dict[str, str]:
    """The environment of an inspected container."""
    return dict(entry.split("=", 1) for entry in container["Config"]["Env"])
