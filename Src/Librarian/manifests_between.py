"""The signed lists of days and the seals of events, between two batches of the inbox.

At most a minute behind, and never in a photo's way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from Src.Library.custody.manifests.store import BeingWritten
from Src.Library.custody.manifests.writing import DAYS, Manifests
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import LedgerUnavailable

logger = logging.getLogger(__name__)

_INTERVAL = 20.0  # seconds between two looks; what is filed meanwhile is written at once
_AT_ONCE = 1.0  # seconds: photos wait for not much longer
_FIRST = 2  # days at once; then as many as that time allows ...
_MOST = DAYS // 2  # ... and no more
_SHARE = 5  # times as long as that, then, there is none of it
_AFTER_DEFECT = 300.0
_REFUSED_AGAIN = 600.0  # what a person must move away is looked at again


class ManifestsBetween:
    """Works for a moment at a time."""

    def __init__(self, manifests: Manifests, steady_time: Callable[[], float]) -> None:
        self._manifests = manifests
        self._now = steady_time
        self._next = float("-inf")
        self._refused_again = self._now() + _REFUSED_AGAIN
        self._failed: str | None = None
        self._days = _FIRST

    @property
    def trouble(self) -> str | None:
        """Why they are not up to date."""
        return self._failed or self._manifests.trouble

    def step(self) -> None:
        """A moment's work, where there is any. Raises nothing: no photo waits for a list."""
        if self._now() < self._next:
            return
        pause = _INTERVAL
        if self._now() >= self._refused_again:
            self._refused_again = self._now() + _REFUSED_AGAIN
            self._manifests.try_all_again()
        try:
            pause = self._write()
            self._failed = None
        except LedgerUnavailable:
            pass  # the next filing reports it
        except BeingWritten as error:  # later, then
            logger.debug("%s", error)
        except VaultTrouble as error:
            if str(error) != self._failed:
                logger.warning("the signed lists of the photos are not up to date: %s", error)
            self._failed = str(error)
        except Exception as error:
            logger.exception("a defect, please report it: the signed lists of the photos are not written")
            self._failed = f"a defect in Photo Factory: {error!r}"
            pause = _AFTER_DEFECT
        self._next = self._now() + pause

    def _write(self) -> float:
        """Until when there is none of it: so many seconds."""
        began = self._now()
        self._manifests.take_up()
        while self._manifests.are_behind():
            asked, before = self._days, self._now()
            written = self._manifests.write(asked)
            done = written.days
            if not written.is_something:
                break
            worked, took = self._now() - began, self._now() - before
            if took > _AT_ONCE and done:
                self._days = max(1, int(done * _AT_ONCE / took))
            elif done == asked:  # else it says nothing of more
                self._days = min(2 * asked, _MOST)
            if worked + took >= _AT_ONCE:
                return _SHARE * worked
        return _INTERVAL
