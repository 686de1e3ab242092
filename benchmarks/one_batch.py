"""Files one batch away in this one process, without workers, and ends: what `benchmarks.steps` runs under strace.

Everything before the look at `BEGIN` is start-up, which is not stepped through.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

from Src.Librarian.file_watcher import walk_files
from Src.Librarian.incoming import IncomingFile
from Src.Librarian.inspection import inspect, start_worker
from Src.Librarian.librarian import Librarian
from Src.Librarian.vault_trouble import VaultTrouble
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.settings import load_settings

BEGIN = "/the-steps-begin-here"


def main() -> int:
    """0 done, 2 the vault is in trouble."""
    settings = load_settings()
    database = Database(settings)
    try:
        database.ensure_ready(1.0)
    except LedgerUnavailable as error:
        print(error, file=sys.stderr)
    inbox = str(settings.inbox)
    files = [IncomingFile(path, os.path.relpath(path, inbox), state) for path, state in walk_files(inbox)]
    start_worker(settings.zone, settings.metadata_time_limit)
    findings = inspect(files)
    librarian = Librarian(settings, database)
    datetime.now(UTC)
    os.path.exists(BEGIN)
    try:
        librarian.prepare()
        outcomes = librarian.settle(findings)
        print(*(f"{outcome.result} {outcome.reason or ''}" for outcome in outcomes), sep="\n")
        return 0
    except VaultTrouble as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        librarian.close()


if __name__ == "__main__":
    sys.stdout.flush()
    code = main()
    sys.stdout.flush()
    os._exit(code)
