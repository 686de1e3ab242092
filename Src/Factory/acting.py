"""How the commands carry out acts that touch files: who has the turn, what killed runs have left, and what is said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from Src.Factory import report
from Src.Factory.decide import LONG, mirror
from Src.Factory.lists import lists_after
from Src.Factory.operate import stoppable
from Src.Factory.progress import Step, progress_shown
from Src.Library.belonging import Belonging
from Src.Library.file_acts import FileActs, Progress
from Src.Library.selection.selection import Selection
from Src.Library.vault import Vault
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.errors import ExitCode, FactoryError
from Src.Shared.models import Act, MediaAsset
from Src.Shared.settings import Settings
from Src.Shared.words import counted

logger = logging.getLogger(__name__)

_WORTH_TELLING = 2.0
_STAYING = 20  # that are named

Begin = Callable[[Session, FileActs], Act]


@contextmanager
def acting(settings: Settings, *, lists: bool = True) -> Iterator[FileActs]:
    """The vault and its ledger, ready for acts. Raises WrongLedger, VaultTrouble, LedgerUnavailable.

    `lists`: behind an act the signed lists are brought up to date; what is said of it is said before.
    """
    vault = Vault(settings.storage)
    database = Database(settings, service="factory", answer_limit=LONG)
    try:
        database.ensure_ready()
        vault.check()
        belonging = Belonging(settings, vault)
        belonging.establish(database)
        file_acts = FileActs(vault, database, settings.zone, belonging)
        with lists_after(settings, database, lambda: lists and file_acts.have_begun):
            yield file_acts
            mirror(settings, database)
    finally:
        database.close()


def hashes_of(session: Session, meant: Selection) -> list[str]:
    """The originals that are meant, as they were taken."""
    asked = select(MediaAsset.file_hash).where(meant.condition).order_by(MediaAsset.captured_at, MediaAsset.id)
    return list(session.execute(asked).scalars())


def carry_out(file_acts: FileActs, begin: Begin, title: str) -> tuple[Progress, bool]:
    """Begins an act and carries it out; what came of it, and whether a person stopped it.

    What killed runs have left is finished first. Raises FactoryError.
    """
    told = False

    def waiting(seconds: float) -> None:
        nonlocal told
        if seconds > _WORTH_TELLING and not told:
            logger.warning("waiting for another command or the Librarian, which moves files")
            told = True

    with file_acts.turn(waiting), progress_shown(title) as show_step, stoppable(lambda: None) as stopped:
        file_acts.have_begun = True
        for act_id in file_acts.open_acts():
            _finish(file_acts, act_id)
        with file_acts.session() as session:
            act = begin(session, file_acts)
        steps = file_acts.steps(act.id)
        progress = Progress(act.id, len(act.parameters["hashes"]))
        for progress in steps:
            show_step(Step(progress.done, progress.wanted))
            if stopped and progress.done + len(progress.stay) < progress.wanted:
                steps.close()
                file_acts.give_up(progress)
                return progress, True
    return progress, False


def _finish(file_acts: FileActs, act_id: Any) -> None:
    """One act that a run before has not finished. That it cannot be is no reason not to begin another."""
    try:
        for _ in file_acts.steps(act_id):
            pass
        logger.warning("finished act %s, which had been begun before", act_id)
    except LedgerUnavailable:
        raise
    except FactoryError as error:
        logger.error("the act %s, which had been begun before, has failed: %s", act_id, error)


def tell(
    progress: Progress, stopped: bool, said: dict[str, Any], done: str, *, as_json: bool, can_undo: bool = True
) -> ExitCode:
    """Prints what came of an act; the exit code. `done`: as `moved to the trash`."""
    if as_json:
        stay = [{"hash": sha256, "reason": reason} for sha256, reason in progress.stay.items()]
        counts = {"meant": progress.wanted, "done": progress.done, "stay": stay, "stopped": stopped}
        report.print_json({**said, **counts, "act": str(progress.act)})
    else:
        report.say(f"{counted(progress.wanted, 'original')}, {progress.done:,} {done}.")
        for sha256, reason in list(progress.stay.items())[:_STAYING]:
            report.line("stays", f"{sha256[:12]}: {reason}", "yellow")
        if len(progress.stay) > _STAYING:
            report.line("", f"and {len(progress.stay) - _STAYING:,} more stay")
        if progress.done and can_undo:
            report.say(f"./factory undo takes it back ({progress.act}).")
    if stopped:
        return ExitCode.INTERRUPTED
    return ExitCode.FOUND if progress.stay or not progress.wanted else ExitCode.WELL


def tell_none(meant: Selection, what: str, *, as_json: bool) -> ExitCode:
    """The selection means nothing: nothing is done, and that is no act."""
    if as_json:
        report.print_json({"selection": meant.text, "means": meant.words, "meant": 0, "done": 0})
    else:
        report.say(f"This means: {meant.words}. No {what}.")
    return ExitCode.FOUND


def short_list(paths: Sequence[str]) -> None:
    """The first names, and how many more there are."""
    for path in paths[:_STAYING]:
        report.line("", path)
    if len(paths) > _STAYING:
        report.line("", f"and {len(paths) - _STAYING:,} more")
