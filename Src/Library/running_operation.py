"""An operation while it runs: its turn, its lock, and its row, which a thread keeps up to date.

The work itself only calls `plan`, `steps` and `reached`; it waits for no ledger. The row is best effort: while the
ledger is away it is not written, and what the operation does goes on as it would without.
"""

from __future__ import annotations

import getpass
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from sqlalchemy.exc import SQLAlchemyError

from Src.Library.heavy_work import HeavyWork, Waiting
from Src.Library.operation import NOTHING, Operation, OperationProblem, Progress, Status, short
from Src.Library.operations import Operations
from Src.Shared.database import LedgerUnavailable
from Src.Shared.disk.locks import lock_now, open_lock
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.errors import FactoryError
from Src.Shared.models import new_id

logger = logging.getLogger(__name__)

HEARTBEAT = 2.0  # seconds
CHECKPOINT_FILES = 100
_LOCK_LIMIT = 5.0  # seconds: somebody who asks whether it runs holds the lock for no time
_WHILE_AWAY = 30.0  # seconds until the ledger is asked again
_TURN_ASKED = 0.5  # seconds: how often scheduled work asks whether it may go on
_SPEED_OVER = 0.5  # seconds, at least


class RunningOperation:
    """One run of an operation; a context manager, and a Progress for the work inside it.

    An exception that leaves the block is its failure, `stopped` and a KeyboardInterrupt a stop: it can be resumed.
    """

    def __init__(
        self,
        operations: Operations,
        kind: str,
        parameters: Mapping[str, Any],
        *,
        is_scheduled: bool = False,
        gives_way: bool = False,
        who: str | None = None,
        resumes: Operation | None = None,
        cancel: Callable[[], None] | None = None,
        waiting: Waiting | None = None,
        writes_row: bool = True,
        shown: Sequence[Progress] = (),
    ) -> None:
        """`cancel` is called, from a thread, when somebody has asked that it ends. `waiting`: while another has the
        turn. `writes_row`: else the ledger is another vault's. `shown` get what the work says, too. `gives_way`: to
        other operations of persons, as what is scheduled does."""
        now = datetime.now(UTC)
        begun = resumes or Operation(
            id=new_id(),
            kind=kind,
            parameters=dict(parameters),
            who="",
            is_scheduled=is_scheduled,
            status="pending",
            done=0,
            total=None,
            current_item=None,
            checkpoint=None,
            per_second=None,
            errors=0,
            message=None,
            asked=None,
            runs=0,
            host="",
            pid=0,
            created_at=now,
            started_at=None,
            heartbeat_at=now,
            ended_at=None,
        )
        self._row = replace(
            begun,
            who=who or _user(),
            status="pending",
            message=None,
            errors=0,
            runs=begun.runs + 1,
            host=socket.gethostname(),
            pid=os.getpid(),
            ended_at=None,
        )
        self._operations = operations
        self._writes_row = writes_row
        self._cancel = cancel
        self._waiting = waiting or (lambda _holder, _seconds: None)
        self._shown = tuple(shown)
        self._gives_way = is_scheduled or gives_way
        self._turn = HeavyWork(operations.folder, is_scheduled=self._gives_way)
        self._lock: int | None = None
        self._mutex = threading.Lock()  # of the row
        self._due = threading.Event()
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="operation", daemon=True)
        self._is_planned = False
        self._written = 0
        self._began = time.monotonic()
        self._away, self._again, self._is_first = False, 0.0, True
        self.is_cancelled = False
        self.is_stopped = False

    @property
    def id(self) -> uuid.UUID:
        return self._row.id

    @property
    def begun_at(self) -> datetime:
        """When its first run began."""
        return self._row.created_at

    def __enter__(self) -> Self:
        try:
            make_folder(self._operations.folder, PRIVATE)
            self._take_lock()
            self._keeper.start()
            self._turn.begin(self._wait)
        except OSError as error:
            logger.warning("this operation can be seen by no other command, and works beside others: %s", error)
            if not self._keeper.ident:
                self._keeper.start()
        except BaseException:
            self._end("cancelled" if self.is_cancelled else "paused", "while it waited for its turn")
            raise
        self._began = time.monotonic()
        with self._mutex:
            self._row = replace(self._row, status="running", started_at=datetime.now(UTC))
        self._due.set()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self.is_cancelled:
            self._end("cancelled", "cancelled")
        elif self.is_stopped or isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            self._end("paused", "stopped")
        elif error is not None:
            self._end("failed", str(error) if isinstance(error, FactoryError) else f"a defect: {error!r}")
        else:
            self._end("completed", None)

    def stopped(self) -> None:
        """The work ended before all was done, because it was told to. It can be resumed."""
        self.is_stopped = True

    # What the work says

    def plan(self, files: int | None, size: int | None = None) -> None:
        with self._mutex:
            self._row = replace(self._row, total=files, done=0)
            self._is_planned = True
        self._began, self._written = time.monotonic(), 0
        self._due.set()
        for one in self._shown:
            one.plan(files, size)

    def steps(
        self, files: int, size: int = 0, *, at: str = "", errors: int = 0, counts: Mapping[str, int] = NOTHING
    ) -> None:
        seconds = time.monotonic() - self._began
        speed = files / seconds if seconds > _SPEED_OVER else None
        with self._mutex:
            if self._is_planned:
                self._row = replace(self._row, done=files, current_item=at or None, errors=errors, per_second=speed)
            else:  # what there is to do is counted; how far an earlier run has come is not forgotten for that
                self._row = replace(self._row, current_item=at or None)
        if self._is_planned and files - self._written >= CHECKPOINT_FILES:
            self._due.set()
        for one in self._shown:
            one.steps(files, size, at=at, errors=errors, counts=counts)
        self.give_way()

    def reached(self, path: str, sha256: str | None) -> None:
        with self._mutex:
            self._row = replace(self._row, checkpoint={"path": path, "sha256": sha256})
        for one in self._shown:
            one.reached(path, sha256)

    def give_way(self) -> None:
        """Where this is scheduled work and a person's waits: lets that go first. It may be called often."""

        def paused() -> None:
            self._set("paused")

        try:
            self._turn.give_way(paused, self._wait)
        finally:
            if self._row.status == "paused":
                self._set("running")

    def _wait(self, holder: str, seconds: float) -> None:
        """Another has the turn. Raises what `waiting` raises, and OperationProblem."""
        self._waiting(holder, seconds)
        if self.is_cancelled:
            raise OperationProblem(f"operation {short(self.id)} was cancelled before its turn")
        if self._gives_way:
            self._ended.wait(_TURN_ASKED)

    def _set(self, status: Status) -> None:
        with self._mutex:
            self._row = replace(self._row, status=status)
        self._due.set()

    # The row

    def _take_lock(self) -> None:
        """Raises OperationProblem where another process runs it, and OSError."""
        lock = open_lock(self._operations.lock_of(self.id))
        end = time.monotonic() + _LOCK_LIMIT
        while not lock_now(lock):
            if time.monotonic() > end:
                os.close(lock)
                raise OperationProblem(f"operation {short(self.id)} runs already")
            time.sleep(0.05)
        if not os.fstat(lock).st_nlink:  # it was just ending
            os.close(lock)
            raise OperationProblem(f"operation {short(self.id)} has ended meanwhile")
        self._lock = lock

    def _keep(self) -> None:
        while not self._ended.is_set():
            self._due.wait(HEARTBEAT)
            self._due.clear()
            if not self._ended.is_set():
                self._write()

    def _write(self) -> None:
        with self._mutex:
            row = self._row = replace(self._row, heartbeat_at=datetime.now(UTC))
        if not self._writes_row or time.monotonic() < self._again:
            return
        try:
            asked = self._operations.save(row, first=self._is_first)
        except (LedgerUnavailable, SQLAlchemyError) as error:
            if not self._away:
                logger.debug("the operation's row is not written now: %s", error)
            self._away, self._again = True, time.monotonic() + _WHILE_AWAY
            return
        self._away = self._is_first = False
        self._written = row.done
        if asked == "cancel" and not self.is_cancelled:
            self.is_cancelled = True
            if self._cancel is not None:
                self._cancel()

    def _end(self, status: Status, message: str | None) -> None:
        self._turn.end()
        self._ended.set()
        self._due.set()
        if self._keeper.ident:
            self._keeper.join()
        if self._lock is None and status == "paused":
            return  # another process runs it, and its row is that one's
        with self._mutex:
            self._row = replace(self._row, status=status, message=message, ended_at=datetime.now(UTC))
        self._write()
        if self._lock is not None:
            if status != "paused" and status != "failed" and not self._away:
                self._operations.lock_of(self.id).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return str(os.geteuid())
