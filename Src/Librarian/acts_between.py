"""Acts that touch files, carried out between two batches of the inbox: those that the dashboard has written, and those
that a killed command has left. None of them ever keeps a photo from being filed.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

from Src.Library.file_acts import FileActs, Progress
from Src.Shared.database import LedgerUnavailable
from Src.Shared.errors import FactoryError

logger = logging.getLogger(__name__)

_INTERVAL = 1.0  # seconds between two looks for an act; each costs one look at an index that is nearly always empty
_AFTER_TROUBLE = 30.0


class ActsBetween:
    """Carries out one batch of an act at a time."""

    def __init__(self, file_acts: FileActs, steady_time: Callable[[], float]) -> None:
        self._acts = file_acts
        self._now = steady_time
        self._next_look = float("-inf")
        self._turn: AbstractContextManager[bool] | None = None
        self._steps: Generator[Progress, None, None] | None = None
        self._act: uuid.UUID | None = None

    def step(self) -> bool:
        """One batch, where an act waits and no other process carries out acts; whether there is more to do at once."""
        try:
            if self._steps is None and not self._begin():
                return False
            assert self._steps is not None
            if next(self._steps, None) is not None:
                return True
        except LedgerUnavailable:
            self._next_look = self._now() + _AFTER_TROUBLE  # the act is open, and goes on then
        except FactoryError as error:
            logger.error("an act cannot be carried out now: %s", error)
            self._next_look = self._now() + _AFTER_TROUBLE
        except Exception as error:
            logger.exception("a defect, please report it: the act %s has failed", self._act)
            self._next_look = self._now() + _AFTER_TROUBLE
            self._fail(error)
        self.close()
        return False

    def close(self) -> None:
        """Leaves an act that is under way: it is gone on with at the next start."""
        if self._steps is not None:
            self._steps.close()
        if self._turn is not None:
            self._turn.__exit__(None, None, None)
        self._turn = self._steps = self._act = None

    def _begin(self) -> bool:
        if self._now() < self._next_look:
            return False
        self._next_look = self._now() + _INTERVAL
        waiting = self._acts.open_acts()
        if not waiting:
            return False
        turn = self._acts.turn()
        if not turn.__enter__():
            turn.__exit__(None, None, None)
            return False
        self._turn, self._act = turn, waiting[0]
        self._steps = self._acts.steps(self._act)
        return True

    def _fail(self, error: Exception) -> None:
        try:
            if self._act is not None:
                self._acts.fail(self._act, f"a defect in Photo Factory: {error!r}")
        except FactoryError as trouble:
            logger.error("what became of the act %s cannot be written: %s", self._act, trouble)
