"""The files that stay in the inbox, and what is to happen with them: in memory, at the watcher, and in the ledger."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from Src.Librarian.file_watcher import InboxWatcher
from Src.Librarian.passage import Fate, IncomingFile, LedgerEntry, Outcome
from Src.Librarian.record import ledger_entry
from Src.Librarian.retry_policy import RetryPolicy
from Src.Library.held_files import HeldFile, HeldFilesTable
from Src.Library.held_words import HeldState
from Src.Library.tree import Odd
from Src.Media.companion_names import companion_kind, group, rank
from Src.Shared.disk.top import regular_state_below

logger = logging.getLogger(__name__)

_FILED = ("new", "duplicate", "restored")
ROOM_DELAY = 60.0  # seconds until it is asked again whether there is room
LEDGER_DELAY = 60.0  # ... and whether the ledger is there to say whose a sidecar is


class HeldFiles:
    """Holds failing files, dead letters and what is not media at the watcher, and remembers them in the ledger."""

    def __init__(
        self,
        table: HeldFilesTable,
        watcher: InboxWatcher,
        policy: RetryPolicy,
        free: Callable[[], int] = lambda: 0,
    ) -> None:
        """`free`: bytes that the vault's disk has for copies."""
        self._table = table
        self._watcher = watcher
        self._policy = policy
        self._free = free
        self._need_room: dict[str, int] = {}
        self._known: dict[str, HeldFile] = {}
        self._counts: Counter[HeldState] = Counter()
        self._odd: set[str] = set()  # known, and to be filed by nobody
        self._unsaved: dict[str, HeldFile] = {}
        self._to_forget: set[str] = set()
        self._loose: set[str] = set()  # known, and not held by the watcher
        self._waiting: defaultdict[tuple[str, str], set[str]] = defaultdict(set)  # for their photos, by folder and name

    def count(self, state: HeldState) -> int:
        return self._counts[state]

    def state_of(self, original_path: str) -> HeldState | None:
        """As what a file is known that stays."""
        held = self._known.get(original_path)
        return held.state if held is not None else None

    def load(self, *, failures_only: bool = False) -> bool:
        """Takes over what the ledger says: all after a start, failures when a person may have asked for a retry.

        Whether the ledger was there to ask.
        """
        self.save()
        rows = self._table.load(failures_only=failures_only)
        if rows is None:
            return False
        loaded = {held.original_path: held for held in rows}
        for path, held in loaded.items():
            if self._known.get(path) == held or path in self._unsaved:
                continue
            if held.is_odd:  # `note_odd` says whether it still is
                self._know(held)
                continue
            if self._watcher.hold_path(path, held.file_size, held.mtime_ns, held.inode, _wait_of(held)):
                self._know(held)
            else:  # gone or changed: what was said of it no longer holds
                self._unknow(path)
                self._to_forget.add(path)
        self.save()
        return True

    def note_outcomes(self, outcomes: Sequence[Outcome]) -> list[LedgerEntry]:
        """Answers the watcher for each outcome; returns the failures that are to be recorded."""
        entries: list[LedgerEntry] = []
        for outcome in outcomes:
            file = outcome.file
            if outcome.sidecar is not None and self._unknow(outcome.sidecar):
                self._to_forget.add(outcome.sidecar)
                self._watcher.let_come(outcome.sidecar)  # it waited for its photo
            if outcome.result in _FILED:
                self._wake(file.original_path)
            match outcome.result:
                case "not_media":
                    self._stay(outcome, HeldFile.of(file.original_path, file.state, "not_media"), None)
                case "companion" if outcome.cleared:
                    self._leave(outcome)
                case "companion" if outcome.final_path is not None:
                    entries += self._not_cleared(outcome)
                case "companion" | "sidecar" as state:
                    delay = LEDGER_DELAY if outcome.busy else None
                    again = datetime.now(UTC) + timedelta(seconds=LEDGER_DELAY) if outcome.busy else None
                    held_now = HeldFile.of(file.original_path, file.state, state, 0, outcome.reason, again)
                    self._stay(outcome, held_now, delay)
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
        if self._unsaved and self._table.save(list(self._unsaved.values())):
            self._unsaved.clear()
        if self._to_forget and self._table.forget(list(self._to_forget)):
            self._to_forget.clear()

    def drop_missing(self) -> None:
        """Forgets files that have left the inbox by another hand."""
        self._loose |= self._watcher.let_go()  # to look at all of them every few seconds would take its time
        for path in list(self._loose):
            held = self._known.get(path)
            if held is None or self._watcher.is_held(path):
                self._loose.discard(path)
            elif not self._watcher.stands(path, held.file_size, held.mtime_ns, held.inode):
                self._loose.discard(path)
                self._unknow(path)
                self._to_forget.add(path)
        self.save()

    def note_odd(self, found: Sequence[Odd]) -> None:
        """Takes note of all that nobody can file, as the watcher has found it by now."""
        now = {one.path: HeldFile.of_odd(one) for one in found}
        before = {path: self._known[path] for path in self._odd}
        for path in before.keys() - now.keys():
            self._unknow(path)
            self._to_forget.add(path)
        for path, held in now.items():
            if before.get(path) != held:
                self._know(held)
                self._unsaved[path] = held
                self._to_forget.discard(path)
        if before or now:
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
        if outcome.needs_room:
            return self._waits_for_room(outcome, reason, before.attempts if before is not None else 1)
        attempts = 1 + (before.attempts if before is not None and before.state == "failing" else 0)
        delay = self._policy.delay_after(attempts)
        next_try = None if delay is None else datetime.now(UTC) + timedelta(seconds=delay)
        state: HeldState = "dead_letter" if delay is None else "failing"
        self._stay(outcome, HeldFile.of(file.original_path, file.state, state, attempts, reason, next_try), delay)
        tail = "no further try until ./factory retry" if delay is None else f"next try in {delay:g} s"
        logger.warning("%s: %s (attempt %d, %s)", file.original_path, reason, attempts, tail)
        fate: Fate = "dead_letter" if delay is None else "failed"
        return LedgerEntry(ledger_entry.event_row(file, fate, message=reason, attempts=attempts, next_try_at=next_try))

    def _waits_for_room(self, outcome: Outcome, reason: str, attempts: int) -> LedgerEntry:
        """No attempt counts, and it never becomes a dead letter: nothing is wrong with the file."""
        file = outcome.file
        self._need_room[file.original_path] = outcome.needs_room
        next_try = datetime.now(UTC) + timedelta(seconds=ROOM_DELAY)
        held = HeldFile.of(file.original_path, file.state, "failing", attempts, reason, next_try)
        self._stay(outcome, held, ROOM_DELAY)
        logger.warning("%s: %s", file.original_path, reason)
        return LedgerEntry(
            ledger_entry.event_row(file, "failed", message=reason, attempts=attempts, next_try_at=next_try)
        )

    def with_room(self, files: Sequence[IncomingFile]) -> list[IncomingFile]:
        """Of files that are ready, those that are not known to be too large for now: these are not read again."""
        if not self._need_room:
            return list(files)
        go_on: list[IncomingFile] = []
        for file in files:
            needed = self._need_room.get(file.original_path)
            if needed is not None and needed == file.state.size and needed > self._free():
                self._watcher.hold(file, ROOM_DELAY)
                continue
            self._need_room.pop(file.original_path, None)
            go_on.append(file)
        return go_on

    def _stay(self, outcome: Outcome, held: HeldFile, delay: float | None) -> None:
        self._watcher.hold(_as_it_is_now(outcome.file), delay)
        self._know(held)
        self._unsaved[held.original_path] = held
        self._to_forget.discard(held.original_path)

    def _wake(self, photo: str) -> None:
        """Lets those come that have waited for a photo and may belong to it."""
        name = os.path.basename(photo)
        for path in list(self._waiting.get(_group_of(photo), ())):
            kind = companion_kind(path)
            if kind is not None and rank(kind, os.path.basename(path), name) is not None:
                self._unknow(path)
                self._to_forget.add(path)
                self._watcher.let_come(path)

    def _leave(self, outcome: Outcome) -> None:
        self._watcher.done(outcome.file)
        path = outcome.file.original_path
        if self._unknow(path):
            self._to_forget.add(path)

    def _know(self, held: HeldFile) -> None:
        self._unknow(held.original_path)
        self._known[held.original_path] = held
        self._counts[held.state] += 1
        if held.is_odd:
            self._odd.add(held.original_path)
        if held.state in ("sidecar", "not_media") and companion_kind(held.original_path) is not None:
            self._waiting[_group_of(held.original_path)].add(held.original_path)

    def _unknow(self, path: str) -> bool:
        self._unsaved.pop(path, None)
        held = self._known.pop(path, None)
        if held is None:
            return False
        self._counts[held.state] -= 1
        self._odd.discard(path)
        if path in self._waiting.get(group_ := _group_of(path), ()):
            self._waiting[group_].discard(path)
            if not self._waiting[group_]:
                del self._waiting[group_]
        return True


def _group_of(original_path: str) -> tuple[str, str]:
    folder, name = os.path.split(original_path)
    return folder, group(name)


def _as_it_is_now(file: IncomingFile) -> IncomingFile:
    """Our own link, and its undoing, change ctime: that is no change for which the file should be tried again."""
    try:
        state = regular_state_below(file.top, file.path)
    except OSError:  # its folder cannot be looked into now; the next scan will say
        return file
    return file._replace(state=state) if state is not None and state.same_content(file.state) else file


def _wait_of(held: HeldFile) -> float | None:
    if held.next_try_at is None:
        return None
    return max(0.0, (held.next_try_at - datetime.now(UTC)).total_seconds())
