"""`redate`: other dates for originals, which move to the folders of their new days."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Text

from Src.Factory import report
from Src.Factory.acting import acting, carry_out, hashes_of, tell, tell_none
from Src.Factory.problems import Problem
from Src.Library.file_acts import FileActs
from Src.Library.redating import Date, Redate, read_shift, set_parameters, shift_parameters
from Src.Library.selection.selection import read_selection
from Src.Shared.errors import ExitCode
from Src.Shared.models import Act, MediaAsset
from Src.Shared.person import login_name
from Src.Shared.settings import Settings
from Src.Shared.words import counted

_SHOWN = 20


def run_redate(
    settings: Settings,
    *,
    selection: str,
    shift: str | None,
    set_to: str | None,
    every: str | None,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Redates what a selection means; the exit code. Raises SelectionError, DateRefused, Problem, LedgerUnavailable."""
    if (shift is None) == (set_to is None):
        raise Problem("redate: say what: --shift -7:12 moves all dates, --set '2019-07-04 12:30:00' gives one")
    if every is not None and set_to is None:
        raise Problem("redate: --every is for a sequence that begins with --set")
    given = shift_parameters(read_shift(shift)) if shift is not None else set_parameters(set_to or "", every)
    meant = read_selection(selection, settings.zone, datetime.now(UTC))
    said = {"kind": "redate", "selection": meant.text, "means": meant.words, "dry_run": dry_run}
    with acting(settings) as file_acts:
        with file_acts.session() as session:
            hashes = hashes_of(session, meant)
            if not hashes:
                return tell_none(meant, "original", as_json=as_json)
            if dry_run:
                return _preview(settings, session, hashes, given, said, as_json=as_json)

        def begin(session: Session, file_acts: FileActs) -> Act:
            return file_acts.begin(session, "redate", login_name(), hashes, given, selection=selection)

        progress, stopped = carry_out(file_acts, begin, "Redating")
        return tell(progress, stopped, said, "redated", as_json=as_json)


def _preview(
    settings: Settings,
    session: Session,
    hashes: list[str],
    given: dict[str, Any],
    said: dict[str, Any],
    *,
    as_json: bool,
) -> int:
    deed = Redate({**given, "hashes": hashes}, datetime.now(settings.zone).replace(tzinfo=None))
    deed.check(session, hashes)
    asset = MediaAsset
    columns = (
        *(asset.file_hash, asset.final_path),
        *(asset.captured_at, asset.captured_at_offset, asset.date_source, asset.date_precision),
    )
    rows = session.execute(select(*columns).where(asset.file_hash == any_(literal(hashes, ARRAY(Text))))).all()
    of_hash = {row[0]: (row[1], Date(*row[2:])) for row in rows}
    changes = []
    for sha256 in hashes:
        if sha256 not in of_hash:
            continue
        path, now = of_hash[sha256]
        new = deed.new_date(sha256, now)
        assert new is not None
        to = f"Originals/{new.captured_at.year:04d}/{new.captured_at.date().isoformat()}"
        line = {"path": path, "hash": sha256, "before": now.captured_at, "after": new.captured_at, "folder": to}
        changes.append({**line, "moves": not path.startswith(f"{to}/")})
    if as_json:
        report.print_json({**said, "meant": len(changes), "changes": changes})
        return ExitCode.WELL
    moving = sum(bool(one["moves"]) for one in changes)
    report.say(
        f"This means: {said['means']}. {counted(len(changes), 'original')}; {moving:,} would move to another day."
    )
    report.table(
        ("original", "taken", "would be", "in"),
        ((one["path"], one["before"], one["after"], one["folder"]) for one in changes[:_SHOWN]),
    )
    if len(changes) > _SHOWN:
        report.line("", f"and {len(changes) - _SHOWN:,} more; --json lists them")
    report.say("Nothing was changed (--dry-run).")
    return ExitCode.WELL
