"""`status` against the stack. The host sees the containers, also those that do not start, and `.env`; the librarian's
container says the rest."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from Src.Factory.commands.status import STATUS
from Src.Factory.stack.containers import Container, Stack, run_docker
from Src.Factory.stack.docker_errors import explained, plain
from Src.Factory.stack.execution import FACTORY, address_of, call, in_container, run_factory
from Src.Shared.env_names import unknown_names
from Src.Shared.errors import ExitCode
from Src.Shared.services import SERVICES, SYNCTHING

_ONCE = ("move-in", "init", "migrate")  # they end by themselves; without them nothing starts
_LOG_LIMIT = 10.0  # seconds
_ANSWER_LIMIT = 120.0  # seconds that the librarian's container may take


@dataclass(frozen=True)
class Trouble:
    """A container that is not as it should be."""

    service: str
    found: str
    reason: str  # its own last words, or Docker's; empty: neither says anything
    fix: str


def show_status(stack: Stack, *, as_json: bool, quiet: bool, readers: bool) -> int:
    """Prints how the stack is; the exit code. Works while containers do not. `readers`: only what has read the files.

    Raises Problem.
    """
    if readers:
        run_factory(
            stack.get("librarian"), STATUS.name, STATUS.words({"as_json": as_json, "quiet": quiet, "readers": True})
        )
    troubles = list(_troubles(stack))
    env = os.path.join(stack.root, ".env")
    warnings_of_env = [*_warnings_of_env(env), *unknown_names(Path(env), Path(stack.root))]
    librarian = next((one for one in stack if one.service == "librarian"), None)
    answers = librarian is not None and librarian.runs and not any(one.service == "librarian" for one in troubles)
    code: int = ExitCode.ERROR if troubles else ExitCode.FOUND if warnings_of_env else ExitCode.WELL
    if as_json:
        inner, its_code = _asked(librarian) if librarian is not None and answers else ({}, ExitCode.WELL)
        code = max(code, its_code)
        warnings = [*inner.get("warnings", []), *warnings_of_env]
        state = "OK" if code == ExitCode.WELL else "WARNING" if code == ExitCode.FOUND else "ERROR"
        containers = [asdict(one) for one in troubles]
        said = {**inner, "state": state, "warnings": warnings, "containers": containers}
        print(json.dumps(said))  # all ASCII: nothing in it steers a terminal
        return code
    for one in troubles:
        _print(one.service, f"{one.found}{f': {one.reason}' if one.reason else ''}")
        _print("", one.fix)
    for sentence in warnings_of_env:
        _print("WARNING", sentence)
    if librarian is not None and answers:
        words = STATUS.words({"as_json": False, "quiet": quiet, "readers": False})
        code = max(code, call(in_container(librarian, *FACTORY, STATUS.name, *words)))
    elif not quiet:
        _print("", "what is in the library is not shown while the librarian does not run; photos wait in the inbox")
    if not quiet:
        _print_where(stack)
    return code


def _print(about: str, words: str) -> None:
    print(f"  {about:<15} {plain(words)}")


def _print_where(stack: Stack) -> None:
    """Prints where the dashboard is and where photos go, which a first start leaves open."""
    published = stack.get("gate").published("8501/tcp") if _runs(stack, "gate") else None
    if published is not None:
        address = f"http://{address_of(published[0])}:{published[1]}"
        print(f"Dashboard: {address} (./factory password shows its password)")
    if stack.data is not None:
        print(f"Drop photos into {plain(os.path.join(stack.data, 'Photos_Inbox'))}")


def _runs(stack: Stack, service: str) -> bool:
    return any(one.service == service and one.runs for one in stack)


def _asked(librarian: Container) -> tuple[dict[str, Any], int]:
    """What the command in the container answers, and its exit code."""
    command = in_container(librarian, *FACTORY, STATUS.name, "--json")
    try:
        done = run_docker(
            *[word for word in command[1:] if word not in ("--tty", "--interactive")], limit=_ANSWER_LIMIT
        )
        found = json.loads(done.stdout)
        return (found if isinstance(found, dict) else {}), done.returncode
    except (subprocess.TimeoutExpired, ValueError):
        return {}, ExitCode.ERROR


def _troubles(stack: Stack) -> Iterator[Trouble]:
    """What does not run though it should, in the order of the services."""
    found = {one.service: one for one in stack}
    wanted = [*_ONCE, *(service.name for service in SERVICES)]
    for name in [*wanted, *sorted(found.keys() - set(wanted))]:
        one = found.get(name)
        if one is not None:
            trouble = _trouble(one)
            if trouble is not None:
                yield trouble
        elif name not in (*_ONCE, SYNCTHING):  # which a stack may do without
            yield Trouble(name, "has no container", "", "docker compose up -d makes it")


def _trouble(one: Container) -> Trouble | None:
    state = one.facts["State"]
    code, restarts = state.get("ExitCode", 0), one.facts.get("RestartCount", 0)
    fix = f"fix that (settings are in .env), then docker compose up -d; docker logs {one.name} has all it said"
    if state.get("Restarting") or (one.runs and restarts and _health(one) == "starting"):
        why = "it got no memory (its limit is mem_limit in the compose file)" if state.get("OOMKilled") else _said(one)
        return Trouble(one.service, f"RESTARTS again and again ({restarts} times, exit code {code})", why, fix)
    if state.get("Paused"):
        return Trouble(one.service, "is PAUSED", "", f"docker unpause {one.name}")
    if one.runs:
        if _health(one) != "unhealthy":
            return None
        look = (state["Health"].get("Log") or [{}])[-1].get("Output", "")
        restart = f"docker restart {one.name}; docker logs {one.name} has what it said"
        return Trouble(one.service, "is UNHEALTHY", " ".join(look.split()), restart)
    if one.service in _ONCE and code == 0 and not state.get("Error"):
        return None
    if state.get("Error"):
        return Trouble(one.service, "does NOT START", explained(state["Error"]), fix)
    if state.get("Status") == "created":
        return Trouble(one.service, "has NOT STARTED", "it waits for others", "docker compose up -d")
    return Trouble(one.service, f"does NOT RUN (exit code {code})", _said(one) if code else "", fix)


def _health(one: Container) -> str:
    return str((one.facts["State"].get("Health") or {}).get("Status", ""))


def _said(one: Container) -> str:
    """The last line of its log that says something; services name the setting that they cannot use."""
    try:
        answer = run_docker("logs", "--tail", "20", one.id, limit=_LOG_LIMIT)
    except subprocess.TimeoutExpired:
        return ""
    lines = [line.strip() for line in (answer.stdout + answer.stderr).splitlines() if line.strip()]
    return plain(lines[-1]) if lines else ""


def _warnings_of_env(path: str) -> list[str]:
    """As `Src/Shared/openness.py` does; the containers do not see the file."""
    with suppress(OSError):
        if os.stat(path).st_mode & stat.S_IROTH:
            return [f"everybody on this machine may read {path}, where passwords may be: chmod o-r it"]
    return []
