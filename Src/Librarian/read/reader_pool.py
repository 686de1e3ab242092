"""Reader processes on all cores. A reader that dies takes no file with it, and a slow file holds up no other.

A reader's death names the files that it had in hand. They are read again one at a time, each alone in a fresh process;
one that kills it twice so is reported instead of being tried for ever.

There are two lanes. Large files, those that only ExifTool can read, and those that are read again alone, are slow:
while others wait, one reader at most serves them, and where they occupy all readers, a spare one serves the others. A
reader hands over to that lane what no fast reader answers, so files that need no ExifTool never wait for it.

ExifTool runs in the readers, one in each at most, and takes a tenth of a second and more to start. The first reader's
starts ahead of the first file. Another's starts while that reader still serves the quick lane, where more waits than
those which run take next (`Exiftools`). Idle for long, only the first reader keeps one.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from Src.Librarian.passage import IncomingFile, Inspection, Unreadable
from Src.Librarian.read.exiftools import AHEAD, Exiftools
from Src.Librarian.read.reader_process import Orders, ReaderDied, ReaderDoesNotStart, ReaderProcess
from Src.Librarian.read.wire import HandedOver, Known, Later, Reply, Request
from Src.Media.readers import readings
from Src.Media.readers.readings import Readings

logger = logging.getLogger(__name__)

LARGE = 256 * 1024 * 1024  # bytes; seconds of reading on a slow disk
_MOST_DEATHS = 2
_CHUNK_BYTES = 64 * 1024 * 1024
_END_LIMIT = 10.0  # seconds
# Seconds before another start: one that is killed while it starts, or finds no memory just then, blames no file.
_PAUSES = (0.1, 0.5)


@dataclass(frozen=True, slots=True)
class _Task:
    """Files for one reader."""

    files: list[IncomingFile]
    slow: bool = False
    alone: bool = False  # as if nothing had been read before
    anew: bool = False  # in a new process
    known: list[Known] | None = None  # of each file, where ExifTool must read them
    exiftool_next: bool = False  # its reader's ExifTool is to start meanwhile


class ReaderPool:
    """Takes files in, gives inspections out, in whatever order they are ready."""

    def __init__(
        self,
        readers: int,
        zone: ZoneInfo,
        time_limit: float,
        *,
        chunk: int = 32,
        readable: Sequence[Path] | None = None,
        trust_any_version: bool = False,
    ) -> None:
        """`readable`: what the readers may read at all (None: everything)."""
        self._readers = readers
        self.zone = zone
        self._time_limit = time_limit
        self._chunk = chunk
        self._readable = None if readable is None else [str(path) for path in readable]
        self._trust_any_version = trust_any_version
        self._changed = threading.Condition()
        # All below is under that lock.
        self._quick: deque[IncomingFile] = deque()
        self._slow: deque[_Task] = deque()
        self._slow_in_hand = 0
        self._quick_in_hand = 0
        self._ready: deque[Inspection] = deque()
        self._taken_in = 0  # and not given out yet
        self._deaths: dict[str, int] = {}
        self._readings: Readings = Counter()
        self._exiftools = Exiftools()
        self._crew: _Crew | None = None

    def __len__(self) -> int:
        """Files taken in and not given out yet."""
        return self._taken_in

    @property
    def quick(self) -> int:
        """How many of them are not in the slow lane: what a newcomer waits for."""
        with self._changed:
            return len(self._quick) + self._quick_in_hand + len(self._ready)

    @property
    def readings(self) -> Readings:
        """How many files fast readers have read so far, and how many ExifTool."""
        with self._changed:
            return self._readings.copy()

    def start(self) -> None:
        """Starts the readers ahead of the first file."""
        if self._crew is None:
            names_in = tempfile.mkdtemp(prefix="exiftool-names-")
            orders = Orders(
                getattr(self.zone, "key", None), self._time_limit, self._trust_any_version, names_in, self._readable
            )
            self._crew = _Crew(self, orders, self._readers)

    def put(self, files: Sequence[IncomingFile]) -> None:
        """Takes files in."""
        if not files:
            return
        with self._changed:
            for file in files:
                if file.state.size >= LARGE:
                    self._slow.append(_Task([file], slow=True))
                else:
                    self._quick.append(file)
            self._taken_in += len(files)
            self._changed.notify_all()
        self.start()

    def get(self, timeout: float) -> list[Inspection]:
        """Inspections that are ready; waits for the first of them up to `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or not self._taken_in, timeout)
            inspections = list(self._ready)
            self._ready.clear()
            self._taken_in -= len(inspections)
            return inspections

    def close(self) -> None:
        """Ends the readers; what they are at is dropped, the inbox still has it."""
        if self._crew is not None:
            self._crew.end()
            self._crew = None
        with self._changed:
            self._quick.clear()
            self._slow.clear()
            self._ready.clear()
            self._deaths.clear()
            self._exiftools = Exiftools()
            self._taken_in = self._slow_in_hand = self._quick_in_hand = 0

    # For the threads of the crew

    def take(self, crew: _Crew, at: int) -> _Task | None:
        """The next task for a reader, by its number; the one after the last is the spare. None: it is over."""
        spare = at == self._readers
        with self._changed:
            while not crew.over:
                if self._slow and not spare and self._may_take_slow(at):
                    self._slow_in_hand += 1
                    self._changed.notify_all()
                    task = self._slow.popleft()
                    if task.known is not None or task.alone:
                        self._exiftools.use(at)
                    return task
                if self._quick and (not spare or self._slow_in_hand >= self._readers):
                    files = self._next_chunk()
                    self._quick_in_hand += len(files)
                    waiting = sum(task.known is not None for task in self._slow)
                    return _Task(files, exiftool_next=not spare and self._exiftools.start(at, waiting))
                with self._exiftools.waits(at):
                    self._changed.wait()
            return None

    def _may_take_slow(self, at: int) -> bool:
        if self._slow_in_hand and self._quick:
            return False
        # To start an ExifTool takes longer than the next turn of a reader that has one.
        return self._slow[0].known is None or self._exiftools.may_use(at, otherwise=bool(self._quick))

    def wake(self) -> None:
        """Lets all look up."""
        with self._changed:
            self._changed.notify_all()

    def give(self, crew: _Crew, at: int, task: _Task, answer: Reply | ReaderDied) -> None:
        """What became of a task."""
        with self._changed:
            if crew.over:
                return
            self._exiftools.asked(at)
            if task.slow:
                self._slow_in_hand -= 1
            else:
                self._quick_in_hand -= len(task.files)
            if isinstance(answer, ReaderDied):
                self._exiftools.lost(at)
                answer = Reply(self._after_death(task, answer))
            readings.add(self._readings, answer.readings)
            for finding in answer.inspections:
                if isinstance(finding, HandedOver):
                    self._hand_over(finding)
                    continue
                if isinstance(finding, Later):
                    if not task.alone:
                        self._slow.append(_Task([finding.file], slow=True, alone=True))
                        continue
                    finding = Unreadable(finding.file, finding.reason)
                self._deaths.pop(finding.file.path, None)
                self._ready.append(finding)
            self._changed.notify_all()

    def _hand_over(self, one: HandedOver) -> None:
        """Adds a file to the last task for ExifTool, or begins another."""
        last = self._slow[-1] if self._slow else None
        if last is None or last.known is None or len(last.files) >= self._chunk:
            last = _Task([], slow=True, known=[])
            self._slow.append(last)
        assert last.known is not None
        last.files.append(one.file)
        last.known.append(one.known)

    def _after_death(self, task: _Task, death: ReaderDied) -> list[Inspection]:
        if task.anew:  # it was alone in a fresh process: it is the one
            (file,) = task.files
            self._deaths[file.path] = self._deaths.get(file.path, 0) + 1
            if self._deaths[file.path] >= _MOST_DEATHS:
                return [Unreadable(file, "reading it ends the reading process; is it damaged?")]
        logger.warning("%s; its files are read again one by one", death)
        self._slow.extend(_Task([file], slow=True, alone=True, anew=True) for file in task.files)
        return []

    def _next_chunk(self) -> list[IncomingFile]:
        most = min(self._chunk, max(1, len(self._quick) // self._readers))
        files = [self._quick.popleft()]
        size = files[0].state.size
        while self._quick and len(files) < most and (size := size + self._quick[0].state.size) <= _CHUNK_BYTES:
            files.append(self._quick.popleft())
        return files


class _Crew:
    """The readers of a pool, each with a thread that asks it and waits for it."""

    def __init__(self, pool: ReaderPool, orders: Orders, readers: int) -> None:
        self.over = False
        self._pool = pool
        self._orders = orders
        turn = threading.Lock()
        self._readers = [ReaderProcess(replace(orders, exiftool_ahead=at == AHEAD), turn) for at in range(readers + 1)]
        self._threads = [
            threading.Thread(target=self._serve, args=(reader, at, at == readers), name=f"reader {at}", daemon=True)
            for at, reader in enumerate(self._readers)
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """At once: readers only read."""
        self.over = True
        self._pool.wake()
        for reader in self._readers:
            reader.close()
        until = time.monotonic() + _END_LIMIT
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        shutil.rmtree(self._orders.names_in, ignore_errors=True)

    def _serve(self, reader: ReaderProcess, at: int, spare: bool) -> None:
        """`spare`: its process is started when it is needed, the others ahead of the first file."""
        try:
            if not spare:
                self._warm(reader)
            while (task := self._pool.take(self, at)) is not None:
                self._pool.give(self, at, task, self._read(reader, task))
        finally:
            reader.end()

    def _warm(self, reader: ReaderProcess) -> None:
        try:
            reader.start()
        except ReaderDoesNotStart as reason:
            if not self.over:  # else we have ended it ourselves: nothing was left to read
                logger.error("%s", reason)

    def _read(self, reader: ReaderProcess, task: _Task) -> Reply | ReaderDied:
        if task.anew:
            reader.end()
        now = datetime.now(self._pool.zone).replace(tzinfo=None)
        request = Request(task.files, now, task.alone, task.known, task.exiftool_next)
        for pause in (*_PAUSES, None):
            try:
                return reader.ask(request)
            except ReaderDoesNotStart as reason:
                if pause is None or self.over:
                    return Reply([Unreadable(file, str(reason)) for file in task.files])
                time.sleep(pause)
            except ReaderDied as death:
                return death
        raise AssertionError
