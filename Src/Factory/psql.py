"""`psql`: the ledger at the prompt, whatever mode it runs in."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence

from Src.Factory.ledger_server import local_programs
from Src.Factory.postgres_programs import missing
from Src.Shared.database import Database
from Src.Shared.settings import Settings


def run_psql(settings: Settings, arguments: Sequence[str]) -> int:
    """Runs psql; its exit code. An embedded server that is not running runs for as long as psql does."""
    database = Database(settings, service="psql")
    try:
        programs = local_programs(database)
        environment = {**os.environ, "PGAPPNAME": "psql", "PGDATABASE": programs.database, **programs.environment}
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is psql's
        try:
            return subprocess.call(programs.command("psql", *arguments), env=environment)
        except FileNotFoundError:
            raise missing("psql") from None
        finally:
            signal.signal(signal.SIGINT, before)
    finally:
        database.close()
