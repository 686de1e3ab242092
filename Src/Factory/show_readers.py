"""`status --readers`: which files ExifTool was asked about, and why; each such file takes longer."""

from __future__ import annotations

from collections import Counter

from Src.Factory import report
from Src.Media.readers import readings
from Src.Media.readers.readings import Readings
from Src.Shared import words
from Src.Shared.errors import ExitCode
from Src.Shared.ledger_look import look_into_ledger
from Src.Shared.services import LIBRARIAN
from Src.Shared.settings import Settings

_NONE = "No file was read since the Librarian started."
_DOES_NOT_RUN = "No Librarian runs: it counts while it does. `ingest --json` and `import --json` report what they read."
_DETAILS = "SELECT last_heartbeat, details FROM system_status WHERE service_name = %(name)s"


def show_readers(settings: Settings, *, as_json: bool) -> ExitCode:
    """Prints what the running Librarian has counted. Raises LedgerUnavailable."""
    with look_into_ledger(settings, "factory") as ask:
        rows = ask(_DETAILS, {"name": LIBRARIAN})
    counts = {at: details["readings"] for at, details in rows if details is not None and "readings" in details}
    as_of, counted = max(counts, default=None), readings.from_json(counts.values())
    if as_json:
        report.print_json({"as_of": as_of, "readings": readings.as_json(counted)})
    elif as_of is None:
        report.say(_DOES_NOT_RUN)
    elif not counted:
        report.say(_NONE)
    else:
        report.heading(f"What read the photos and videos since the Librarian started (counted {report.ago(as_of)})")
        _print(counted)
    return ExitCode.WELL


def share(counted: Readings) -> str:
    """By whom the files were read, in words."""
    total, asked = counted.total(), sum(count for one, count in counted.items() if one.handed_over is not None)
    return f"{words.counted(total, 'file')}, {1 - asked / total:.1%} of them by fast readers, {asked:,} with ExifTool"


def _print(counted: Readings) -> None:
    report.line("all", share(counted))
    total: Counter[str] = Counter()
    fast: Counter[str] = Counter()
    for (kind, reason), count in counted.items():
        total[kind] += count
        fast[kind] += count if reason is None else 0
    report.table(
        ("kind", "files", "by fast readers", "with ExifTool"),
        (
            (kind, f"{count:,}", f"{fast[kind]:,} ({fast[kind] / count:.1%})", f"{count - fast[kind]:,}")
            for kind, count in total.most_common()
        ),
    )
    reasons = [(one, count) for one, count in counted.most_common() if one.handed_over is not None]
    if reasons:
        rows = ((f"{count:,}", one.kind, one.handed_over) for one, count in reasons)
        report.table(("with ExifTool", "kind", "because of"), rows)
