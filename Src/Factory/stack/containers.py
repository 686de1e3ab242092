"""The running stack of this checkout, as Docker describes it.

Nothing but the standard library: who runs the stack needs no .venv.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from Src.Factory.problems import Problem
from Src.Factory.stack.docker_errors import explained

PROJECT = "com.docker.compose.project"
DATA = "/data"  # where the containers see FACTORY_DATA
SECRETS = "/run/factory-secrets"  # where each sees its own
DEFAULT_NAME = "photo-factory"  # of the stack, where FACTORY_NAME says no other

_ANSWER_LIMIT = 30.0  # seconds that Docker may take to say what runs


@dataclass(frozen=True)
class Container:
    """A container as `docker inspect` describes it."""

    facts: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.facts["Id"])

    @property
    def name(self) -> str:
        return str(self.facts["Name"]).lstrip("/")

    @property
    def is_up(self) -> bool:
        """Docker keeps it up, be it that it restarts again and again."""
        state = self.facts["State"]
        return bool(state["Running"] or state.get("Restarting"))

    @property
    def runs(self) -> bool:
        """A command can run in it."""
        state = self.facts["State"]
        return bool(state["Running"]) and not state.get("Restarting") and not state.get("Paused")

    @property
    def has_failed(self) -> bool:
        """It did not start, or ended by itself with an error: `docker stop` leaves 0, or a signal (above 128)."""
        state = self.facts["State"]
        return not self.is_up and (bool(state.get("Error")) or 0 < state.get("ExitCode", 0) <= 128)

    @property
    def labels(self) -> dict[str, str]:
        return self.facts["Config"]["Labels"] or {}

    @property
    def service(self) -> str:
        return self.labels.get("com.docker.compose.service", "")

    @property
    def environment(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.facts["Config"]["Env"] or [] if "=" in entry)

    def source_of(self, target: str) -> str | None:
        """The host's folder that is mounted there."""
        return next((str(mount["Source"]) for mount in self.facts["Mounts"] if mount["Destination"] == target), None)

    def published(self, port: str) -> tuple[str, str] | None:
        """The host's address and port that lead to a port."""
        for binding in self.facts["NetworkSettings"]["Ports"].get(port) or ():
            return binding["HostIp"], binding["HostPort"]
        return None


class Stack:
    """The containers of the checkout `root`."""

    def __init__(self, root: str, containers: Iterable[Container]) -> None:
        self.root = root
        self._containers = {one.service: one for one in containers}

    def __iter__(self) -> Iterator[Container]:
        return iter(self._containers.values())

    @property
    def is_up(self) -> bool:
        return any(one.is_up for one in self)

    @property
    def has_failed(self) -> bool:
        """Somebody started it, and a container failed. It still counts as this checkout's factory: without it the
        commands would make another one, which is empty."""
        return any(one.has_failed for one in self)

    @property
    def data(self) -> str | None:
        """FACTORY_DATA on the host; None: no container has it."""
        return next((source for one in self if (source := one.source_of(DATA))), None)

    def has(self, service: str) -> bool:
        """Whether there is a container of it, running or not."""
        return service in self._containers

    def get(self, service: str) -> Container:
        """The service's container, which runs. Raises Problem."""
        one = self._containers.get(service)
        if one is None:
            raise Problem(f"the stack has no container of {service}: docker compose up -d")
        if not one.runs:
            raise Problem(
                f"the stack's {service} does not run: ./factory status says why; docker compose up -d starts it"
            )
        return one


def running_stack(root: str) -> Stack | None:
    """The stack of the checkout `root`, if any of its containers runs. None too where the environment names another
    factory: by DATABASE_URL or DB_HOST, or by a FACTORY_DATA that is not the stack's.

    Raises Problem where another checkout's stack has taken the place of this one's.
    """
    if os.environ.get("DATABASE_URL") or os.environ.get("DB_HOST"):
        return None
    labels = " ".join(f'{{{{.Label "{label}"}}}}' for label in (f"{PROJECT}.oneoff", PROJECT, f"{PROJECT}.working_dir"))
    format_ = f"{{{{.ID}}}} {labels}"
    listed = _listed(root, "--filter", f"label={PROJECT}.working_dir", "--format", format_)
    lines = [line.split(" ", 3) for line in listed.splitlines()]
    kept = [(one, project, folder) for one, is_oneoff, project, folder in lines if is_oneoff != "True"]
    ours = [(one, project) for one, project, folder in kept if os.path.realpath(folder) == root]
    # A checkout may run several, each by a FACTORY_NAME. Where nobody says one, `docker compose -p` may have named it.
    name = setting(root, "FACTORY_NAME")
    of_name = [one for one, project in ours if project == (name or DEFAULT_NAME)]
    ids = of_name or [one for one, _ in ours if not name]
    if not ids:
        _check_not_replaced(root, {project: folder for _, project, folder in kept})
        return None
    # It answers for the others where one has vanished meanwhile.
    facts = json.loads(ask_docker("inspect", "--type=container", *ids) or "[]")
    stack = Stack(root, map(Container, facts))
    named = os.environ.get("FACTORY_DATA")
    if named and (stack.data is None or os.path.realpath(named) != os.path.realpath(stack.data)):
        return None
    if not stack.is_up and not stack.has_failed:
        say("the stack of this folder does not run (docker compose up -d starts it); going on without it")
        return None
    return stack


def _check_not_replaced(root: str, others: dict[str, str]) -> None:
    """Raises Problem where this checkout has had a stack, and one of `others` (folder by name) has its name now."""
    name = setting(root, "FACTORY_NAME") or DEFAULT_NAME
    named = os.environ.get("FACTORY_DATA")  # another factory is meant, without Docker
    if name in others and not named and _had_stack(root):
        raise Problem(
            f"this checkout's stack does not run: the containers of the name {name} are now those of another checkout, "
            f"{others[name]}. This one's database, passwords and photos are as they were: `docker compose up -d` here "
            "brings it back (and see docs/TROUBLESHOOTING.md for two stacks on one machine)"
        )


def setting(root: str, name: str) -> str:
    """What the environment or `.env` says, as Compose reads it; nothing: neither says anything."""
    if value := os.environ.get(name):
        return value
    try:
        with open(os.path.join(root, ".env"), encoding="utf-8") as file:
            lines = [line.strip().removeprefix("export ") for line in file]
    except (OSError, UnicodeDecodeError):
        return ""
    values = [line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == name]
    return values[-1].strip("'\"") if values else ""


def _listed(root: str, *filters: str) -> str:
    """What `docker ps` prints. Where Docker cannot be asked, that is said only if this checkout had a stack once."""
    try:
        answer = run_docker("ps", "--all", "--no-trunc", *filters, limit=_ANSWER_LIMIT)
        problem = explained(answer.stderr) if answer.returncode != 0 else ""
        listed = answer.stdout
    except subprocess.TimeoutExpired:
        problem, listed = f"Docker gave no answer in {_ANSWER_LIMIT:g} s", ""
    if problem and _had_stack(root) and not os.environ.get("FACTORY_DATA"):
        say(f"whether the stack of this folder runs is not known: {problem}; going on without it")
    return listed


def _had_stack(root: str) -> bool:
    """Whether a stack was started from this checkout once; its secrets may be others' to read."""
    secrets = os.path.join(root, setting(root, "FACTORY_SECRETS") or os.path.join("Stack", "App_Data", "secrets"))
    return os.path.isdir(secrets)


def ask_docker(*arguments: str) -> str:
    """What a docker command prints; nothing where it fails."""
    try:
        return run_docker(*arguments, limit=_ANSWER_LIMIT).stdout
    except subprocess.TimeoutExpired:
        return ""


def run_docker(*arguments: str, limit: float) -> subprocess.CompletedProcess[str]:
    """Runs a docker command to its end, and keeps what it says. Raises TimeoutExpired after `limit` seconds."""
    return subprocess.run(
        ["docker", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=limit,
        check=False,
    )


def say(text: str) -> None:
    print(f"factory: {text}", file=sys.stderr)
