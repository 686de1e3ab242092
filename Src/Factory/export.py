"""`export`: originals to a folder outside the factory."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from Src.Factory import report
from Src.Factory.batch import check_exiftool
from Src.Factory.operate import stoppable
from Src.Factory.problems import Problem
from Src.Factory.progress import Step, progress_shown
from Src.Library.export.destination import Destination, ExportRefused
from Src.Library.export.exporting import Export, Exported
from Src.Library.export.wanted import Load, Wanted, load_of, wanted
from Src.Library.selection.selection import Selection, read_selection
from Src.Library.vault import Vault
from Src.Media.exiftool_program import exiftool_here
from Src.Media.tagging import Tagger
from Src.Shared import words
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.settings import Settings


def run_export(
    settings: Settings,
    *,
    selection: str,
    destination: str,
    copy: bool,
    link: bool,
    metadata: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Exports them, or says what would be exported; the exit code.

    Raises SelectionError, ExportRefused, VaultTrouble, Problem.
    """
    if link and copy:
        raise Problem("export: --link and --copy are two ways; give one")
    if link and metadata:
        raise Problem("export: --with-metadata writes into copies, and a link is the original itself; leave out --link")
    meant = read_selection(selection, settings.zone, datetime.now(UTC))
    vault = Vault(settings.storage)
    vault.check()
    target = Destination(Path(destination), settings)
    if link and target.path.stat().st_dev != vault.originals.stat().st_dev:
        raise ExportRefused(f"{target.path}: is on another filesystem than the vault; export without --link")
    database = Database(settings, service="factory")
    try:
        database.ensure_ready()
        with database.session() as session:
            load = load_of(session, meant.condition)
        if dry_run:
            return _print_load(meant, target.path, load, as_json=as_json)
        with contextlib.ExitStack() as opened:
            opened.enter_context(target)
            tagger = opened.enter_context(_tagger(settings, target)) if metadata else None
            export = Export(database, vault, target, link=link, tagger=tagger)
            _run(export, wanted(database, meant.condition), load)
    finally:
        database.close()
    return _print_exported(meant, target.path, load, export.exported, as_json=as_json)


def _tagger(settings: Settings, target: Destination) -> Tagger:
    check_exiftool(settings)
    is_used = exiftool_here(trust_any_version=settings.exiftool_unsafe).is_used
    return Tagger(target.scratch_path, is_used=is_used)


def _run(export: Export, originals: Any, load: Load) -> None:
    with progress_shown("Exporting") as show, stoppable(export.stop):
        size = 0

        def progress(one: Wanted, so_far: Exported) -> None:
            nonlocal size
            failed = f"{len(so_far.failed):,} failed" if so_far.failed else ""
            show(Step(so_far.originals, load.originals, size, load.bytes, one.final_path, failed))
            size += one.size

        export.run(originals, progress)


def _print_load(meant: Selection, target: Path, load: Load, *, as_json: bool) -> int:
    if as_json:
        found = {"selection": meant.text, "means": meant.words, "originals": load.originals, "bytes": load.bytes}
        report.print_json({**found, "destination": str(target), "dry_run": True})
    else:
        how_many = f"{words.counted(load.originals, 'original')}, {words.size(load.bytes)}"
        report.say(f"This means: {meant.words}. {how_many}. Nothing was exported (--dry-run).")
    return ExitCode.WELL if load.originals else ExitCode.FOUND


def _print_exported(meant: Selection, target: Path, load: Load, done: Exported, *, as_json: bool) -> int:
    if as_json:
        report.print_json(
            {
                "selection": meant.text,
                "means": meant.words,
                "destination": str(target),
                "originals": load.originals,
                "copied": done.copied,
                "linked": done.linked,
                "there": done.there,
                "with_metadata": done.with_metadata,
                "sidecars": done.sidecars,
                "companions": done.companions,
                "bytes": done.bytes,
                "failed": [{"path": path, "reason": reason} for path, reason in done.failed],
                "notes": [{"path": path, "reason": reason} for path, reason in done.notes],
                "stopped": done.stopped,
            }
        )
    else:
        _print_words(target, load, done)
    if done.stopped == "interrupted":
        return ExitCode.INTERRUPTED
    is_well = load.originals and not (done.failed or done.notes or done.stopped)
    return ExitCode.WELL if is_well else ExitCode.FOUND


def _print_words(target: Path, load: Load, done: Exported) -> None:
    report.line("destination", str(target))
    report.line("originals", f"{load.originals:,}")
    for label, number in (
        ("copied", done.copied),
        ("linked", done.linked),
        ("were there", done.there),
        ("with metadata", done.with_metadata),
        ("sidecars", done.sidecars),
        ("companions", done.companions),
    ):
        if number:
            report.line(label, f"{number:,}")
    if done.failed:
        report.line("not exported", f"{len(done.failed):,}", "red")
        report.table(("original", "why"), done.failed)
    if done.notes:
        report.table(("exported, but", "why"), done.notes)
    if done.stopped == "interrupted":
        report.say("Stopped; run it again to go on.")
    elif done.stopped is not None:
        report.line("stopped", done.stopped, "red")
