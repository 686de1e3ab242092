"""`rebuild --missing`: gives a row to each original that stands in the vault without one."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from Src.Factory import report
from Src.Factory.batch import check_exiftool
from Src.Factory.lists import write_lists
from Src.Factory.operate import looking, operating, say_stopped
from Src.Factory.problems import Problem
from Src.Factory.progress import progress_shown
from Src.Librarian.rebuild import Listed, Rebuild, Rebuilt
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.settings import Settings
from Src.Shared.words import counted

logger = logging.getLogger(__name__)

_SHOWN = 20


def run_rebuild(settings: Settings, *, missing: bool, dry_run: bool, as_json: bool) -> int:
    """Files what is missing in the ledger; the exit code. Raises Problem."""
    if not missing:  # the whole ledger, compared with the old one, is to come
        raise Problem("rebuild: say what: --missing adds to the database what stands in the vault without a row")
    check_exiftool(settings)
    database = Database(settings, service="factory", new="of a new factory" if dry_run else "of this vault")
    try:
        with progress_shown("Rebuilding") as show_step:
            rebuild = Rebuild(settings, database, dry_run=dry_run)
            with (
                looking(show_step, rebuild.stop)
                if dry_run
                else operating(settings, database, "rebuild", {"missing": True}, show=show_step, stop=rebuild.stop)
            ) as one:
                rebuild.progress = one.progress
                done = rebuild.run()
                stopped = one.was_stopped
            if not dry_run:
                say_stopped(settings, database)
        if as_json:
            report.print_json(asdict(done))
        else:
            _print(done)
        if done.complete and not dry_run:
            write_lists(settings, database)
    finally:
        database.close()
    if stopped:
        return ExitCode.INTERRUPTED
    return ExitCode.FOUND if done.failed.count else ExitCode.WELL


def _print(done: Rebuilt) -> None:
    if not done.complete:
        report.heading("Stopped; run it again to go on." + (" Until then nothing is filed." * done.from_nothing))
    else:
        report.heading("Nothing was changed (--dry-run)." if done.dry_run else "Done.")
    report.line("in vault", counted(done.files, "file"))
    would = "would be filed" if done.dry_run else "filed"
    report.line("missing", f"{done.filed:,} {would} ({report.size(done.bytes)})")
    if done.moved:
        report.line("", f"{done.moved:,} of them moved: their row named a path where nothing stands")
    if done.companions:
        report.line("beside", f"{counted(done.companions, 'file')} beside photos {would}")
    if done.replayed:
        report.line("noted", f"{counted(done.replayed, 'note')} of what was added, recorded now")
    if done.decided:
        report.line("decisions", f"{done.decided:,} of people, from Storage/Overlay")
    kinds: list[tuple[str, Listed, str, str]] = [
        ("other day", done.other_day, "added, but they state another day than their folder's; they stay there", ""),
        ("twice", done.twice, "have the content of another original; both stay, remove one yourself", "yellow"),
        ("others", done.not_media, "are no photos or videos; they stay, and have no row", "yellow"),
        ("temporary", done.temporary, "are left of copies; the Librarian removes its own", ""),
        ("unknown", done.unknown, "are none of ours; they stay, and have no row", "yellow"),
        ("failed", done.failed, "could not be read or filed", "red"),
        ("decisions", done.undecided, "lines of Storage/Overlay cannot be read; they stay as they are", "yellow"),
        ("gone", done.gone, "originals have a row and no file: copy them back, or import them again", "red"),
    ]
    for label, listed, words, style in kinds:
        if listed.count:
            report.line(label, f"{listed.count:,} {words}", style)
    rows: list[tuple[Any, ...]] = [
        (one["path"], label, one["why"]) for label, listed, _, _ in kinds for one in listed.files[:_SHOWN]
    ]
    if rows:
        report.table(("in the vault", "", "why"), rows)
    if any(listed.count > _SHOWN for _, listed, _, _ in kinds):
        report.say("  and more; --json lists them")
