"""`psql`: the ledger at the prompt, whatever mode it runs in."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence

from sqlalchemy.engine import make_url

from Src.Factory.problems import Problem
from Src.Shared.database import Database
from Src.Shared.settings import Settings


def run_psql(settings: Settings, arguments: Sequence[str]) -> int:
    """Runs psql; its exit code. An embedded server that is not running runs for as long as psql does."""
    database = Database(settings, service="psql")
    try:
        url = make_url(database.url)
        if database.embedded is not None:
            program = str(database.embedded.bin / "psql")
        else:
            found = shutil.which("psql")
            if found is None:
                raise Problem("psql is not installed; install it (Debian: apt install postgresql-client)")
            program = found
        # The password goes by the environment: a command line is for all to see.
        environment = dict(os.environ, PGAPPNAME="psql")
        parts = {
            "PGHOST": url.query.get("host") or url.host,
            "PGPORT": str(url.port) if url.port else None,
            "PGUSER": url.username,
            "PGPASSWORD": str(url.password) if url.password else None,
            "PGDATABASE": url.database,
        }
        environment.update({name: str(value) for name, value in parts.items() if value})
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is psql's
        try:
            return subprocess.call([program, *arguments], env=environment)
        finally:
            signal.signal(signal.SIGINT, before)
    finally:
        database.close()
