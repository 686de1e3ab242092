"""The files that stay in the inbox, and what is to happen with them: the register in memory and in the ledger."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from Src.Librarian import ledger_entry
from Src.Librarian.file_watcher import InboxWatcher
from Src.Librarian.inbox_register import InboxRegister, InboxState, Stays
from Src.Librarian.incoming import IncomingFile, regular_file_state
from Src.Librarian.ledger_entry import LedgerEntry
from Src.Librarian.librarian import Outcome
from Src.Librarian.retry_policy import RetryPolicy

logger = logging.getLogger(__name__)


class Residents:
    """Holds failing files, dead letters and what is not media at the watcher, and remembers them in the ledger."""

    def __init__(self, register: InboxRegister, watcher: InboxWatcher, policy: RetryPolicy) -> None:
        self._register = register
        self._watcher = watcher
        self._policy = policy
        self._known: dict[str, Stays] = {}
        self._counts: Counter[InboxState] = Counter()
        self._unsaved: dict[str, Stays] = {}
        self._to_forget: set[str] = set()
        self._loose: set[str] = set()  # known, and not held by the watcher

    def count(self, state: InboxState) -> int:
        return self._counts[state]

    def load(self, *, failures_only: bool = False) -> bool:
        """Takes over what the ledger says: all after a start, failures when a person may have asked for a retry.

        Whether the ledger was there to ask.
        """
        self.save()
        rows = self._register.load(failures_only=failures_only)
        if rows is None:
            return False
        loaded = {stays.original_path: stays for stays in rows}
        for path, stays in loaded.items():
            if self._known.get(path) == stays or path in self._unsaved:
                continue
            if self._watcher.hold_path(path, stays.file_size, stays.mtime_ns, stays.inode, _wait_of(stays)):
                self._know(stays)
            else:  # gone or changed: what was said of it no longer holds
                self._unknow(path)
                self._to_forget.add(path)
        self.save()
        return True

    def settle(self, outcomes: Sequence[Outcome]) -> list[LedgerEntry]:
        """Answers the watcher for each outcome; returns the failures that are to be recorded."""
        entries: list[LedgerEntry] = []
        for outcome in outcomes:
            file = outcome.file
            match outcome.result:
                case "not_media":
                    self._stay(outcome, Stays.of(file, "not_media"), None)
                case "failed":
                    entries.append(self._failed(outcome, outcome.reason or "unknown"))
                case "changing":
                    self._watcher.put_back(file)
                case "gone":
                    self._leave(outcome)
                case _ if outcome.cleared:
                    self._leave(outcome)
                case _:  # filed, but still in the inbox
                    entries += self._not_cleared(outcome)
        self.save()
        return entries

    def save(self) -> None:
        """Writes what could not be written yet."""
        if self._unsaved and self._register.save(list(self._unsaved.values())):
            self._unsaved.clear()
        if self._to_forget and self._register.forget(list(self._to_forget)):
            self._to_forget.clear()

    def drop_missing(self) -> None:
        """Forgets files that have left the inbox by another hand."""
        self._loose |= self._watcher.let_go()  # to look at all of them every few seconds would take its time
        for path in list(self._loose):
            stays = self._known.get(path)
            if stays is None or self._watcher.is_held(path):
                self._loose.discard(path)
            elif not self._watcher.stands(path, stays.file_size, stays.mtime_ns, stays.inode):
                self._loose.discard(path)
                self._unknow(path)
                self._to_forget.add(path)
        self.save()

    def _not_cleared(self, outcome: Outcome) -> list[LedgerEntry]:
        at = outcome.file.state
        if not outcome.busy and self._watcher.stands(outcome.file.original_path, at.size, at.mtime_ns, at.inode):
            return [self._failed(outcome, "it is filed, but its inbox copy cannot be removed")]
        self._watcher.put_back(outcome.file)
        return []

    def _failed(self, outcome: Outcome, reason: str) -> LedgerEntry:
        file = outcome.file
        before = self._known.get(file.original_path)
        attempts = 1 + (before.attempts if before is not None and before.state == "failing" else 0)
        delay = self._policy.delay_after(attempts)
        next_try = None if delay is None else datetime.now(UTC) + timedelta(seconds=delay)
        state: InboxState = "dead_letter" if delay is None else "failing"
        self._stay(outcome, Stays.of(file, state, attempts, reason, next_try), delay)
        tail = "no further try until ./factory retry" if delay is None else f"next try in {delay:g} s"
        logger.warning("%s: %s (attempt %d, %s)", file.original_path, reason, attempts, tail)
        fate: ledger_entry.Fate = "dead_letter" if delay is None else "failed"
        return LedgerEntry(ledger_entry.event_row(file, fate, message=reason, attempts=attempts, next_try_at=next_try))

    def _stay(self, outcome: Outcome, stays: Stays, delay: float | None) -> None:
        self._watcher.hold(_as_it_is_now(outcome.file), delay)
        self._know(stays)
        self._unsaved[stays.original_path] = stays
        self._to_forget.discard(stays.original_path)

    def _leave(self, outcome: Outcome) -> None:
        self._watcher.done(outcome.file)
        path = outcome.file.original_path
        if self._unknow(path):
            self._to_forget.add(path)

    def _know(self, stays: Stays) -> None:
        self._unknow(stays.original_path)
        self._known[stays.original_path] = stays
        self._counts[stays.state] += 1

    def _unknow(self, path: str) -> bool:
        self._unsaved.pop(path, None)
        stays = self._known.pop(path, None)
        if stays is None:
            return False
        self._counts[stays.state] -= 1
        return True


def _as_it_is_now(file: IncomingFile) -> IncomingFile:
    """Our own link, and its undoing, change ctime: that is no change for which the file should be tried again."""
    try:
        state = regular_file_state(file.path)
    except OSError:  # its folder cannot be looked into now; the next scan will say
        return file
    return file._replace(state=state) if state is not None and state.same_content(file.state) else file


def _wait_of(stays: Stays) -> float | None:
    if stays.state != "failing" or stays.next_try_at is None:
        return None
    return max(0.0, (stays.next_try_at - datetime.now(UTC)).total_seconds())
