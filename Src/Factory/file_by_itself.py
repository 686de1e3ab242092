"""`problems --file`: a file that belongs to a photo which never came is filed when a person says so."""

from __future__ import annotations

from Src.Factory import report
from Src.Factory.batch import run_ingest
from Src.Factory.problems import Problem
from Src.Librarian.watch.inbox_lock import InboxLock
from Src.Library.held_files import ask_to_file
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.settings import Settings


def file_by_itself(settings: Settings, name: str, *, as_json: bool) -> int:
    """Has a file of the inbox filed that belongs to no photo here.

    Where a Librarian runs it takes the file up; otherwise it is filed here. Raises Problem.
    """
    database = Database(settings, service="factory")
    try:
        database.ensure_ready()
        found = ask_to_file(database, name)
    finally:
        database.close()
    if not found:
        raise Problem(f"no file of that name waits in the inbox for its photo: {name}; see ./factory problems")
    if len(found) > 1:
        raise Problem(f"several files have that name; say which: {', '.join(found)}")
    lock = InboxLock(settings.inbox, settings.state / "librarian.lock")
    try:
        is_served = settings.inbox.is_dir() and not lock.acquire()
    finally:
        lock.release()
    if not is_served:
        return run_ingest(settings, as_json=as_json)
    if as_json:
        report.print_json({"asked": found, "running": True})
    else:
        report.say(f"{found[0]}: filed by the librarian within seconds.")
    return ExitCode.WELL
