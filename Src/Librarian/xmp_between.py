"""XMP files beside originals, between two batches of the inbox: what people decided is written into them, and what
other programs wrote there is noticed. None of that ever keeps a photo from being filed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from Src.Library.xmp.looking import XmpLook
from Src.Library.xmp.writing import Done, XmpFiles
from Src.Shared.database import LedgerUnavailable
from Src.Shared.errors import FactoryError
from Src.Shared.words import counted

logger = logging.getLogger(__name__)

_INTERVAL = 1.0  # seconds between two looks for decisions; each costs a look at an index that is nearly always empty
_AT_ONCE = 1.0  # seconds: photos wait for no longer
_AFTER_TROUBLE = 30.0
_PAUSE = 60.0  # seconds between two rounds, at least ...
_SHARE = 20  # ... and this many times as long as a round has worked


class XmpBetween:
    """Works for a moment at a time."""

    def __init__(self, files: XmpFiles, look: XmpLook, steady_time: Callable[[], float], *, writes: bool) -> None:
        self._files = files
        self._look = look
        self._now = steady_time
        self._writes = writes
        self._next_write = self._next_round = float("-inf")
        self._round: Iterator[Done] | None = None
        self._worked = 0.0  # seconds, in this round
        self._trouble: dict[str, str] = {}  # what was said last, by what could not be done

    def step(self) -> None:
        """A moment's work, where there is any. What fails in one of the two keeps the other from nothing."""
        if self._writes and self._now() >= self._next_write and not self._is_done(self._write, "written"):
            self._next_write = self._now() + _AFTER_TROUBLE
        if self._now() >= self._next_round and not self._is_done(self._go_round, "read"):
            self._round = None
            self._next_round = self._now() + _AFTER_TROUBLE

    def _is_done(self, work: Callable[[], None], what: str) -> bool:
        try:
            work()
        except LedgerUnavailable:
            return False  # said by whoever files next
        except FactoryError as error:
            if str(error) != self._trouble.get(what):
                logger.warning("XMP files beside originals are not %s for now: %s", what, error)
            self._trouble[what] = str(error)
            return False
        except Exception:
            logger.exception("a defect, please report it: XMP files beside originals are not %s", what)
            return False
        self._trouble.pop(what, None)
        return True

    def _write(self) -> None:
        until = self._now() + _AT_ONCE
        while self._files.are_waiting():
            done = self._files.write()
            if not done.originals or self._now() >= until:
                break
        else:
            self._next_write = self._now() + _INTERVAL

    def _go_round(self) -> None:
        began = self._now()
        if self._round is None:
            self._round, self._worked = self._look.round(), 0.0
        for done in self._round:
            if done.taken_over:
                logger.info("took over what other programs wrote into %s", counted(done.taken_over, "XMP file"))
            if self._now() - began >= _AT_ONCE:
                break
        else:
            self._round = None
        self._worked += self._now() - began
        if self._round is None:
            self._next_round = self._now() + max(_PAUSE, _SHARE * self._worked)
