"""The signed lists of the photos at the end of a command, behind its report: a person may end that with Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.exc import DBAPIError

from Src.Factory.operate import stoppable
from Src.Factory.progress import Step, progress_shown
from Src.Librarian.watch.inbox_lock import InboxLock
from Src.Library.custody.manifests.days import are_marked_within
from Src.Library.custody.manifests.events.sealing import are_waiting_within
from Src.Library.custody.manifests.keeping import manifests_now
from Src.Shared.database import Database
from Src.Shared.errors import FactoryError
from Src.Shared.settings import Settings

_SLACK = 60.0  # seconds: to reach the database takes its time


@contextmanager
def lists_after(settings: Settings, database: Database, are_due: Callable[[], bool]) -> Iterator[None]:
    """Behind the block they are brought up to date; where it failed, if it had changed anything by then."""
    began = time.monotonic()
    try:
        yield
    except FactoryError:
        if are_due() and _has_changed(database, time.monotonic() - began):
            write_lists(settings, database)
        raise
    if are_due():
        write_lists(settings, database)


def _has_changed(database: Database, seconds: float) -> bool:
    """Whether anything was changed of which a list or a seal speaks, here or by another, in the last seconds."""
    try:
        with database.session() as session:
            within = seconds + _SLACK
            return are_marked_within(session, within) or are_waiting_within(session, within)
    except (FactoryError, DBAPIError):
        return False


def write_lists(settings: Settings, database: Database) -> None:
    """Raises nothing. Where a Librarian runs, it writes them within a minute."""
    if librarian_runs(settings):
        return
    with progress_shown("Signing lists") as show_step, stoppable(lambda: None) as stopped:
        manifests_now(
            settings, database, stopped=lambda: bool(stopped), progress=lambda done, all_: show_step(Step(done, all_))
        )


def librarian_runs(settings: Settings) -> bool:
    """Or another command that ingests, which writes them in the end."""
    lock = InboxLock(settings.inbox, settings.state / "librarian.lock")
    try:
        with suppress(OSError):  # of a folder that cannot be opened: none runs there
            return settings.inbox.is_dir() and not lock.acquire()
        return False
    finally:
        lock.release()
