"""`ingest`, `import` and `retry`: runs that end, with a progress bar and a report."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from Src.Factory import report
from Src.Factory.import_report import ImportReport
from Src.Factory.lists import librarian_runs, lists_after
from Src.Factory.operate import absolute, looking, operating, say_stopped, stoppable
from Src.Factory.progress import Step, progress_shown
from Src.Factory.summary import print_summary, print_ways_on
from Src.Librarian.importer import Importer
from Src.Librarian.passage import Account
from Src.Librarian.record.journal import Journal
from Src.Librarian.record.recorder import Recorder
from Src.Librarian.service import InboxService
from Src.Librarian.tally import Tally
from Src.Library.belonging import Belonging, WrongLedger
from Src.Library.hash_cache import CacheUse
from Src.Library.held_files import ask_for_retry
from Src.Library.held_words import failed_words
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Media.exiftool_program import exiftool_here
from Src.Media.readers import readings
from Src.Media.readers.readings import Readings
from Src.Shared.database import Database, LedgerRefused, LedgerUnavailable
from Src.Shared.errors import ExitCode
from Src.Shared.logs import escaped
from Src.Shared.settings import Settings
from Src.Shared.words import counted

logger = logging.getLogger(__name__)

_DRY = "Nothing was changed (--dry-run)."


def run_ingest(settings: Settings, *, as_json: bool) -> int:
    """One pass through the inbox; the exit code."""
    with _ledger(settings) as database:
        with progress_shown("Ingesting") as show_step:

            def show(tally: Tally, waiting: int) -> None:
                show_step(Step(tally.files, tally.files + waiting, tally.bytes, notes=_notes(tally)))

            service = InboxService(settings, database, once=True, progress=show)
            with stoppable(service.stop) as stopped:
                service.run()
            away = _still_away(service.ledger_away)
            if away is None:
                say_stopped(settings, database)
        return _report(service.tally, service.readings, as_json=as_json, stopped=bool(stopped), away=away)


def run_import(
    settings: Settings,
    *,
    sources: Sequence[str],
    move: bool,
    as_json: bool,
    dry_run: bool = False,
    report_file: str | None = None,
) -> int:
    """Imports, or only tells what an import would do; the exit code."""
    with _ledger(settings, only_look=dry_run) as database:
        with ExitStack() as opened:
            told: list[Callable[[Account], None]] = [_print_account] if dry_run and not as_json else []
            if report_file is not None:
                told.append(opened.enter_context(ImportReport(Path(report_file), settings.storage)).add)
            show_step = opened.enter_context(progress_shown("Importing"))

            def tell(account: Account) -> None:
                for one in told:
                    one(account)

            paths = [Path(source) for source in sources]
            importer = Importer(settings, database, paths, move=move, dry_run=dry_run, told=tell if told else None)
            given = {
                "sources": [absolute(source) for source in sources],
                "move": move,
                "report_file": report_file and absolute(report_file),
            }
            stopped, trouble = False, None
            try:
                with (
                    looking(show_step, importer.stop)
                    if dry_run
                    else operating(settings, database, "import", given, show=show_step, stop=importer.stop)
                ) as one:
                    importer.progress = one.progress
                    importer.workload()
                    importer.run()
                    stopped = one.was_stopped
            except VaultTrouble as error:
                if not importer.tally.entries:  # nothing was done
                    raise
                trouble = error
            away = _still_away(importer.ledger_away)
            if not dry_run and away is None:
                say_stopped(settings, database)
        code = _report(
            importer.tally,
            importer.readings,
            as_json=as_json,
            stopped=stopped,
            away=away,
            dry_run=dry_run,
            cache=importer.cache_use,
            trouble=trouble,
        )
        if not as_json:
            print_ways_on(importer.tally, report_file)
        return code


def _notes(tally: Tally) -> str:
    duplicates = counted(tally.duplicates, "duplicate") if tally.duplicates else ""
    failed = f"{tally.failed:,} failed" if tally.failed else ""
    return ", ".join(filter(None, (duplicates, failed)))


def _print_account(account: Account) -> None:
    where = f" -> {account.where}" if account.where is not None else ""
    reason = f" ({account.reason})" if account.reason else ""
    print(f"{account.fate:<10} {escaped(f'{account.path}{where}{reason}')}")


def run_retry(settings: Settings, *, as_json: bool) -> int:
    """Makes failed files due now, and tries again the rows that the ledger has refused; the exit code.

    Where a Librarian runs it takes the files up; otherwise they are tried here.
    """
    by_ingest = False  # which reports, and writes the lists behind that
    with _ledger(settings, lists=lambda: not by_ingest) as database:
        database.ensure_ready()
        wrong = Belonging(settings, Vault(settings.storage)).trouble(database)
        if wrong is not None:
            raise WrongLedger(wrong)
        count = ask_for_retry(database)
        refused, left = _retry_rejected(settings, database)
        say_stopped(settings, database)
        running = librarian_runs(settings)
        by_ingest = bool(count and not running)
        if not by_ingest and as_json:
            report.print_json({"asked": count, "running": running, "refused": refused, "refused_still": left})
        elif not by_ingest and count:
            report.say(f"{failed_words(count, 0)}: tried again by the librarian within seconds.")
        elif not by_ingest:
            report.say(f"{failed_words(0, 0)} in the inbox. What failed in an import: import it again.")
    if by_ingest:
        return run_ingest(settings, as_json=as_json)
    return ExitCode.FOUND if left else ExitCode.WELL


def _retry_rejected(settings: Settings, database: Database) -> tuple[int, int]:
    """Tries again the rows that the ledger has refused, whoever runs: how many, and how many it refuses still."""
    vault = Vault(settings.storage)
    journal = Journal(vault.state / "journal")
    if not journal.rejected_count():
        return 0, 0
    recorder = Recorder(database, journal, vault, belonging=Belonging(settings, vault))
    vault.check()
    with vault.lock():
        refused = recorder.retry_rejected()
    left = recorder.rejected
    logger.warning("rows that the database had refused: %d tried again, %d refused still", refused, left)
    return refused, left


@contextmanager
def _ledger(
    settings: Settings, *, only_look: bool = False, lists: Callable[[], bool] = lambda: True
) -> Iterator[Database]:
    """`only_look`: nothing is made ready for writing, and no ledger is made where there is none.

    `lists`: whether the signed lists are written behind the block.
    """
    check_exiftool(settings)
    database = Database(settings, service="factory")
    try:
        try:
            if not only_look:
                database.ensure_ready()  # here an embedded server may take its time to start
        except LedgerRefused:
            raise
        except LedgerUnavailable as error:
            logger.warning(
                "the database cannot be reached; what is added is noted beside the photos and recorded later: %s", error
            )
        with lists_after(settings, database, lambda: not only_look and lists()):
            yield database
    finally:
        database.close()


def check_exiftool(settings: Settings) -> None:
    """Warns where it is missing or refused: what is read without it stays so."""
    exiftool = exiftool_here(trust_any_version=settings.exiftool_unsafe)
    if exiftool.problem is not None:
        how = "" if exiftool.version else "; install it first (Debian: apt install libimage-exiftool-perl)"
        logger.warning("%s%s", exiftool.problem, how)


def _still_away(reason: str | None) -> str | None:
    return (
        None
        if reason is None
        else f"the database cannot be reached; what was added is noted beside the photos and recorded later: {reason}"
    )


def _report(
    tally: Tally,
    read: Readings,
    *,
    as_json: bool,
    stopped: bool,
    away: str | None,
    dry_run: bool = False,
    cache: CacheUse | None = None,
    trouble: VaultTrouble | None = None,
) -> int:
    result: dict[str, Any] = {**tally.report(), "readings": readings.as_json(read)}
    if cache is not None:
        result["hash_cache"] = cache.as_json()
    if dry_run:
        result["dry_run"] = True
    if trouble is not None:
        result["trouble"] = str(trouble)
    if as_json:
        report.print_json(result)
    else:
        is_short = stopped or trouble is not None
        print_summary(
            tally, read, "Stopped; run it again to go on." if is_short else _DRY if dry_run else "Done.", cache
        )
    if trouble is not None:
        print(trouble.line(), file=sys.stderr)
    if away is not None:
        logger.warning("%s", away)
    if stopped:
        return ExitCode.INTERRUPTED
    return ExitCode.FOUND if tally.failed or tally.left or trouble is not None else ExitCode.WELL
