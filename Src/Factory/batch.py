"""`ingest`, `import` and `retry`: runs that end, with a progress bar and a report."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from Src.Factory import report
from Src.Librarian.importer import Importer
from Src.Librarian.inbox_lock import InboxLock
from Src.Librarian.inbox_register import ask_for_retry
from Src.Librarian.service import InboxService
from Src.Librarian.tally import Tally
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

INTERRUPTED = 130


def run_ingest(settings: Settings, *, as_json: bool) -> int:
    """One pass through the inbox; the exit code."""
    with _ledger(settings) as database, _bar("Ingesting") as bar:

        def show(tally: Tally, waiting: int) -> None:
            bar(tally, tally.files, tally.files + waiting, tally.bytes, None)

        service = InboxService(settings, database, once=True, progress=show)
        with _stoppable(service.stop) as stopped:
            service.run()
        away = _still_away(service.ledger_away)
    return _report(service.tally, as_json=as_json, stopped=bool(stopped), away=away)


def run_import(settings: Settings, sources: Sequence[Path], *, move: bool, as_json: bool) -> int:
    """Imports; the exit code."""
    with _ledger(settings) as database, _bar("Importing") as bar:
        total_files = total_bytes = 0

        def show(tally: Tally, done: int) -> None:
            bar(tally, tally.files, total_files, done, total_bytes)

        importer = Importer(settings, database, sources, move=move, progress=show)
        with _stoppable(importer.stop) as stopped:
            load = importer.workload()
            total_files, total_bytes = load.files, load.bytes
            importer.run()
        away = _still_away(importer.ledger_away)
    return _report(importer.tally, as_json=as_json, stopped=bool(stopped), away=away)


def run_retry(settings: Settings, *, as_json: bool) -> int:
    """Makes failed files due now. Where a Librarian runs it takes them up; otherwise they are tried here."""
    with _ledger(settings) as database:
        database.ensure_ready()
        count = ask_for_retry(database)
        lock = InboxLock(settings.inbox, settings.state / "librarian.lock")
        try:
            running = settings.inbox.is_dir() and not lock.acquire()
        finally:
            lock.release()
    if count and not running:
        return run_ingest(settings, as_json=as_json)
    if as_json:
        report.print_json({"asked": count, "running": running})
    elif count:
        report.out.print(f"{count} failed files will be tried again by the running Librarian within seconds.")
    else:
        report.out.print("No file has failed; nothing to try again.")
    return 0


@contextmanager
def _ledger(settings: Settings) -> Iterator[Database]:
    if shutil.which("exiftool") is None:
        logger.warning(
            "ExifTool is missing: dates, places and cameras of many kinds of files cannot be read; install it first "
            "(Debian: apt install libimage-exiftool-perl)"
        )
    database = Database(settings, service="factory")
    try:
        try:
            database.ensure_ready()  # here an embedded server may take its time to start
        except LedgerUnavailable as error:
            logger.warning("the ledger is away, rows go to the journal: %s", error)
        yield database
    finally:
        database.close()


def _still_away(reason: str | None) -> str | None:
    return None if reason is None else f"the ledger is away, rows wait in the journal beside the vault: {reason}"


@contextmanager
def _stoppable(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM end the run soon and cleanly; the list yielded then holds the signal's number."""
    received: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


Show = Callable[[Tally, int, int, int, int | None], None]


@contextmanager
def _bar(title: str) -> Iterator[Show]:
    """A progress bar where somebody looks at it; otherwise nothing."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda *_: None
        return
    logging.getLogger().setLevel(max(logging.getLogger().level, logging.WARNING))
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        _Count(),
        _Speed(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[counts]}"),
        console=console,
        transient=True,
    ) as progress:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(sys.stderr)  # Rich's own by now: warnings appear above the bar
        task = progress.add_task(title, total=None, counts="", done_bytes=0)

        def show(tally: Tally, done: int, files: int, done_bytes: int, _total: int | None) -> None:
            counts = f"{tally.duplicates:,} duplicates" if tally.duplicates else ""
            if tally.failed:
                counts += f"{', ' if counts else ''}{tally.failed:,} failed"
            progress.update(task, completed=done, total=files, counts=counts, done_bytes=done_bytes)

        try:
            yield show
        finally:
            progress.stop()
            for handler in logging.getLogger().handlers:
                if isinstance(handler, logging.StreamHandler):
                    handler.setStream(sys.stderr)


class _Count(ProgressColumn):
    """Files done of all; before they are counted, only that."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f}/{task.total:,.0f}" if task.total is not None else "counting")


class _Speed(ProgressColumn):
    """Files and megabytes per second since the beginning."""

    def render(self, task: Task) -> Text:
        elapsed = task.elapsed or 0.0
        if not task.completed or elapsed <= 0:
            return Text("")
        return Text(f"{task.completed / elapsed:,.0f} files/s {task.fields['done_bytes'] / elapsed / 1e6:,.0f} MB/s")


def _report(tally: Tally, *, as_json: bool, stopped: bool, away: str | None) -> int:
    result: dict[str, Any] = dict(tally.report())
    if as_json:
        report.print_json(result)
    else:
        seconds = max(float(result["seconds"]), 0.001)
        rate = f"{tally.files / seconds:,.0f} files/s, {report.size(tally.bytes / seconds)}/s"
        report.heading("Stopped; run it again to go on." if stopped else "Done.")
        report.line("new", f"{tally.new:,}")
        report.line("duplicates", f"{tally.duplicates:,}")
        if tally.restored:
            report.line("restored", f"{tally.restored:,}")
        report.line("not media", f"{tally.unsupported:,}")
        report.line("failed", f"{tally.failed:,}", "red" if tally.failed else "")
        report.line("in all", f"{report.size(tally.bytes)} in {seconds:,.1f} s ({rate})")
    if away is not None:
        logger.warning("%s", away)
    if stopped:
        return INTERRUPTED
    return 1 if tally.failed else 0
