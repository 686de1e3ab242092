"""How soon a command answers: what it loads is what it waits for. Nothing here is about seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from Src.Shared.errors import ExitCode
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.settings import PROJECT_ROOT, Settings

WRITERS = {"sqlalchemy", "alembic", "rich", "magic", "exiftool", "watchdog", "requests", "docker"}
_LOADED = "import sys; from Src.Factory.cli import main; code = main(sys.argv[1:]); print(*sys.modules); sys.exit(code)"


def loaded(settings: Settings, ledger: Path, *words: str) -> set[str]:
    """The packages that a command has loaded when it ends; in `ledger` an embedded server runs."""
    environment = {
        **{name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ},
        "PYTHONPATH": str(PROJECT_ROOT),
        "FACTORY_DATA": str(settings.data),
        "FACTORY_DB_DATA": str(ledger),
        "DASHBOARD_PORT": "0",
    }
    command = [sys.executable, "-c", _LOADED, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.WELL, done.stderr
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_what_loads_nothing_and_what_does(
    factory_settings: Settings, ledger_server: EmbeddedPostgres, session_postgres_folder: Path
) -> None:
    ledger = session_postgres_folder / "db"
    for words in (["--help"], ["--version"], ["status", "--help"]):
        assert loaded(factory_settings, ledger, *words).isdisjoint(
            {"sqlalchemy", "psycopg2", "rich", "dotenv", "zoneinfo"}
        )

    loaded(factory_settings, ledger, "status")  # makes the tables, with all that takes
    for words in (["status"], ["status", "--json"]):
        found = loaded(factory_settings, ledger, *words)
        assert "psycopg2" in found
        # With these it took three times as long.
        assert found.isdisjoint(
            {"sqlalchemy", "alembic", "rich", "magic", "exiftool", "watchdog", "requests", "docker"}
        )
