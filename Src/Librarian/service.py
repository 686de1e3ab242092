"""The Librarian as a service, and one pass through the inbox: who is served when, and what happens in trouble."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from Src.Librarian.acts_between import ActsBetween
from Src.Librarian.file_watcher import InboxWatcher
from Src.Librarian.heartbeat import Conditions, LibrarianHeartbeat
from Src.Librarian.holding import HeldFiles
from Src.Librarian.librarian import Librarian
from Src.Librarian.look import OriginalsLook
from Src.Librarian.manifests_between import ManifestsBetween
from Src.Librarian.passage import Inspection, Outcome
from Src.Librarian.place.room import free_on
from Src.Librarian.retry_policy import RetryPolicy
from Src.Librarian.tally import Tally
from Src.Librarian.watch.exposure import EXPOSED, root_serves_others
from Src.Librarian.watch.inbox_folder import InboxTrouble
from Src.Librarian.watch.inbox_lock import InboxLock
from Src.Librarian.xmp_between import XmpBetween
from Src.Library.custody.manifests.writing import Manifests
from Src.Library.held_files import HeldFilesTable
from Src.Library.held_words import HeldState
from Src.Library.inbox import make_inbox, walk_files
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.xmp.looking import XmpLook
from Src.Library.xmp.writing import XmpFiles
from Src.Media.exiftool_program import exiftool_here
from Src.Media.readers.readings import Readings
from Src.Shared import service
from Src.Shared.database import Database, LedgerStarting, LedgerUnavailable
from Src.Shared.errors import FactoryError
from Src.Shared.ledger_text import to_ledger
from Src.Shared.openness import open_inbox, readable_settings
from Src.Shared.services import LIBRARIAN
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Shared.words import counted

logger = logging.getLogger(__name__)

_START_PATIENCE = 60.0  # seconds for a database that is being made or started
_TICK = 1.0  # seconds: the longest the loop sleeps, so that its liveness shows
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_RELOAD_INTERVAL = 5.0
_ASKED: tuple[HeldState, ...] = ("failing", "dead_letter", "sidecar")  # states of which a person may have asked more
_LOCK_WORTH_TELLING = 10.0  # seconds: others hold it for a batch
_LONGEST_END = 3.0  # seconds: the look at originals may wait for the ledger; it does no harm when it is cut off
_LOOK_INTERVAL = 10.0
_MIRROR_INTERVAL = 5.0
_MOST_IN_HAND = 8  # batches: what ExifTool has not read yet must not grow without end
_LONGEST_GATHERING = 2.0  # seconds: where files take long to read, those that are read do not wait for a whole batch


class AnotherLibrarian(FactoryError):
    """Another Librarian works on this inbox."""

    about = "inbox"


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
            rest_without_lease=settings.rest_without_lease,
            longest_silence=settings.leaving_grace_without_lease,
        )
        policy = RetryPolicy(settings.retry_attempts, settings.retry_first_delay, settings.retry_max_delay)
        self._held_files = HeldFiles(
            HeldFilesTable(database, self._librarian.recorder.is_usable), self._watcher, policy, self._room
        )
        self._librarian.show_life(self._show_life)
        vault = self._librarian.vault
        vault.while_locked = self._while_locked
        if heartbeat is not None:  # who is watched says what keeps it; one pass waits, and says so
            vault.patience = settings.loop_limit
        self._look = OriginalsLook(settings, vault, database, self._librarian.belonging)
        self._lock = InboxLock(settings.inbox, settings.state / "librarian.lock")
        self._pause = 0.0
        self._trouble: str | None = None
        self._unsettled = False
        self._told_holder = ""
        self._is_exposed = False
        self._loaded = False
        self._loaded_at = float("-inf")
        self._damaged_at, self._damaged_count = float("-inf"), 0
        self._acts = ActsBetween(self._librarian.acts, self._watcher.steady_time)
        xmp_files = XmpFiles(vault, self._librarian.acts, self._watcher.steady_time, writes=settings.xmp_files)
        xmp_look = XmpLook(vault, self._librarian.acts, xmp_files)
        self._xmp = XmpBetween(xmp_files, xmp_look, self._watcher.steady_time, writes=settings.xmp_files)
        manifests = Manifests(
            *(vault, database, self._librarian.belonging),
            patience=0,
            vault_patience=0,
            stopped=self._stopping.is_set,
        )
        self._manifests = ManifestsBetween(manifests, self._watcher.steady_time)
        self._mirrored_at = float("-inf")
        self._mirror_trouble: str | None = None
        self.tally = Tally()

    @property
    def ledger_away(self) -> str | None:
        """Why rows wait in the journal; None where they are in the ledger."""
        return self._librarian.recorder.away

    @property
    def readings(self) -> Readings:
        """How many files fast readers have read so far, and how many ExifTool."""
        return self._librarian.readers.readings

    def stop(self) -> None:
        """Ends `run` soon: the batch in hand is finished, or undone where it would take long. Signal-safe."""
        self._stopping.set()
        self._look.stop()
        self._librarian.stop()

    def run(self) -> Tally:
        """Works.

        One pass (`once`) raises AnotherLibrarian, VaultTrouble or InboxTrouble; a service waits and goes on.
        """
        try:
            self._take_inbox()
            if not self._stopping.is_set():
                self._librarian.readers.start()
                self._await_database()
                with self._watching():
                    if not self._once:
                        self._look.start()
                    self._serve()
            return self.tally
        finally:
            self._look.stop()
            self._look.join(_LONGEST_END)
            self._acts.close()
            self._librarian.close()
            self._lock.release()

    def _room(self) -> int:
        try:
            return free_on(self._settings.storage)
        except OSError:
            return 0

    def _take_inbox(self) -> None:
        told = False
        for warning in filter(None, (open_inbox(self._settings.inbox), readable_settings(PROJECT_ROOT / ".env"))):
            logger.warning("%s", warning)
        while not self._stopping.is_set():
            try:
                make_inbox(self._settings)
                if self._lock.acquire():
                    return
            except OSError as error:
                self._in_trouble(InboxTrouble(f"the inbox {self._settings.inbox} cannot be used: {error.strerror}"))
                continue
            stranger = self._lock.stranger()
            if stranger is not None:
                self._in_trouble(
                    InboxTrouble(
                        f"the inbox {self._settings.inbox} is locked by {stranger}, which is no Librarian: end it"
                    )
                )
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

    def _await_database(self) -> None:
        """Waits a while for an embedded server that is being made or started: at a first start that is no trouble."""
        if self._once or self._database.embedded is None:
            return
        until, told = time.monotonic() + _START_PATIENCE, False
        while not self._stopping.is_set() and time.monotonic() < until:
            try:
                self._database.ensure_ready(_TICK)
                return
            except LedgerStarting:
                if not told:
                    logger.info("waiting for the database, which is starting")
                told = True
                self._beat("waiting for the database", waits=True)
            except LedgerUnavailable:
                return  # whoever asks next says why

    @contextmanager
    def _watching(self) -> Iterator[None]:
        while not self._stopping.is_set():
            try:
                self._librarian.prepare()
                self._lock.note()
                self._watcher.start()
                break
            except (VaultTrouble, InboxTrouble) as trouble:
                self._in_trouble(trouble)
        try:
            logger.info("watching %s (%s)", self._settings.inbox, self._watcher.mode)
            if root_serves_others(self._settings.inbox):
                logger.warning("%s: %s", self._settings.inbox, EXPOSED)
            yield
        finally:
            self._watcher.stop()

    def _serve(self) -> None:
        inspections: list[Inspection] = []
        readers, batch_size = self._librarian.readers, self._settings.batch_size
        gathering_since = 0.0
        while not self._stopping.is_set():
            try:
                self._librarian.vault.check()
                self._reload()
                if readers.quick + len(inspections) < 4 * batch_size and len(readers) < _MOST_IN_HAND * batch_size:
                    busy = len(readers) > 0 or inspections
                    readers.put(self._held_files.with_room(self._watcher.ready(0.0 if busy else _TICK)))
                if not inspections:
                    gathering_since = time.monotonic()
                if len(readers):
                    inspections += readers.get(_TICK)
                is_due = not len(readers) or time.monotonic() - gathering_since > _LONGEST_GATHERING
                if inspections and (len(inspections) >= batch_size or is_due):
                    batch, inspections = inspections[:batch_size], inspections[batch_size:]
                    self._settle(batch)
                if not self._unsettled or self._watcher.idle():
                    self._out_of_trouble()
                self._librarian.catch_up_if_needed()
                self._finish_leaving()
                self._carry_out_acts()
                self._mirror_decisions()
            except (VaultTrouble, InboxTrouble) as trouble:
                self._give_back(inspections)
                inspections = []
                if self._stopping.is_set():  # a copy under way was given up
                    return
                self._in_trouble(trouble)
            self._beat("filing" if len(readers) or inspections else "watching")
            if self._once and not inspections and not len(readers) and self._is_done():
                self._watcher.scan(prune_after=0.0)
                if self._is_done():
                    self._note_odd()
                    self._account()
                    return

    def _account(self) -> None:
        """Counts what the inbox holds still: every entry of it has its place in the tally."""
        inbox = str(self._settings.inbox.resolve())
        entries = walk_files(
            inbox,
            odd=self.tally.add_odd,
            skipped=lambda one: self.tally.skip(one.reason, one.path),
            own_inbox=True,
        )
        for path, _ in entries:
            name = path[len(inbox) + 1 :]
            self.tally.add_staying(name, self._held_files.state_of(name))

    def _is_done(self) -> bool:
        return self._watcher.idle() and not self._librarian.leaving.is_finishing()

    def _finish_leaving(self) -> None:
        """What has left the inbox goes for good, or comes back."""
        self._librarian.leaving.finish()
        for path in self._librarian.leaving.came_back():
            self._watcher.came_back(path)

    def _carry_out_acts(self) -> None:
        """What was decided on the dashboard, and what a killed command has left. One pass leaves that to others."""
        if not self._once and self._librarian.recorder.away is None:
            self._acts.step()
            self._xmp.step()
            self._manifests.step()

    def _mirror_decisions(self) -> None:
        """What people decide stands beside the vault soon; where that cannot be, photos are filed all the same."""
        now = self._watcher.steady_time()
        if now - self._mirrored_at < _MIRROR_INTERVAL or self._librarian.recorder.away is not None:
            return
        self._mirrored_at = now
        trouble: str | None = None
        try:
            self._librarian.mirror_decisions()
        except VaultTrouble as error:
            trouble = str(error)
        except LedgerUnavailable:
            return  # said by whoever files next
        if trouble is not None and trouble != self._mirror_trouble:
            logger.warning("what was decided does not stand beside the vault yet: %s", trouble)
        self._mirror_trouble = trouble

    def _settle(self, batch: Sequence[Inspection]) -> None:
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
        failures = self._held_files.note_outcomes(outcomes)
        # Some are filed, and yet not done with: the inbox copy cannot be removed.
        failed = {entry.event["original_path"] for entry in failures}
        self.tally.add(
            replace(one, result="failed") if failed and to_ledger(one.file.original_path) in failed else one
            for one in outcomes
        )
        if failures:
            self._librarian.note(failures)
        _log(outcomes)
        if self._progress is not None:
            self._progress(self.tally, self._watcher.waiting + len(self._librarian.readers))

    def _inbox_trouble(self, outcomes: Sequence[Outcome]) -> InboxTrouble | None:
        """Why files that failed may have done so: the inbox as a whole cannot be used."""
        if any(map(_is_blamed, outcomes)):
            try:
                self._watcher.check()
            except InboxTrouble as trouble:
                return trouble
        return None

    def _give_back(self, given: Sequence[Inspection] | Sequence[Outcome]) -> None:
        for one in given:
            self._watcher.put_back(one.file)

    def _reload(self) -> None:
        """Reads the rows of held files again: a person who asks for a retry changes them."""
        now = self._watcher.steady_time()
        if now - self._loaded_at >= _RELOAD_INTERVAL:
            self._loaded_at = now
            if not self._loaded or any(self._held_files.count(state) for state in _ASKED):
                self._loaded = self._held_files.load(failures_only=self._loaded) or self._loaded
            self._held_files.drop_missing()
            self._note_odd()
            self._is_exposed = root_serves_others(self._settings.inbox)

    def _note_odd(self) -> None:
        odd = self._watcher.odd()
        if odd is not None:
            self._held_files.note_odd(odd)

    def _while_locked(self, holder: str, seconds: float) -> None:
        """Another process has the vault's lock."""
        if self._stopping.is_set():
            raise VaultTrouble(f"stopped while {holder} had the vault's lock")
        if seconds > _LOCK_WORTH_TELLING and holder != self._told_holder:
            logger.warning("waiting for the vault's lock, which %s has", holder)
            self._told_holder = holder
        self._beat(f"waiting for the vault's lock, which {holder} has")

    def _show_life(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.alive()

    def _in_trouble(self, trouble: Exception) -> None:
        if self._stopping.is_set():
            return
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

    def _beat(self, task: str, *, locked: bool = True, waits: bool = False) -> None:
        if self._heartbeat is None:
            return
        if not locked:  # the one who works speaks for the service
            self._heartbeat.alive()
            return
        self._heartbeat.report(
            Conditions(
                task,
                waits=waits,
                trouble=self._trouble,
                ledger_away=self._librarian.recorder.away,
                exiftool_problem=exiftool_here(trust_any_version=self._settings.exiftool_unsafe).problem,
                failing=self._held_files.count("failing"),
                dead_letters=self._held_files.count("dead_letter"),
                not_media=self._held_files.count("not_media"),
                unreadable=self._held_files.count("unreadable"),
                links=self._held_files.count("link") + self._held_files.count("special"),
                is_exposed=self._is_exposed,
                waiting=self._watcher.waiting + len(self._librarian.readers),
                rejected=self._librarian.recorder.rejected,
                findings=self._look.findings,
                damaged=self._damaged(),
                mirror_trouble=self._mirror_trouble,
                manifests_trouble=self._manifests.trouble,
                readings=self.readings,
            )
        )

    def _damaged(self) -> int:
        """How many damaged originals were moved aside and are still there."""
        now = self._watcher.steady_time()
        if now - self._damaged_at >= _LOOK_INTERVAL:
            self._damaged_at = now
            with suppress(OSError):  # the loop reports the vault's own trouble
                self._damaged_count = len(self._librarian.vault.damaged.listed())
        return self._damaged_count


def _is_blamed(outcome: Outcome) -> bool:
    filed = outcome.result in ("new", "duplicate", "restored", "unwanted")
    return outcome.result == "failed" or (filed and not outcome.cleared and not outcome.busy)


def _log(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.result in ("new", "restored", "duplicate"):
            logger.debug("%s: %s %s", outcome.file.original_path, outcome.result, outcome.final_path)
        elif outcome.result == "unwanted":
            path = outcome.file.original_path
            logger.info("%s was removed before; it is in the trash: %s", path, outcome.final_path)
        elif outcome.result in ("companion", "sidecar"):
            logger.info("%s: %s", outcome.file.original_path, outcome.reason)
        elif outcome.result == "not_media":
            logger.info("%s is not a photo or video; it stays in the inbox", outcome.file.original_path)
    filed = sum(1 for outcome in outcomes if outcome.result in ("new", "restored"))
    duplicates = sum(1 for outcome in outcomes if outcome.result == "duplicate")
    if filed or duplicates:
        logger.info("filed %d, dropped %s", filed, counted(duplicates, "duplicate"))


def main() -> int:
    """Runs the service until a signal stops it; returns the exit code."""
    return service.run(LIBRARIAN, _make)


def _make(start: service.Start) -> InboxService:
    return InboxService(start.settings, start.database, heartbeat=LibrarianHeartbeat(start.heartbeat))
