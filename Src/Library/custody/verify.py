"""Verify: every file of the vault against its row. By itself it changes no file, and repairs nothing.

Bytes are read past memory, at idle priority, in a thread for each core. What was read and right gets `verified_at`, a
few hundred at a time, so a run that was killed has little to read again: nothing is recovered from its checkpoint, and
the next one passes over what was read since the first began. What is found goes to `original_findings`, as the nightly
look's, and so to alerts and the page of problems.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.custody.examine import Examiner
from Src.Library.custody.item import Item, Seen
from Src.Library.custody.repair.good_bytes import SourceTrouble
from Src.Library.custody.repair.repairs import Repair, Repairs
from Src.Library.custody.rows import Rows
from Src.Library.custody.strangers import Stranger, Strangers
from Src.Library.custody.verified import How, Verified
from Src.Library.finding_rows import ONLY_READING_TAKES_BACK, KnownTime, Wrong
from Src.Library.hash_cache import CachedFile, HashCache
from Src.Library.operation import Progress
from Src.Library.vault import Vault
from Src.Library.vault_here import check_here, open_originals
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState
from Src.Shared.idle import be_idle
from Src.Shared.ledger_text import int8
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

GOES_ON_WITHIN = timedelta(days=7)  # what was read before that is read again
_BATCH = 500  # items that are written at once
_AT_LEAST_EVERY = 5.0  # seconds
_AHEAD = 256  # items that are given to readers before the first of them is done
_READERS = 4  # at most: more would only make a disk's head go to and fro
_PATIENCE = 30.0  # seconds for the vault's lock
_TICK = 0.5
_LOOKS = 3  # at what goes elsewhere meanwhile


class _Enough(Exception):
    """Somebody stops the run, or its time is over."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is verified."""

    how: How = "full"
    sample: int = 0  # originals
    budget: float = 0.0  # seconds
    these: tuple[uuid.UUID, ...] = ()  # originals


class Verify:
    """One run over one vault."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        plan: Plan,
        *,
        journaled: Callable[[], set[str]] = set,
        repair: Repair | None = None,
    ) -> None:
        """`journaled`: the paths of originals whose rows are still to come. `repair`: what is put right in the end."""
        self._vault = Vault(settings.storage)
        self._vault.patience = _PATIENCE
        self._vault.while_locked = self._while_locked
        self._database = database
        self._belonging = Belonging(settings, self._vault)
        self._plan = plan
        self._rows = Rows(self._session)
        self._cache = HashCache(database)
        self._journaled = journaled
        self._stopping = threading.Event()
        self._deadline = time.monotonic() + plan.budget if plan.how == "budget" else None
        self._began = self._passed_over_since = datetime.now(UTC)
        self._repair = repair
        self._lost: list[Item] = []  # of which no file is there
        self._wrong: list[tuple[Item, Seen]] = []  # where it may be put right
        self._batch: list[tuple[Item, Seen]] = []
        self._written = time.monotonic()
        self.progress: Progress | None = None
        self.trouble: SourceTrouble | VaultTrouble | None = None
        self.read_right: dict[uuid.UUID, FileState] = {}  # of `these`: as each was when it was read, and right
        self.done = Verified(plan.how)

    def stop(self) -> None:
        """Ends soon. Signal-safe."""
        self._stopping.set()

    def run(self, begun: datetime | None = None) -> Verified:
        """`begun`: when the run began that this one goes on with.

        Raises WrongLedger, VaultTrouble and LedgerUnavailable; it can be run again. What ends `repair` is in `trouble`
        instead: what was found, and what was put right by then, is known.
        """
        self._database.ensure_ready()
        self._vault.check()
        self._belonging.establish(self._database)
        self._began = self._passed_over_since = datetime.now(UTC)
        if begun is not None and self._plan.how in ("full", "budget"):
            self._passed_over_since = max(begun, self._began - GOES_ON_WITHIN)
        self._written = time.monotonic()
        root = open_originals(self._vault)
        try:
            check_here(self._vault, root, self._belonging.vault_id)
            self._examiner = Examiner(self._vault.originals, root, self._go_on)
            self._root = root
            with contextlib.suppress(_Enough):
                self._verify()
                if self._plan.how in ("full", "quick"):
                    self._search()
                self.done.is_complete = True
            if self._plan.how == "budget" and not self._stopping.is_set():
                self.done.is_complete = True
            check_here(self._vault, root, self._belonging.vault_id)
            if self._repair is not None and not self._stopping.is_set():
                self._put_right(self._repair)
        finally:
            os.close(root)
        back = self._rows.read_back()
        self.done.originals, self.done.never_read, self.done.read_back, self.done.read_back_since = back
        return self.done

    def _go_on(self) -> None:
        if self._stopping.is_set() or (self._deadline is not None and time.monotonic() > self._deadline):
            raise _Enough

    def _while_locked(self, holder: str, _seconds: float) -> None:
        if self._stopping.is_set():
            raise VaultTrouble(f"stopped while {holder} worked in the vault")

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """With the vault's own ledger."""
        with self._database.session() as session:
            self._belonging.check(session)
            yield session

    # Items

    def _verify(self) -> None:
        total = self._rows.total()
        if self.progress is not None:
            self.progress.plan(*(total if self._plan.how in ("full", "quick") else (None, None)))
        threads = max(1, min(_READERS, len(os.sched_getaffinity(0))))
        ahead: deque[tuple[Item, Future[Seen] | Seen]] = deque()
        with ThreadPoolExecutor(threads, thread_name_prefix="verify", initializer=be_idle) as readers:
            try:
                for page in self._pages():
                    for item, seen in zip(page, self._without_reading(page), strict=True):
                        self._go_on()
                        ahead.append((item, seen or readers.submit(self._examiner.read, item)))
                        while len(ahead) > _AHEAD:
                            self._take(*ahead.popleft())
                while ahead:
                    self._take(*ahead.popleft())
            finally:
                for _, one in ahead:
                    if isinstance(one, Future):
                        one.cancel()
                readers.shutdown(cancel_futures=True)
                self._settle()

    def _pages(self) -> Iterator[list[Item]]:
        match self._plan.how:
            case "sample":
                return self._rows.sample(self._plan.sample)
            case "budget":
                return self._rows.oldest_look_first(self._passed_over_since)
            case "these":
                return self._rows.these(self._plan.these)
            case _:
                return self._rows.all()

    def _without_reading(self, page: Sequence[Item]) -> list[Seen | None]:
        """What can be said of items without reading them; None for those that must be read."""
        if self._plan.how == "full":
            return [self._if_read_already(item) for item in page]
        if self._plan.how != "quick":
            return [None] * len(page)
        looks = [self._examiner.stat(item) for item in page]
        files = {
            item.id: CachedFile(self._on_disk(item), FileState.of(look))
            for item, look in zip(page, looks, strict=True)
            if not isinstance(look, Seen) and not item.may_change
        }
        standing = self._cache.stand(files.values())
        answers: list[Seen | None] = []
        for item, look in zip(page, looks, strict=True):
            if isinstance(look, Seen):
                answers.append(look)
                continue
            path = files[item.id].path if item.id in files else None
            if item.may_change:
                is_known = True  # it is there, and may be what it likes
            elif item.found in ONLY_READING_TAKES_BACK:
                is_known = False
            elif path in standing:
                is_known = standing[path] == item.sha256
            else:
                is_known = self._examiner.is_as_known(item, look) and not self._examiner.was_changed_since(item, look)
            answers.append(self._examiner.unread(item, look) if is_known else None)
        return answers

    def _if_read_already(self, item: Item) -> Seen | None:
        """What was read since the run began that this one goes on with, and is as it was then."""
        if item.verified_at is None or item.verified_at < self._passed_over_since:
            return None
        look = self._examiner.stat(item)
        if isinstance(look, Seen):
            return look
        is_known = self._examiner.is_as_known(item, look) and item.found not in ONLY_READING_TAKES_BACK
        return self._examiner.unread(item, look) if is_known else None

    def _take(self, item: Item, one: Future[Seen] | Seen) -> None:
        if isinstance(one, Future):
            while not one.done():  # a signal that comes just before a wait without end would not be seen before its end
                wait((one,), _TICK)
            one = one.result()
        self._batch.append((item, one))
        if len(self._batch) >= _BATCH or time.monotonic() - self._written > _AT_LEAST_EVERY:
            self._settle()

    # What was found

    def _settle(self) -> None:
        """Takes up a batch, and writes it. What looks wrong is asked for again: it may have gone elsewhere."""
        batch, self._batch = self._batch, []
        self._written = time.monotonic()
        if not batch:
            return
        check_here(self._vault, self._root, self._belonging.vault_id)
        settled = [(item, seen) for item, seen in batch if seen.word == "ok"]
        settled += self._confirmed([(item, seen) for item, seen in batch if seen.word != "ok"])
        check_here(self._vault, self._root, self._belonging.vault_id)
        self._write(settled)
        for item, seen in settled:
            self.done.count(item, seen)
            if self._plan.how == "these" and seen.state is not None:
                self.read_right[item.id] = seen.state
            if seen.word == "missing":
                self._lost.append(item)
            if self._repair is not None and seen.word != "ok":
                self._wrong.append((item, seen))
        if self.progress is not None:
            last = batch[-1][0]
            self.progress.reached(last.path, last.sha256)
            self._report(os.path.dirname(last.path))

    def _report(self, at: str) -> None:
        if self.progress is not None:
            done = self.done
            self.progress.steps(done.checked, done.bytes, at=at, errors=done.wrong, counts={"wrong": done.wrong})

    def _confirmed(self, bad: Sequence[tuple[Item, Seen]]) -> list[tuple[Item, Seen]]:
        """What is wrong with them still, by the rows that they have now; what has no row any more is left out.

        Whoever moves originals changes file and row under the vault's lock: under it, a file that is not at its row's
        path is missing.
        """
        confirmed: list[tuple[Item, Seen]] = []
        for _ in range(_LOOKS):
            if not bad:
                break
            again: list[Item] = []
            with self._lock():
                now = self._now([item for item, _ in bad])
                for item, seen in bad:
                    row = now.get(item.id)
                    if row is None:
                        continue
                    if not item.is_same(row) or (
                        seen.word == "missing" and not isinstance(self._examiner.stat(row), Seen)
                    ):
                        again.append(row)
                    else:
                        confirmed.append((item, seen))
            bad = []
            for item in again:
                try:
                    seen = self._examiner.read(item)
                except _Enough:  # it is not counted, and the next run looks at it
                    continue
                if seen.word == "ok":
                    confirmed.append((item, seen))
                else:
                    bad.append((item, seen))
        return [*confirmed, *bad]

    def _now(self, items: Sequence[Item]) -> dict[uuid.UUID, Item]:
        originals = [one.id for one in items if one.companion is None]
        companions = [one.id for one in items if one.companion is not None]
        found = self._rows.originals(originals) if originals else []
        found += self._rows.companions(companions) if companions else []
        return {one.id: one for one in found}

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """The vault's lock. Where it cannot be had, as on a disk that is read-only, what is seen without it counts."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._vault.lock())
            except VaultTrouble as trouble:
                logger.debug("looking without the vault's lock: %s", trouble)
            yield

    def _write(self, settled: Sequence[tuple[Item, Seen]]) -> None:
        originals = [(item, seen) for item, seen in settled if item.companion is None]
        self._rows.write(
            [item for item, seen in originals if seen.state is not None],
            self._began,
            wrong=[Wrong(item.id, seen.finding, item.text, seen.why) for item, seen in originals if seen.finding],
            right=[item.id for item, seen in originals if seen.finding is None and item.found is not None],
            times=[
                KnownTime(item.id, int8(seen.state.mtime_ns), item.since)
                for item, seen in originals
                if seen.state is not None and item.since is not None and (seen.is_touched or item.mtime_ns is None)
            ],
        )
        self._cache.remember(
            [
                (CachedFile(self._on_disk(item), seen.state), item.sha256)
                for item, seen in settled
                if seen.state is not None
            ],
            read_since=self._began.timestamp(),
        )

    def _on_disk(self, item: Item) -> str:
        return f"{self._vault.storage}/{item.path}"

    # Files without a row

    def _search(self) -> None:
        """Files that no row names, and which of them are what is missing."""
        strangers = Strangers(self._root, self._rows, self._journaled, self._go_on)
        unknown: list[Stranger] = []
        for found in strangers.found():
            with self._lock():
                unknown += strangers.still_there(found)
        check_here(self._vault, self._root, self._belonging.vault_id)
        beside = strangers.beside_originals(unknown)
        self.done.in_use += beside
        self.done.why |= dict.fromkeys(beside, "another program made it beside an original")
        unknown = [one for one in unknown if one.path not in beside]
        for one in unknown:
            (self.done.unreadable if one.is_unreadable else self.done.unknown).append(one.path)
            self.done.why[one.path] = one.why
        self.done.is_searched = True
        self._report("")
        self.done.moved = strangers.moved(self._lost, unknown)

    # What is put right

    def _put_right(self, repair: Repair) -> None:
        def go_on() -> None:
            if self._stopping.is_set():
                raise _Enough

        def here() -> None:
            check_here(self._vault, self._root, self._belonging.vault_id)

        self.done.is_complete, was_complete = False, self.done.is_complete
        repairs = Repairs(self._vault, self._root, self._rows, self._session, self._journaled, self.done, here, go_on)
        try:
            for item, seen in repairs.work(repair, self._wrong):
                here()
                self._write([(item, seen)])
                self._report(os.path.dirname(item.path))
            self.done.is_complete = was_complete
        except _Enough:
            pass
        except (SourceTrouble, VaultTrouble) as trouble:
            repairs.give_up(str(trouble))
            self.trouble = trouble
        said = self.trouble or (repair.source.trouble if repair.source is not None else "")
        self.done.trouble = str(said)
