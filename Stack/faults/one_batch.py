"""Files one batch away in this one process, without readers, and ends: what `Stack.faults.steps` runs under strace.

Everything before the look at `BEGIN` is start-up, which is not stepped through. What leaves the inbox goes for good as
far as its grace allows, and what comes back into the inbox is filed too.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime

from Src.Librarian.librarian import Librarian
from Src.Librarian.passage import IncomingFile, Inspection
from Src.Librarian.read.inspection import Inspector
from Src.Librarian.read.wire import HandedOver, Later
from Src.Library.inbox import walk_files
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.disk.top import Top
from Src.Shared.settings import Settings, SettingsError, load_settings

BEGIN = "/the-steps-begin-here"


def main() -> int:
    """0 done, 2 the vault is in trouble, or what is set cannot be used."""
    try:
        settings = load_settings()
    except SettingsError as error:  # a fault of another thread, counted in this one too
        print(error, file=sys.stderr)
        return 2
    database = Database(settings)
    try:
        database.ensure_ready(1.0)
    except LedgerUnavailable as error:
        print(error, file=sys.stderr)
    inspections = read(settings)
    librarian = Librarian(settings, database)
    datetime.now(UTC)
    os.path.exists(BEGIN)
    try:
        librarian.prepare()
        while True:
            outcomes = librarian.settle(inspections)
            print(*(f"{outcome.result} {outcome.reason or ''}" for outcome in outcomes), sep="\n")
            librarian.leaving.finish()
            while librarian.leaving.is_finishing():
                time.sleep(0.01)
                librarian.leaving.finish()
            if not librarian.leaving.came_back():
                return 0
            inspections = read(settings)
    except VaultTrouble as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        librarian.close()


def read(settings: Settings) -> list[Inspection]:
    """All that is in the inbox, read."""
    inbox = Top.of(settings.inbox)
    files = [IncomingFile(path, inbox.relative(path), state, below=inbox) for path, state in walk_files(inbox)]
    with Inspector(settings.zone, settings.metadata_time_limit) as inspector:
        found = inspector.inspect(files, datetime.now(settings.zone).replace(tzinfo=None), alone=True)
    return [inspection for inspection in found if not isinstance(inspection, Later | HandedOver)]


if __name__ == "__main__":
    sys.stdout.flush()
    code = main()
    sys.stdout.flush()
    os._exit(code)
