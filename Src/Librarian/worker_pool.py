"""Worker processes that read files, on all cores. A worker that dies takes no file with it.

When a worker dies, nobody knows which file it was at. All files then in hand are read again one at a time, so that
the next death names the file; one that kills its worker twice is reported instead of being tried for ever.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from zoneinfo import ZoneInfo

from Src.Librarian.incoming import IncomingFile
from Src.Librarian.inspection import Finding, Unreadable, inspect, start_worker

logger = logging.getLogger(__name__)

_MOST_DEATHS = 2
_CHUNK_BYTES = 64 * 1024 * 1024
_AHEAD = 16  # chunks for each worker: enough to read while a batch is placed and recorded


class WorkerPool:
    """Takes files in, gives findings out, in whatever order they are ready."""

    def __init__(self, workers: int, zone: ZoneInfo, time_limit: float, *, chunk: int = 32) -> None:
        self._workers = workers
        self._start_args = (zone, time_limit)
        self._chunk = chunk
        self._queue: deque[IncomingFile] = deque()
        self._suspects: deque[IncomingFile] = deque()
        self._alone: IncomingFile | None = None  # a suspect under way, and nothing beside it
        self._deaths: dict[str, int] = {}
        self._running: dict[Future[list[Finding]], list[IncomingFile]] = {}
        self._executor: ProcessPoolExecutor | None = None

    def __len__(self) -> int:
        """Files taken in and not given out yet."""
        return len(self._queue) + len(self._suspects) + sum(map(len, self._running.values()))

    def start(self) -> None:
        """Starts the workers ahead of the first file."""
        self._submit([])

    def put(self, files: Sequence[IncomingFile]) -> None:
        """Takes files in."""
        self._queue.extend(files)
        self._feed()

    def get(self, timeout: float) -> list[Finding]:
        """Findings that are ready; waits for the first of them up to `timeout` seconds."""
        self._feed()
        if not self._running:
            return []
        finished, _ = wait(self._running, timeout=timeout, return_when=FIRST_COMPLETED)
        findings: list[Finding] = []
        broken = False
        for future in finished:
            files = self._running.pop(future)
            broken |= isinstance(future.exception(), BrokenProcessPool)
            findings += self._result(future, files)
        if broken:
            logger.warning("a worker process died; its files are read again one by one")
            findings += self._start_over()
        for finding in findings:
            self._deaths.pop(finding.file.path, None)
        self._feed()
        return findings

    def _result(self, future: Future[list[Finding]], files: list[IncomingFile]) -> list[Finding]:
        """A worker's findings; where it failed, its files become suspects."""
        error = future.exception()
        if error is None:
            return future.result()
        if not isinstance(error, BrokenProcessPool):
            logger.error("reading failed: %s", error, exc_info=error)
        if self._alone is not None:  # nothing was beside it: it is the one
            path = self._alone.path
            self._deaths[path] = self._deaths.get(path, 0) + 1
            if self._deaths[path] >= _MOST_DEATHS:
                return [Unreadable(files[0], "reading it ends the reading process; is it damaged?")]
        self._suspects.extend(files)
        return []

    def close(self) -> None:
        """Ends the workers; what they are at is dropped, the inbox still has it."""
        self._kill()
        self._queue.clear()
        self._suspects.clear()
        self._running.clear()

    def _feed(self) -> None:
        if not self._running:
            self._alone = None
        if self._alone is not None:
            return
        if self._suspects:
            if not self._running:
                self._alone = self._suspects.popleft()
                self._submit([self._alone])
            return
        while self._queue and len(self._running) < _AHEAD * self._workers:
            self._submit(self._next_chunk())

    def _next_chunk(self) -> list[IncomingFile]:
        most = min(self._chunk, max(1, len(self._queue) // self._workers))
        files = [self._queue.popleft()]
        size = files[0].state.size
        while self._queue and len(files) < most and (size := size + self._queue[0].state.size) <= _CHUNK_BYTES:
            files.append(self._queue.popleft())
        return files

    def _submit(self, files: list[IncomingFile]) -> None:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),  # this process has threads: no fork
                initializer=start_worker,
                initargs=self._start_args,
            )
        try:
            self._running[self._executor.submit(inspect, files)] = files
        except BrokenProcessPool:  # it died while idle
            (self._queue if self._alone is None else self._suspects).extendleft(reversed(files))
            self._kill()

    def _start_over(self) -> list[Finding]:
        """A broken pool answers no more: what it has finished is taken, the rest is read again."""
        self._kill()
        running, self._running = self._running, {}
        findings: list[Finding] = []
        for future, files in running.items():
            # Nothing is under way any more. What the shutdown cancelled never ends for `wait`: not waited for.
            if not future.done() or future.cancelled() or future.exception() is not None:
                self._suspects.extend(files)
            else:
                findings += future.result()
        return findings

    def _kill(self) -> None:
        """Ends the workers at once: they only read."""
        for child in multiprocessing.active_children():
            child.kill()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None
