"""The commands by which a person decides about what a selection means: `rate`, `tag`, `hide`, ..."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from Src.Factory import report
from Src.Factory.lists import lists_after
from Src.Factory.problems import Problem
from Src.Library.overlay import changes
from Src.Library.overlay.changes import Decision, carry_out
from Src.Library.overlay.keeping import may_decide, mirror_now
from Src.Library.selection.selection import read_selection
from Src.Library.xmp.keeping import write_some
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.person import login_name
from Src.Shared.settings import Settings
from Src.Shared.words import counted

logger = logging.getLogger(__name__)

LONG = 600.0  # seconds that one statement may take: a selection may mean the whole library
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_POSITION = re.compile(rf"\s*({_NUMBER})\s*,\s*({_NUMBER})\s*")


def rate(settings: Settings, *, selection: str, rating: str, as_json: bool, dry_run: bool) -> int:
    return decide(settings, changes.rate(_whole(rating, "rate")), selection, as_json=as_json, dry_run=dry_run)


def favourite(settings: Settings, *, selection: str, off: bool, as_json: bool, dry_run: bool) -> int:
    return decide(settings, changes.favour(off), selection, as_json=as_json, dry_run=dry_run)


def place(settings: Settings, *, selection: str, position: str, as_json: bool, dry_run: bool) -> int:
    found = _POSITION.fullmatch(position)
    if found is None:
        raise Problem(f"place: {position!r} is no position; write latitude and longitude, as -33.8568,151.2153")
    decision = changes.place(float(found[1]), float(found[2]))
    return decide(settings, decision, selection, as_json=as_json, dry_run=dry_run)


def tag(settings: Settings, *, selection: str, words: Sequence[str], remove: bool, as_json: bool, dry_run: bool) -> int:
    return decide(settings, changes.tag(words, remove=remove), selection, as_json=as_json, dry_run=dry_run)


def title(settings: Settings, *, selection: str, text: str, as_json: bool, dry_run: bool) -> int:
    return decide(settings, changes.title(text), selection, as_json=as_json, dry_run=dry_run)


def describe(settings: Settings, *, selection: str, text: str, as_json: bool, dry_run: bool) -> int:
    return decide(settings, changes.describe(text), selection, as_json=as_json, dry_run=dry_run)


def rotate(settings: Settings, *, selection: str, degrees: str, as_json: bool, dry_run: bool) -> int:
    return decide(settings, changes.rotate(_whole(degrees, "rotate")), selection, as_json=as_json, dry_run=dry_run)


def hide(settings: Settings, *, selection: str, off: bool, as_json: bool, dry_run: bool) -> int:
    return decide(settings, changes.hide(off), selection, as_json=as_json, dry_run=dry_run)


def decide(settings: Settings, decision: Decision, selection: str, *, as_json: bool, dry_run: bool) -> int:
    """Carries a decision out and prints what came of it. FOUND: the selection means nothing.

    Raises SelectionError, DecisionRefused, WrongLedger, LedgerUnavailable.
    """
    meant = read_selection(selection, settings.zone, datetime.now(UTC))
    with deciding(settings, dry_run=dry_run) as database:
        with database.session() as session:
            done = carry_out(session, decision, meant.condition, who=login_name(), selection=selection, dry_run=dry_run)
            act = None if done.act is None else str(done.act.id)
        if as_json:
            said = {"kind": decision.kind, "selection": meant.text, "means": meant.words, "dry_run": dry_run}
            report.print_json({**said, "meant": done.meant, "changed": done.changed, "act": act})
        else:
            would = "would change" if dry_run else "changed"
            report.say(f"This means: {meant.words}. {counted(done.meant, 'original')}, {done.changed:,} {would}.")
            if act is not None:
                report.say(f"./factory undo takes it back ({act}).")
    return ExitCode.WELL if done.meant else ExitCode.FOUND


@contextmanager
def deciding(settings: Settings, *, dry_run: bool) -> Iterator[Database]:
    """The ledger for an act; behind it what is new stands beside the vault too, or a warning says why not."""
    database = Database(settings, service="factory", answer_limit=LONG)
    try:
        database.ensure_ready()
        if not dry_run:
            may_decide(settings, database)
        with lists_after(settings, database, lambda: not dry_run):
            yield database
            if not dry_run:
                mirror(settings, database)
    finally:
        database.close()


def mirror(settings: Settings, database: Database) -> None:
    """What was decided stands beside the vault too; a warning says why it does not yet."""
    trouble = mirror_now(settings, database)
    if trouble is not None:
        logger.warning(
            "the database has it, and it does not stand beside the vault yet: %s; the Librarian tries again", trouble
        )
    else:
        write_some(settings, database)


def _whole(said: str, command: str) -> int:
    if not re.fullmatch(r"\d{1,9}", said):
        raise Problem(f"{command}: {said!r} is no whole number")
    return int(said)
