"""Commands that are operations: one run of long work with its row, its turn and what it shows."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Any

from Src.Factory.progress import Show, ShownProgress
from Src.Library.belonging import Belonging
from Src.Library.operation import Operation, OperationProblem, Progress, offer
from Src.Library.operations import Operations
from Src.Library.running_operation import RunningOperation
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

_WAIT_WORTH_TELLING = 2.0  # seconds


@contextmanager
def stoppable(stop: Callable[[], None]) -> Iterator[list[int]]:
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


class Stopped(OperationProblem):
    """A signal came while another operation had the turn."""


class Operating:
    """A command's work: to whom it says how far it is, and whether a signal or another command has ended it early."""

    def __init__(self, progress: Progress, was_stopped: Callable[[], bool], begun_at: datetime | None = None) -> None:
        self.progress = progress
        self.begun_at = begun_at  # when the first run of it began
        self._was_stopped = was_stopped

    @property
    def was_stopped(self) -> bool:
        return self._was_stopped()


@contextmanager
def looking(show: Show, stop: Callable[[], None]) -> Iterator[Operating]:
    """Work that changes nothing: shown, and no operation."""
    with stoppable(stop) as stopped:
        yield Operating(ShownProgress(show), lambda: bool(stopped))


@contextmanager
def operating(
    settings: Settings,
    database: Database,
    kind: str,
    parameters: Mapping[str, Any],
    *,
    show: Show,
    stop: Callable[[], None],
    gives_way: bool = False,
) -> Iterator[Operating]:
    """One run; one of the same parameters that stopped is resumed. `stop`, from a signal or a thread, ends it.
    `gives_way`: to other operations that persons begin."""
    operations = Operations(settings, database)
    told: list[str] = []

    with stoppable(stop) as stopped:

        def waiting(holder: str, seconds: float) -> None:
            if stopped:
                raise Stopped("stopped while it waited for its turn")
            if seconds > _WAIT_WORTH_TELLING and holder not in told:
                told.append(holder)
                logger.warning("waiting until %s is done: one heavy operation works at a time", holder)

        before, is_ours = _before(settings, database, operations, kind, parameters)
        with RunningOperation(
            operations,
            kind,
            parameters,
            gives_way=gives_way,
            resumes=before,
            cancel=stop,
            waiting=waiting,
            writes_row=is_ours,
            shown=[ShownProgress(show)],
        ) as running:
            yield Operating(running, lambda: bool(stopped) or running.is_cancelled, running.begun_at)
            if stopped:
                running.stopped()


def _before(
    settings: Settings, database: Database, operations: Operations, kind: str, parameters: Mapping[str, Any]
) -> tuple[Operation | None, bool]:
    """The stopped run that this one goes on with, and whether the ledger is this vault's."""
    try:
        if Belonging(settings, Vault(settings.storage)).trouble(database) is not None:
            return None, False
        return operations.like(kind, parameters), True
    except LedgerUnavailable:
        logger.debug("the database is away: whether this was begun before is not known")
        return None, True
    except VaultTrouble:  # which the work will say
        return None, False


def say_stopped(settings: Settings, database: Database) -> None:
    """Offers to go on with what stopped."""
    for one in stopped_operations(settings, database):
        logger.warning("%s", offer(one))


def stopped_operations(settings: Settings, database: Database) -> list[Operation]:
    """What a person began and can go on with; nothing while the ledger is away."""
    try:
        return Operations(settings, database).stopped()
    except LedgerUnavailable:
        return []


def absolute(path: str) -> str:
    """A path that means the same from every folder, as it was given else."""
    return os.path.abspath(path)
