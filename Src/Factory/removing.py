"""`remove` and `trash`: originals go to the trash, come back, or go for good."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from Src.Factory import report
from Src.Factory.acting import acting, carry_out, hashes_of, short_list, tell, tell_none
from Src.Factory.problems import Problem
from Src.Library.file_acts import FileActs
from Src.Library.selection.selection import Selection, read_selection
from Src.Library.trash import in_trash
from Src.Shared.errors import ExitCode
from Src.Shared.models import Act, MediaAsset
from Src.Shared.person import login_name
from Src.Shared.settings import Settings
from Src.Shared.words import counted

_HOW = "trash: say what: list, restore SELECTION, or empty [SELECTION]"
_ALL = "*"
_SHOWN = 20


def run_remove(settings: Settings, *, selection: str, as_json: bool, dry_run: bool) -> int:
    """Moves what a selection means to the trash; the exit code. Raises SelectionError, LedgerUnavailable."""
    meant = _read(settings, selection)
    said = {"kind": "remove", "selection": meant.text, "means": meant.words, "dry_run": dry_run}
    with acting(settings) as file_acts:
        with file_acts.session() as session:
            hashes = hashes_of(session, meant)
            if not hashes:
                return tell_none(meant, "original", as_json=as_json)
            if dry_run:
                asked = select(MediaAsset.final_path).where(meant.condition).order_by(MediaAsset.captured_at)
                paths = list(session.execute(asked.limit(_SHOWN)).scalars())
                return _would(said, len(hashes), paths, "would go to the trash", as_json=as_json)

        def begin(session: Session, file_acts: FileActs) -> Act:
            return file_acts.begin(session, "remove", login_name(), hashes, selection=selection)

        progress, stopped = carry_out(file_acts, begin, "Removing")
        return tell(progress, stopped, said, "moved to the trash", as_json=as_json)


def run_trash(
    settings: Settings, *, words: Sequence[str], yes: bool, really: bool, as_json: bool, dry_run: bool
) -> int:
    """`list`, which no word means too, `restore SELECTION` or `empty [SELECTION]`; the exit code.

    Raises Problem, SelectionError.
    """
    action, *rest = words or ("list",)
    if len(rest) > 1 or (action == "restore" and not rest) or action not in ("list", "restore", "empty"):
        raise Problem(_HOW)
    meant = _read(settings, rest[0] if rest else _ALL)
    with acting(settings) as file_acts:
        with file_acts.session() as session:
            items = _items(session, meant)
        if action == "list":
            return _list(settings, items, as_json=as_json)
        if not items and meant.text.strip() == _ALL and not as_json:
            report.say("The trash is empty.")
            return ExitCode.FOUND
        if not items:
            return tell_none(meant, "original in the trash", as_json=as_json)
        said = {"kind": action, "selection": meant.text, "means": meant.words, "dry_run": dry_run}
        paths = [one["path"] for one in items]
        if dry_run:
            what = "would come back" if action == "restore" else "would go for good"
            return _would(said, len(items), paths, what, as_json=as_json)
        given: dict[str, Any] = {}
        if action == "empty":
            if not _is_meant(items, yes=yes, really=really):
                report.say("Nothing was deleted.")
                return ExitCode.FOUND
            given = {"really": True}

        def begin(session: Session, file_acts: FileActs) -> Act:
            hashes = [one["hash"] for one in items]
            return file_acts.begin(session, action, login_name(), hashes, given, selection=meant.text)

        if action == "restore":
            progress, stopped = carry_out(file_acts, begin, "Restoring")
            return tell(progress, stopped, said, "restored", as_json=as_json)
        progress, stopped = carry_out(file_acts, begin, "Emptying the trash")
        return tell(progress, stopped, said, "deleted for good", as_json=as_json, can_undo=False)


def _read(settings: Settings, selection: str) -> Selection:
    return read_selection(selection, settings.zone, datetime.now(UTC))


def _items(session: Session, meant: Selection) -> list[dict[str, Any]]:
    names = ("hash", "path", "size", "removed_at", "removed_by", "stood_at", "is_backed_up")
    return [dict(zip(names, row, strict=True)) for row in session.execute(in_trash(meant))]


def _list(settings: Settings, items: Sequence[dict[str, Any]], *, as_json: bool) -> int:
    total = sum(one["size"] for one in items)
    if as_json:
        report.print_json({"trash": items, "originals": len(items), "bytes": total})
    elif items:
        rows = (
            (
                one["removed_at"].astimezone(settings.zone).strftime("%Y-%m-%d %H:%M"),
                one["removed_by"],
                one["path"],
                report.size(one["size"]),
            )
            for one in items
        )
        report.table(("removed", "by", "in the trash", "size"), rows)
        report.say(f"{counted(len(items), 'original')}, {report.size(total)}.")
    else:
        report.say("The trash is empty.")
    return ExitCode.WELL


def _would(said: dict[str, Any], count: int, paths: Sequence[str], what: str, *, as_json: bool) -> int:
    if as_json:
        report.print_json({**said, "meant": count})
    else:
        report.say(f"This means: {said['means']}. {counted(count, 'original')} {what}:")
        short_list(paths)
        if count > len(paths):
            report.line("", f"and {count - len(paths):,} more")
        report.say("Nothing was changed (--dry-run).")
    return ExitCode.WELL


def _is_meant(items: Sequence[dict[str, Any]], *, yes: bool, really: bool) -> bool:
    """Whether a person has said twice that these are to go for good. Raises Problem where nobody can be asked."""
    if yes and really:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Problem("trash: to empty it asks twice; where nobody can answer, --yes --really says both")
    without = sum(not one["is_backed_up"] for one in items)
    report.heading("These would be deleted for good; nothing brings them back:")
    short_list([one["path"] for one in items])
    report.line("in all", f"{counted(len(items), 'original')}, {report.size(sum(one['size'] for one in items))}")
    report.line("copies", f"of {without:,} of them no copy is known", "yellow" if without else "")
    if not yes and input("Delete them? Type yes: ").strip().lower() != "yes":
        return False
    return input(f"Really? Type how many originals are to go ({len(items)}): ").strip() == str(len(items))
