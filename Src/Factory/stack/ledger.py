"""`psql`, `backup` and `restore` against the stack: PostgreSQL's programs in its container, the file here."""

from __future__ import annotations

import subprocess
import sys
from typing import NoReturn

from Src.Factory.backup import run_backup, run_restore
from Src.Factory.postgres_programs import PostgresPrograms
from Src.Factory.problems import Problem
from Src.Factory.stack.containers import Container, Stack
from Src.Factory.stack.docker_errors import explained, is_dockers
from Src.Factory.stack.execution import FACTORY, run
from Src.Factory.stack.host_paths import run_once

_AS_OWNER = 'export PGUSER="$POSTGRES_USER" PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" && exec "$@"'


def run_psql(stack: Stack, arguments: list[str]) -> NoReturn:
    """Becomes psql, in the server's container. Raises Problem."""
    server = stack.get("factory-db")
    environment = {"PGDATABASE": _ledger(server), "PGAPPNAME": "psql"}
    run(server, "sh", "-c", _AS_OWNER, "sh", "psql", *arguments, environment=environment, reads=True)


def backup(stack: Stack, *, file: str, force: bool, as_json: bool) -> int:
    """Writes a backup of the ledger; the exit code. Raises Problem."""
    return run_backup(_programs(stack), file, force=force, as_json=as_json)


def restore(stack: Stack, *, file: str, force: bool, as_json: bool) -> int:
    """Replaces the ledger by a backup; the exit code. Raises Problem."""
    librarian = stack.get("librarian")

    def migrate(database: str) -> None:
        done = run_once(librarian, "migrate", {"DB_DATABASE_NAME": database})  # as the owner, who no service is
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["the schema cannot be brought up to date"]
            said = explained(done.stderr) if is_dockers(lines[-1]) else lines[-1]
            raise Problem(f"restore: {file}: {said.removeprefix('factory: ').removeprefix('database: ')}")

    code = run_restore(_programs(stack), file, force=force, as_json=as_json, migrate=migrate)
    if code == 0:
        command = ("docker", "exec", librarian.id, *FACTORY, "restored")
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)  # it warns, if need be
    return code


def _programs(stack: Stack) -> PostgresPrograms:
    server = stack.get("factory-db")
    prefix = ("docker", "exec", "--interactive", server.id, "sh", "-c", _AS_OWNER, "sh")
    return PostgresPrograms(database=_ledger(server), prefix=prefix)


def _ledger(server: Container) -> str:
    return server.environment["POSTGRES_DB"]
