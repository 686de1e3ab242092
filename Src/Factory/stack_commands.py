"""The commands against the running stack: `docker exec` and its kin, hidden.

Nothing but the standard library: who runs the stack needs no .venv.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from Src.Factory.backup import run_backup, run_restore
from Src.Factory.postgres_programs import PostgresPrograms
from Src.Factory.problems import Problem, one_line
from Src.Factory.stack import Container, Stack, ask_docker, running_stack, say
from Src.Factory.stack_import import import_into_stack

_ANY = ("", "0.0.0.0", "::")
_LOOPBACK = ("127.0.0.1", "::1")
_SECRETS = "/run/factory-secrets"
_AS_OWNER = 'export PGUSER="$POSTGRES_USER" PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" && exec "$@"'
_PASSWORDS = (  # whose, user, service, file, service and port of its address
    ("dashboard", None, "dashboard", "dashboard_password", ("gate", "8501/tcp")),
    ("syncthing", "factory", "syncthing", "syncthing_gui_password", ("syncthing", "8384/tcp")),
)


def run_in_stack(root: str, arguments: Sequence[str]) -> int | None:
    """Runs a command against the stack of the checkout `root`; its exit code. None: it is not for the stack."""
    command = _COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        return None
    try:
        stack = running_stack(root)
        return None if stack is None else command(stack, arguments)
    except Problem as problem:
        print(one_line(problem), file=sys.stderr)
        return 2


# In a container that is there


def _in_librarian(stack: Stack, arguments: Sequence[str]) -> NoReturn:
    _exec(stack.get("librarian"), "python", "-m", "Src.Factory", *arguments)


def _phone(stack: Stack, arguments: Sequence[str]) -> NoReturn:
    host, port = stack.get("syncthing").published("22000/tcp") or ("", "22000")
    if host in _LOOPBACK:
        say("phones cannot reach this Syncthing: set SYNC_ADDRESS=0.0.0.0 in .env, then docker compose up -d")
    address = f"tcp://{_host(host)}:{port}"
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


def _host(published: str) -> str:
    """The address to enter elsewhere for one that a port is published on."""
    if published not in _ANY:
        return f"[{published}]" if ":" in published else published
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks which way it would go
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


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
    for whose, user, service, file, (door, port) in _PASSWORDS:
        password = ask_docker("exec", stack.get(service).id, "cat", f"{_SECRETS}/{file}").strip()
        if not password:
            raise Problem(f"password: {whose}: {_SECRETS}/{file} cannot be read in its container")
        published = stack.get(door).published(port)
        address = published and f"http://{_host(published[0])}:{published[1]}/"
        found[whose] = {"address": address, "user": user, "password": password}
    if options.json:
        print(json.dumps(found))
        return 0
    for whose, one in found.items():
        words = (one["address"], f"user {one['user']}" if one["user"] else None, f"password {one['password']}")
        print(f"  {whose:<12}{', '.join(filter(None, words))}")
    return 0


def _up(_stack: Stack, _arguments: Sequence[str]) -> NoReturn:
    raise Problem("up: the stack of this folder runs, which is the factory: docker compose down ends it")


_COMMANDS: dict[str, Callable[[Stack, Sequence[str]], int]] = {
    **dict.fromkeys(("status", "find", "ingest", "retry"), _in_librarian),
    "import": import_into_stack,
    "phone": _phone,
    "psql": _psql,
    "backup": _backup,
    "restore": _restore,
    "password": _password,
    "up": _up,
}
