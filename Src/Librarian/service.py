"""The Librarian as a service, and one pass through the inbox: who is served when, and what happens in trouble."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from Src.Librarian.file_watcher import InboxTrouble, InboxWatcher
from Src.Librarian.heartbeat import Conditions, LibrarianHeartbeat
from Src.Librarian.inbox_lock import InboxLock
from Src.Librarian.inbox_register import InboxRegister
from Src.Librarian.inspection import Finding
from Src.Librarian.librarian import Librarian, Outcome
from Src.Librarian.residents import Residents
from Src.Librarian.retry_policy import RetryPolicy
from Src.Librarian.tally import Tally
from Src.Librarian.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.heartbeat_service import HeartbeatService
from Src.Shared.logs import configure_logging
from Src.Shared.migrations import LedgerTooNew
from Src.Shared.runner_watch import end_with_runner
from Src.Shared.settings import Settings, SettingsError, load_settings

logger = logging.getLogger(__name__)

SERVICE_NAME = "librarian"
_TICK = 1.0  # seconds: the longest the loop sleeps, so that its liveness shows
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_RELOAD_INTERVAL = 5.0
_LONGEST_GATHERING = 2.0  # seconds: where files take long to read, those that are read do not wait for a whole batch


class AnotherLibrarian(Exception):
    """Another Librarian works on this inbox."""


class InboxService:
    """Serves one inbox until told to stop, or until it is empty."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        heartbeat: LibrarianHeartbeat | None = None,
        progress: Callable[[Tally, int], None] | None = None,
        once: bool = False,
    ) -> None:
        """`progress` is told after each batch what is done and how many files are known to wait."""
        self._settings = settings
        self._database = database
        self._heartbeat = heartbeat
        self._progress = progress
        self._once = once
        self._stopping = threading.Event()
        self._librarian = Librarian(settings, database)
        self._watcher = InboxWatcher(
            settings.inbox,
            stability_delay=settings.stability_delay,
            min_file_age=settings.min_file_age,
            scan_interval=settings.scan_interval,
            mode=settings.watch_mode,
        )
        policy = RetryPolicy(settings.retry_attempts, settings.retry_first_delay, settings.retry_max_delay)
        self._residents = Residents(InboxRegister(database, self._librarian.recorder.connect), self._watcher, policy)
        self._lock = InboxLock(settings.inbox, settings.state / "librarian.lock")
        self._pause = 0.0
        self._trouble: str | None = None
        self._unsettled = False
        self._loaded = False
        self._loaded_at = float("-inf")
        self.tally = Tally()

    @property
    def ledger_away(self) -> str | None:
        """Why rows wait in the journal; None where they are in the ledger."""
        return self._librarian.recorder.away

    def stop(self) -> None:
        """Ends `run` soon: the batch in hand is finished, or undone where it would take long. Signal-safe."""
        self._stopping.set()
        self._librarian.stop()

    def run(self) -> Tally:
        """Works.

        One pass (`once`) raises AnotherLibrarian, VaultTrouble or InboxTrouble; a service waits and goes on.
        """
        try:
            self._take_inbox()
            if not self._stopping.is_set():
                self._librarian.workers.start()
                with self._watching():
                    self._serve()
            return self.tally
        finally:
            self._librarian.close()
            self._lock.release()

    def _take_inbox(self) -> None:
        told = False
        while not self._stopping.is_set():
            try:
                self._settings.inbox.mkdir(parents=True, exist_ok=True)
                if self._lock.acquire():
                    return
            except OSError as error:
                self._in_trouble(InboxTrouble(f"the inbox {self._settings.inbox} cannot be used: {error.strerror}"))
                continue
            if self._once:
                raise AnotherLibrarian(
                    f"another Librarian is already working on {self._settings.inbox}; it files what is there"
                )
            if not told:
                logger.info("another Librarian works on %s; waiting to take over", self._settings.inbox)
                told = True
            self._beat("waiting for another Librarian to end", locked=False)
            self._stopping.wait(_TICK)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        while not self._stopping.is_set():
            try:
                self._librarian.prepare()
                self._watcher.start()
                break
            except (VaultTrouble, InboxTrouble) as trouble:
                self._in_trouble(trouble)
        try:
            logger.info("watching %s (%s)", self._settings.inbox, self._watcher.mode)
            yield
        finally:
            self._watcher.stop()

    def _serve(self) -> None:
        findings: list[Finding] = []
        workers, batch_size = self._librarian.workers, self._settings.batch_size
        gathering_since = 0.0
        while not self._stopping.is_set():
            try:
                self._librarian.vault.check()
                self._reload()
                if len(workers) + len(findings) < 4 * batch_size:
                    busy = len(workers) > 0 or findings
                    workers.put(self._watcher.ready(0.0 if busy else _TICK))
                if not findings:
                    gathering_since = time.monotonic()
                if len(workers):
                    findings += workers.get(_TICK)
                is_due = not len(workers) or time.monotonic() - gathering_since > _LONGEST_GATHERING
                if findings and (len(findings) >= batch_size or is_due):
                    batch, findings = findings[:batch_size], findings[batch_size:]
                    self._settle(batch)
                if not self._unsettled or self._watcher.idle():
                    self._out_of_trouble()
                self._librarian.catch_up_if_needed()
            except (VaultTrouble, InboxTrouble) as trouble:
                self._give_back(findings)
                findings = []
                if self._stopping.is_set():  # a copy under way was given up
                    return
                self._in_trouble(trouble)
            self._beat("filing" if len(workers) or findings else "watching")
            if self._once and not findings and not len(workers) and self._watcher.idle():
                self._watcher.scan(prune_after=0.0)
                if self._watcher.idle():
                    return

    def _settle(self, batch: Sequence[Finding]) -> None:
        try:
            outcomes = self._librarian.settle(batch)
        except VaultTrouble:
            self._give_back(batch)
            self._unsettled = True  # only when a batch is settled again is the trouble over
            raise
        self._unsettled = False
        trouble = self._inbox_trouble(outcomes)
        if trouble is not None:  # no file is to blame
            self._give_back([one for one in outcomes if _is_blamed(one)])
            outcomes = [one for one in outcomes if not _is_blamed(one)]
        self._count(outcomes)
        if trouble is not None:
            raise trouble

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        self.tally.add(outcomes)
        failures = self._residents.settle(outcomes)
        # Filed, and yet not done with: the inbox copy cannot be removed.
        self.tally.failed += len(failures) - sum(outcome.result == "failed" for outcome in outcomes)
        if failures:
            self._librarian.note(failures)
        _log(outcomes)
        if self._progress is not None:
            self._progress(self.tally, self._watcher.waiting + len(self._librarian.workers))

    def _inbox_trouble(self, outcomes: Sequence[Outcome]) -> InboxTrouble | None:
        """Why files that failed may have done so: the inbox as a whole cannot be used."""
        if any(map(_is_blamed, outcomes)):
            try:
                self._watcher.check()
            except InboxTrouble as trouble:
                return trouble
        return None

    def _give_back(self, given: Sequence[Finding] | Sequence[Outcome]) -> None:
        for one in given:
            self._watcher.put_back(one.file)

    def _reload(self) -> None:
        """The register in the ledger may have been changed by a person who asks for a retry."""
        now = self._watcher.steady_time()
        if now - self._loaded_at >= _RELOAD_INTERVAL:
            self._loaded_at = now
            if not self._loaded or self._residents.count("failing") or self._residents.count("dead_letter"):
                self._loaded = self._residents.load(failures_only=self._loaded) or self._loaded
            self._residents.drop_missing()

    def _in_trouble(self, trouble: Exception) -> None:
        if self._once:
            raise trouble
        if self._trouble != str(trouble):
            logger.error("%s; files wait in the inbox, work resumes by itself", trouble)
        self._trouble = str(trouble)
        self._pause = min(max(_FIRST_PAUSE, self._pause * 2), _LONGEST_PAUSE)
        until = self._watcher.steady_time() + self._pause
        while not self._stopping.is_set() and self._watcher.steady_time() < until:
            self._beat("waiting for trouble to pass")
            self._stopping.wait(_TICK)

    def _out_of_trouble(self) -> None:
        if self._trouble is not None:
            self._librarian.prepare()  # what could not be cleaned up then
            logger.info("working again; it was: %s", self._trouble)
        self._trouble, self._pause = None, 0.0

    def _beat(self, task: str, *, locked: bool = True) -> None:
        if self._heartbeat is None:
            return
        if not locked:  # the one who works speaks for the service
            self._heartbeat.alive()
            return
        self._heartbeat.report(
            Conditions(
                task,
                trouble=self._trouble,
                ledger_away=self._librarian.recorder.away,
                has_exiftool=shutil.which("exiftool") is not None,
                failing=self._residents.count("failing"),
                dead_letters=self._residents.count("dead_letter"),
                not_media=self._residents.count("not_media"),
                waiting=self._watcher.waiting + len(self._librarian.workers),
            )
        )


def _is_blamed(outcome: Outcome) -> bool:
    filed = outcome.result in ("new", "duplicate", "restored")
    return outcome.result == "failed" or (filed and not outcome.cleared and not outcome.busy)


def _log(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.result in ("new", "restored", "duplicate"):
            logger.debug("%s: %s %s", outcome.file.original_path, outcome.result, outcome.final_path)
        elif outcome.result == "not_media":
            logger.info("%s is not a photo or video; it stays in the inbox", outcome.file.original_path)
    filed = sum(1 for outcome in outcomes if outcome.result in ("new", "restored"))
    duplicates = sum(1 for outcome in outcomes if outcome.result == "duplicate")
    if filed or duplicates:
        logger.info("filed %d, dropped %d duplicates", filed, duplicates)


def main() -> int:
    """Runs the service until SIGTERM or SIGINT; the exit code."""
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"librarian: {error}", file=sys.stderr)
        return 2
    configure_logging(settings, SERVICE_NAME)
    database = Database(settings, service=SERVICE_NAME)
    beats = HeartbeatService(
        database, SERVICE_NAME, settings.heartbeat_interval, settings.run / f"{SERVICE_NAME}.alive"
    )
    service = InboxService(settings, database, heartbeat=LibrarianHeartbeat(beats))

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        service.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    end_with_runner()
    try:
        service.run()
    except LedgerTooNew as error:
        logger.error("%s", error)
        return 2
    finally:
        beats.stop()
        database.close()
    return 0
