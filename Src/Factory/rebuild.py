"""`rebuild`: the database anew from the vault; `rebuild --missing`: rows for originals that have none."""

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
from Src.Librarian.rebuild_whole import RebuiltWhole, UndoneRebuild, WholeRebuild
from Src.Library.rebuilding.beside import ANSWER_LIMIT
from Src.Library.rebuilding.differences import Differences
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.ledger_way import NewLedger
from Src.Shared.settings import Settings
from Src.Shared.words import counted

logger = logging.getLogger(__name__)

_SHOWN = 20
_WORDS = {
    "added": ("stand in the vault and were not in the database", ""),
    "corrected": ("were other in the database than in the vault", ""),
    "stays": ("only the database says; that stays", ""),
    "twice": ("stand in the vault twice; the row stays", ""),
    "removed": ("stand in the vault, though a person has removed them; they get no row", "yellow"),
    "meanwhile": ("were changed while this worked, and stay as they are now; run this again to compare them", ""),
    "gone": ("have a row and no file: copy them back, or import them again; their rows stay", "red"),
    "other bytes": ("are not what their rows say: ./factory verify; their rows stay", "red"),
    "put back": ("are again as they were before the rebuild", ""),
    "not put back": ("were changed since the rebuild, and stay as they are now", "yellow"),
}


def run_rebuild(
    settings: Settings,
    *,
    missing: bool,
    dry_run: bool,
    as_json: bool,
    undo: bool = False,
    trust_cache: bool = False,
) -> int:
    """Does one of the three; the exit code. Raises Problem."""
    if undo:
        if missing or trust_cache or dry_run:
            raise Problem("rebuild: --undo takes nothing with it but --json")
        return _undo(settings, as_json=as_json)
    check_exiftool(settings)
    if missing:
        if trust_cache:
            raise Problem("rebuild: --missing reads only what has no row: there is nothing to trust")
        return _missing(settings, dry_run=dry_run, as_json=as_json)
    return _whole(settings, trust_cache=trust_cache, dry_run=dry_run, as_json=as_json)


def _missing(settings: Settings, *, dry_run: bool, as_json: bool) -> int:
    database = Database(settings, service="factory", new=_new(dry_run))
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


def _whole(settings: Settings, *, trust_cache: bool, dry_run: bool, as_json: bool) -> int:
    database = Database(settings, service="factory", answer_limit=ANSWER_LIMIT, new=_new(dry_run))
    parameters = {"missing": False, "trust_cache": trust_cache}
    try:
        with progress_shown("Rebuilding") as show_step:
            rebuild = WholeRebuild(settings, database, dry_run=dry_run, trust_cache=trust_cache)
            # (a dry run reads beside the ledger too: one heavy operation works at a time)
            with operating(
                settings, database, "rebuild", {**parameters, "dry_run": dry_run}, show=show_step, stop=rebuild.stop
            ) as one:
                rebuild.progress = one.progress
                whole = rebuild.run()
                stopped = one.was_stopped
            say_stopped(settings, database)
        if as_json:
            report.print_json(_as_json(whole))
        else:
            _print_whole(whole, dry_run)
        if whole.placed:
            write_lists(settings, database)
    finally:
        database.close()
    if stopped and not whole.placed:
        return ExitCode.INTERRUPTED
    found = whole.rebuilt.failed.count or whole.differences.wrong or (dry_run and whole.differences.changes)
    return ExitCode.FOUND if found else ExitCode.WELL


def _undo(settings: Settings, *, as_json: bool) -> int:
    database = Database(settings, service="factory", answer_limit=ANSWER_LIMIT)
    try:
        found = UndoneRebuild(settings, database).run()
        if as_json:
            report.print_json({"undone": True, "differences": found.as_json()})
        else:
            report.heading("Done: the database is what it was before the last rebuild.")
            _print_differences(found)
        write_lists(settings, database)
    finally:
        database.close()
    return ExitCode.FOUND if found.counts["not put back"] else ExitCode.WELL


def _new(dry_run: bool) -> NewLedger:
    return "of a new factory" if dry_run else "of this vault"


def _as_json(whole: RebuiltWhole) -> dict[str, Any]:
    return {
        **asdict(whole.rebuilt),
        "placed": whole.placed,
        "resumed": whole.resumed,
        "in_place": whole.in_place,
        "differences": whole.differences.as_json(),
    }


def _print_whole(whole: RebuiltWhole, dry_run: bool) -> None:
    done = whole.rebuilt
    if whole.in_place:
        _print(done)
        _print_differences(whole.differences)
        return
    if not done.complete:
        report.heading("Stopped; run it again to go on. The database is as it was.")
    elif dry_run:
        report.heading("The database is as it was (--dry-run).")
    else:
        report.heading("Done: the database is what the vault says.")
    report.line("in vault", counted(done.files, "file"))
    if done.believed:
        report.line("not read", f"{counted(done.believed, 'file')}, unchanged since they were last right")
    if done.decided:
        report.line("decisions", f"{done.decided:,} of people, from Storage/Overlay")
    _print_listed(done)
    if not done.complete:
        return
    if not whole.differences.counts.total():
        report.line("differences", "none")
    _print_differences(whole.differences)
    if whole.placed and whole.differences.changes:
        report.say("  ./factory rebuild --undo brings back what was replaced.")


def _print_differences(found: Differences) -> None:
    for what, (words, style) in _WORDS.items():
        if found.counts[what]:
            report.line(what, f"{found.counts[what]:,} {words}", style)
    if found.first:
        rows = [(one.name, f"{one.kind} {one.what}", _change(one.before, one.after)) for one in found.first[:_SHOWN]]
        report.table(("", "", "from, to"), rows)
    if found.counts.total() > _SHOWN:
        report.say(f"  and more; all are in {found.report}")


def _change(before: Any, after: Any) -> str:
    columns = sorted({*(before or {}), *(after or {})})
    return "; ".join(
        f"{column}: {(before or {}).get(column)} -> {(after or {}).get(column)}" for column in columns[:3]
    ) + ("; …" if len(columns) > 3 else "")


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
    _print_listed(done)


def _print_listed(done: Rebuilt) -> None:
    kinds: list[tuple[str, Listed, str, str]] = [
        ("other day", done.other_day, "state another day than their folder's; they stay there", ""),
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
