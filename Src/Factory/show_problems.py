"""`problems`: what needs a person, file by file, with the reason and what to do about it."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import select

from Src.Factory import report
from Src.Library.findings import WHAT_TO_DO, read_findings
from Src.Library.held_words import ADVICE, FAILED
from Src.Library.refused_rows import refused_rows
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database, asking
from Src.Shared.disk.beneath import lstat_beneath, open_beneath, open_folder
from Src.Shared.errors import ExitCode
from Src.Shared.ledger_text import from_ledger
from Src.Shared.models import InboxFile
from Src.Shared.settings import Settings

MOST = 1000  # of the originals' problems that are listed; all are counted
_KINDS = {
    **FAILED,
    "unreadable": "cannot be read",
    "link": "a link",
    "special": "not a file",
    "sidecar": "belongs to no photo here",
    "original": "a photo is not as it was added",
    "writable": "somebody may change a photo",
    "damaged": "a damaged photo was moved aside",
    "refused": "the database refuses it",
}
_GRAVE = {"original", "damaged"}  # a photo that was safe is not, or was not


@dataclass(frozen=True, slots=True)
class Trouble:
    """One file that needs a person. `path` is below the inbox or the library's folder, or whole (from an import)."""

    kind: str
    path: str
    reason: str
    fix: str


def show_problems(settings: Settings, *, as_json: bool, quiet: bool, file: str | None = None) -> int:
    """Prints each; the exit code says whether there are any, and whether a photo of the library is concerned.

    `file`: the name of a file of the inbox that belongs to no photo here, and is to be filed by itself.
    """
    if file is not None:
        from Src.Factory.file_by_itself import (
            file_by_itself,
        )  # the whole Librarian: a list of problems needs none of it

        return file_by_itself(settings, file, as_json=as_json)
    database = Database(settings, service="factory")
    try:
        database.ensure_ready()
        found = [*_of_the_inbox(settings, database), *_of_the_library(settings, database)]
    finally:
        database.close()
    if as_json:
        report.print_json({"problems": [asdict(one) for one in found]})
    elif found:
        columns = ("file", "what", "reason", "what to do")
        report.table(columns, ((one.path, _KINDS[one.kind], one.reason, one.fix) for one in found))
    elif not quiet:
        report.say("No problems.")
    if any(one.kind in _GRAVE for one in found):
        return ExitCode.ERROR
    return ExitCode.FOUND if found else ExitCode.WELL


def _of_the_inbox(settings: Settings, database: Database) -> Iterator[Trouble]:
    """Files that failed come first, then what cannot be added as it is. What is no photo is left in peace."""
    kinds = ("dead_letter", "failing", *ADVICE)
    with database.session() as session:
        rows = session.execute(
            select(InboxFile.original_path, InboxFile.state, InboxFile.last_error).where(InboxFile.state.in_(kinds))
        ).all()
    for path, state, reason in sorted(rows, key=lambda row: (kinds.index(row[1]), row[0])):
        path = from_ledger(path)
        permission = None if state in ("link", "special") else _permission(settings, path)
        if permission is not None:
            fix = permission
        elif state in ADVICE:
            fix = ADVICE[state]
        elif state == "failing":
            fix = "nothing: it is tried again by itself; ./factory retry does so now"
        else:
            fix = "fix the reason, then ./factory retry"
        yield Trouble(state, path, reason or "unknown", fix)


def _permission(settings: Settings, path: str) -> str | None:
    """What lets this user read a file or folder that it may not; None where that is not what is wrong.

    The way there goes through no link, as when files are taken in.
    """
    is_whole = path.startswith("/")
    below = path.lstrip("/")
    try:
        top = open_folder(Path("/") if is_whole else settings.inbox)
    except OSError:
        return None
    owner = None
    try:
        owner = _user(lstat_beneath(top, below).st_uid)
        os.close(open_beneath(top, below, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        return None
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM):
            return None
    finally:
        os.close(top)
    whose = f"it is of {owner}" if owner is not None else "it is in a folder that this user may not enter"
    return (
        f"{whose}, and this runs as {_user(os.geteuid())}: give that user the right to read it (chmod, chown), or run "
        "as its owner (in the stack: PUID)"
    )


def _of_the_library(settings: Settings, database: Database) -> Iterator[Trouble]:
    with database.session() as session:
        findings = read_findings(asking(session), MOST)
    for one in findings.first:
        kind = "writable" if one.finding == "writable" else "original"
        yield Trouble(kind, one.final_path, one.message, WHAT_TO_DO[one.finding])
    vault = Vault(settings.storage)
    try:
        for path in vault.damaged.listed():
            fix = "check the disk; look at the file, and delete it yourself"
            yield Trouble("damaged", path, "its bytes had changed, and a good copy took its place", fix)
        for row in refused_rows(vault.state):
            fix = "after an update, or when the reason is gone: ./factory retry"
            yield Trouble("refused", from_ledger(row.path), row.reason, fix)
    except (OSError, VaultTrouble) as error:
        yield Trouble("damaged", str(settings.storage), f"cannot be looked at: {error}", "check its disk")


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} (user {number})"
    except KeyError:
        return f"user {number}"
