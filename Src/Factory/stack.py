"""The running stack of this checkout, as Docker describes it.

Nothing but the standard library: who runs the stack needs no .venv.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from Src.Factory.problems import Problem

PROJECT = "com.docker.compose.project"
DATA = "/data"  # where the containers see FACTORY_DATA

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
    def runs(self) -> bool:
        return bool(self.facts["State"]["Running"])

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
    """The containers of this checkout."""

    def __init__(self, containers: Iterable[Container]) -> None:
        self._containers = {one.service: one for one in containers}

    @property
    def runs(self) -> bool:
        return any(one.runs for one in self._containers.values())

    @property
    def data(self) -> str | None:
        """FACTORY_DATA on the host; None: no container has it."""
        return next((source for one in self._containers.values() if (source := one.source_of(DATA))), None)

    def get(self, service: str) -> Container:
        """The service's container, which runs. Raises Problem."""
        one = self._containers.get(service)
        if one is None:
            raise Problem(f"the stack has no container of {service}: docker compose up -d")
        if not one.runs:
            raise Problem(f"the stack's {service} does not run: see docker logs {one.name}, then docker compose up -d")
        return one


def running_stack(root: str) -> Stack | None:
    """The stack of the checkout `root`, if any of its containers runs. None too where the environment names another
    factory: by DATABASE_URL or DB_HOST, or by a FACTORY_DATA that is not the stack's."""
    if os.environ.get("DATABASE_URL") or os.environ.get("DB_HOST"):
        return None
    format_ = f'{{{{.ID}}}} {{{{.Label "{PROJECT}.oneoff"}}}} {{{{.Label "{PROJECT}.working_dir"}}}}'
    listed = ask_docker("ps", "--all", "--no-trunc", "--filter", f"label={PROJECT}.working_dir", "--format", format_)
    lines = [line.split(" ", 2) for line in listed.splitlines()]
    ids = [one for one, is_oneoff, folder in lines if is_oneoff != "True" and os.path.realpath(folder) == root]
    if not ids:
        return None
    # It answers for the others where one has vanished meanwhile.
    stack = Stack(Container(facts) for facts in json.loads(ask_docker("inspect", "--type=container", *ids) or "[]"))
    named = os.environ.get("FACTORY_DATA")
    if named and (stack.data is None or os.path.realpath(named) != os.path.realpath(stack.data)):
        return None
    if not stack.runs:
        say("the stack of this folder does not run (docker compose up -d starts it); going on without it")
        return None
    return stack


def ask_docker(*arguments: str) -> str:
    """What a docker command prints; nothing where it fails."""
    try:
        answer = subprocess.run(
            ["docker", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        say(f"Docker gave no answer in {_ANSWER_LIMIT:g} s; going on without it")
        return ""
    if "permission denied" in answer.stderr:
        say("this user may not ask Docker whether the stack runs (docker's group may); going on without it")
    return answer.stdout


def say(text: str) -> None:
    print(f"factory: {text}", file=sys.stderr)
