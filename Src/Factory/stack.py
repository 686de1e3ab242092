"""The commands against the running stack: `docker exec` and its kin, hidden.

The stack of this checkout, while any of its containers runs, is the factory that is meant, unless the environment names
another one: by DATABASE_URL or DB_HOST, or by a FACTORY_DATA that is not the stack's.

Nothing but the standard library: who runs the stack needs no .venv.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NoReturn

from Src.Factory.backup import run_backup, run_restore
from Src.Factory.postgres_programs import PostgresPrograms
from Src.Factory.problems import Problem, one_line

_ANSWER_LIMIT = 30.0  # seconds that Docker may take to say what runs
_PROJECT = "com.docker.compose.project"
_DATA = "/data"  # where the containers see FACTORY_DATA
_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var")
_LOOPBACK = ("127.0.0.1", "::1")
_SECRETS = "/run/factory-secrets"
_AS_OWNER = 'export PGUSER="$POSTGRES_USER" PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" && exec "$@"'
_PASSWORDS = (  # whose, service, file, container's port
    ("dashboard", "dashboard", "dashboard_password", ("gate", "8501/tcp")),
    ("syncthing", "syncthing", "syncthing_gui_password", ("syncthing", "8384/tcp")),
)


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
        return next((source for one in self._containers.values() if (source := one.source_of(_DATA))), None)

    def get(self, service: str) -> Container:
        """The service's container, which runs. Raises Problem."""
        one = self._containers.get(service)
        if one is None:
            raise Problem(f"the stack has no container of {service}: docker compose up -d")
        if not one.runs:
            raise Problem(f"the stack's {service} does not run: see docker logs {one.name}, then docker compose up -d")
        return one


def run_in_stack(root: str, arguments: Sequence[str]) -> int | None:
    """Runs a command against the stack of the checkout `root`; its exit code. None: it is not for the stack."""
    command = _COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        return None
    try:
        stack = _running_stack(root)
        return None if stack is None else command(stack, arguments)
    except Problem as problem:
        print(one_line(problem), file=sys.stderr)
        return 2


# Finding it


def _running_stack(root: str) -> Stack | None:
    if os.environ.get("DATABASE_URL") or os.environ.get("DB_HOST"):
        return None
    format_ = f'{{{{.ID}}}} {{{{.Label "{_PROJECT}.oneoff"}}}} {{{{.Label "{_PROJECT}.working_dir"}}}}'
    listed = _ask_docker("ps", "--all", "--no-trunc", "--filter", f"label={_PROJECT}.working_dir", "--format", format_)
    lines = [line.split(" ", 2) for line in listed.splitlines()]
    ids = [one for one, is_oneoff, folder in lines if is_oneoff != "True" and os.path.realpath(folder) == root]
    if not ids:
        return None
    # One that vanishes meanwhile is left out, and told about.
    stack = Stack(Container(facts) for facts in json.loads(_ask_docker("inspect", "--type=container", *ids) or "[]"))
    named = os.environ.get("FACTORY_DATA")
    if named and (stack.data is None or os.path.realpath(named) != os.path.realpath(stack.data)):
        return None
    if not stack.runs:
        _say("the stack of this folder does not run (docker compose up -d starts it); going on without it")
        return None
    return stack


def _ask_docker(*arguments: str) -> str:
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
        _say(f"Docker gave no answer in {_ANSWER_LIMIT:g} s; going on without it")
        return ""
    if "permission denied" in answer.stderr:
        _say("this user may not ask Docker whether the stack runs (docker's group may); going on without it")
    return answer.stdout


def _say(text: str) -> None:
    print(f"factory: {text}", file=sys.stderr)


# Commands that run in a container


def _in_librarian(stack: Stack, arguments: Sequence[str]) -> NoReturn:
    _exec(stack.get("librarian"), "python", "-m", "Src.Factory", *arguments)


def _phone(stack: Stack, arguments: Sequence[str]) -> NoReturn:
    host, _ = stack.get("syncthing").published("22000/tcp") or ("", "")
    if host in _LOOPBACK:
        _say("phones reach this Syncthing only by relays, which is slow; SYNC_ADDRESS=0.0.0.0 in .env opens it to them")
    address = _address_in_network() if _is_any(host) else host
    monitor = stack.get("service-monitor")
    _exec(monitor, "python", "-m", "Src.Factory", *arguments, environment={"FACTORY_HOST_ADDRESS": address})


def _psql(stack: Stack, arguments: Sequence[str]) -> NoReturn:
    server = stack.get("factory-db")
    database = server.environment["POSTGRES_DB"]
    command = ("sh", "-c", _AS_OWNER, "sh", "psql", *arguments[1:])
    _exec(server, *command, environment={"PGDATABASE": database, "PGAPPNAME": "psql"}, reads=True)


def _exec(
    container: Container, *command: str, environment: dict[str, str] | None = None, reads: bool = False
) -> NoReturn:
    """Becomes `docker exec`. `reads`: the command takes its input from ours, also where that is no terminal."""
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    options = ["--interactive", "--tty"] if on_terminal else ["--interactive"] if reads else []
    for name, value in (environment or {}).items():
        options += ["--env", f"{name}={value}"]
    sys.stdout.flush()
    os.execvp("docker", ["docker", "exec", *options, container.id, *command])


def _is_any(address: str) -> bool:
    return address in ("", "0.0.0.0", "::")


def _address_in_network() -> str:
    """This machine's address in its network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks which way it would go
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


# Import: a container of its own, which sees the sources too


def _import(stack: Stack, arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="factory import", description="Import photos and videos into the stack.")
    parser.add_argument("sources", metavar="SRC", nargs="+", help="folders or files")
    parser.add_argument("--move", action="store_true", help="remove each source file once it is safe")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments[1:])
    librarian = stack.get("librarian")
    sources = [_existing(source) for source in options.sources]
    folders = {path if path.is_dir() else path.parent for path in sources}
    seen_as = {folder: _seen_as(folder, librarian) for folder in folders}
    inside = [str(seen_as[path] if path in seen_as else seen_as[path.parent] / path.name) for path in sources]
    flags = [f"--{name}" for name in ("move", "json") if getattr(options, name)]
    mounts = [
        {
            "type": "bind",
            "source": _no_variables(folder),
            "target": _no_variables(target),
            "read_only": not options.move,
            "bind": {"create_host_path": False},
        }
        for folder, target in seen_as.items()
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as more:
        json.dump({"services": {"librarian": {"volumes": mounts}}}, more)
        more.flush()
        run = [*_compose(librarian, more.name), "run", "--rm", "--no-deps"]
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            run.append("--no-TTY")
        run += ["librarian", "python", "-m", "Src.Factory", "import", *flags, "--", *inside]
        return _call(run, {**os.environ, **_as_started(librarian)})


def _existing(source: str) -> Path:
    if not source:  # as of an unset variable; a path of it would be the folder we are in
        raise Problem("import: a source is empty; give a folder or a file")
    try:
        path = Path(source).resolve(strict=True)
        str(path).encode()
    except OSError as error:
        raise Problem(f"import: {source}: {error.strerror}") from error
    except UnicodeEncodeError:
        raise Problem(f"import: {source!r}: Docker takes only names in UTF-8; import the folder above it") from None
    return path


def _seen_as(folder: Path, container: Container) -> PurePosixPath:
    """Where the container sees a folder of the host: under the same name, so that what is told and recorded is
    the host's, unless something of its own is there."""
    taken = [Path(mount["Destination"]) for mount in container.facts["Mounts"]]
    taken += [Path(path) for path in (container.facts["Config"]["WorkingDir"] or "/", *_SYSTEM)]
    hidden = [*taken, *map(Path, container.facts["HostConfig"].get("Tmpfs") or ())]
    if any(folder.is_relative_to(path) for path in taken) or any(path.is_relative_to(folder) for path in hidden):
        return PurePosixPath("/import", *folder.parts[1:])
    return PurePosixPath(folder)


def _no_variables(path: PurePath) -> str:
    return str(path).replace("$", "$$")


def _compose(container: Container, *more_files: str) -> list[str]:
    """`docker compose` for the project as it was started."""
    labels = container.labels
    command = ["docker", "compose", "--progress=quiet", f"--project-name={labels[_PROJECT]}"]
    command.append(f"--project-directory={labels[f'{_PROJECT}.working_dir']}")
    for file in (*labels[f"{_PROJECT}.config_files"].split(","), *more_files):
        command += ["--file", file]
    for file in filter(None, labels.get(f"{_PROJECT}.environment_file", "").split(",")):
        command += ["--env-file", file]
    return command


def _as_started(container: Container) -> dict[str, str]:
    """What decides which files are worked on, and as whom, may have been set only in the shell of that day."""
    user, _, group = container.facts["Config"]["User"].partition(":")
    found = {"FACTORY_DATA": container.source_of(_DATA), "PUID": user, "PGID": group}
    return {name: value for name, value in found.items() if value}


def _call(command: Sequence[str], environment: dict[str, str]) -> int:
    """Runs a command that deals with Ctrl-C itself; other signals are handed on."""
    process = subprocess.Popen(command, env=environment)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: process.send_signal(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return process.wait()


# Backup and restore: PostgreSQL's programs in its container, the file here


def _backup(stack: Stack, arguments: Sequence[str]) -> int:
    options = _backup_options(arguments, "write a backup of the stack's ledger", "replace FILE where it exists")
    return run_backup(_programs(stack), options.file, force=options.force, as_json=options.json)


def _restore(stack: Stack, arguments: Sequence[str]) -> int:
    options = _backup_options(arguments, "replace the stack's ledger by a backup", "even where it holds originals")
    librarian = stack.get("librarian").id

    def migrate(database: str) -> None:
        command = ("docker", "exec", "--env", f"DB_DATABASE_NAME={database}", librarian)
        done = subprocess.run(
            [*command, "python", "-m", "Src.Factory", "migrate"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["the schema cannot be brought up to date"])[-1]
            raise Problem(f"restore: {options.file}: {said.removeprefix('factory: ').removeprefix('ledger: ')}")

    return run_restore(_programs(stack), options.file, force=options.force, as_json=options.json, migrate=migrate)


def _backup_options(arguments: Sequence[str], description: str, force: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"factory {arguments[0]}", description=description)
    parser.add_argument("file", metavar="FILE", help="- for a pipe")
    parser.add_argument("--force", action="store_true", help=force)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments[1:])


def _programs(stack: Stack) -> PostgresPrograms:
    server = stack.get("factory-db")
    return PostgresPrograms(
        database=server.environment["POSTGRES_DB"],
        prefix=("docker", "exec", "--interactive", server.id, "sh", "-c", _AS_OWNER, "sh"),
    )


# Others


def _password(stack: Stack, arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="factory password", description="Show the passwords of the stack's pages.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments[1:])
    found = {}
    for whose, service, file, (door, port) in _PASSWORDS:
        answer = _ask_docker("exec", stack.get(service).id, "cat", f"{_SECRETS}/{file}").strip()
        if not answer:
            raise Problem(f"password: {whose}: {_SECRETS}/{file} cannot be read in its container")
        host, number = stack.get(door).published(port) or ("", "")
        address = f"http://{_address_in_network() if _is_any(host) else host}:{number}/" if number else None
        found[whose] = {"address": address, "password": answer}
    if options.json:
        print(json.dumps(found))
    else:
        for whose, one in found.items():
            print(f"  {whose:<12}{one['password']}  {one['address'] or ''}".rstrip())
    return 0


def _up(_stack: Stack, _arguments: Sequence[str]) -> NoReturn:
    raise Problem("up: the stack of this folder runs, which is the factory: docker compose down ends it")


_COMMANDS: dict[str, Callable[[Stack, Sequence[str]], int]] = {
    **dict.fromkeys(("status", "find", "ingest", "retry"), _in_librarian),
    "import": _import,
    "phone": _phone,
    "psql": _psql,
    "backup": _backup,
    "restore": _restore,
    "password": _password,
    "up": _up,
}
