"""What a look at one thing found, and the checks that look."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["OK", "WARNING", "ERROR", "STOPPED"]  # STOPPED: it was told to end, and did

DEADLINE = 20.0  # seconds; no round waits longer for a check

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is: a service, a disk, a container."""

    state: State
    message: str | None = None  # the reason, where it is not OK
    advice: str | None = None  # what a person can do about it
    task: str = ""  # what it is doing
    details: dict[str, Any] = field(default_factory=dict)  # numbers, as JSON can hold them


Findings = Mapping[str, Finding]  # by what they are about: "factory-db", "vault disk", "container librarian"


class Check:
    """One look that is taken again and again, each time in a thread of its own: it may hang, and stops nobody."""

    def __init__(self, name: str, look: Callable[[], Findings], limit: float = DEADLINE) -> None:
        """`limit`: seconds after which it is said to hang. `name` is what that is said about."""
        self.name = name
        self._look = look
        self._limit = limit
        self._thread: threading.Thread | None = None
        self._began = 0.0
        self._began_at = datetime.now(UTC)
        self._found: Findings = {}

    def start(self) -> None:
        """Begins to look, if the last look has ended: one that hangs gets no company."""
        if self._runs():
            return
        self._began, self._began_at = time.monotonic(), datetime.now(UTC)
        self._thread = threading.Thread(target=self._run, name=f"check {self.name}", daemon=True)
        self._thread.start()

    @property
    def awaited(self) -> bool:
        """It is looking, and is worth waiting for."""
        return self._runs() and time.monotonic() - self._began < min(self._limit, DEADLINE)

    @property
    def findings(self) -> Findings:
        """What the last look found; nothing while it takes its time; that it hangs, when it does."""
        if not self._runs():
            return self._found
        if time.monotonic() - self._began < self._limit:
            return {}
        since = f"{self._began_at:%Y-%m-%d %H:%M:%S} UTC"
        return {self.name: Finding("ERROR", f"the check hangs: no answer since {since}", "see what it waits for")}

    def _runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._found = self._look()
        except Exception as error:  # a defect of one check must not blind the others
            logger.exception("the check of %s failed, please report it", self.name)
            self._found = {self.name: Finding("ERROR", f"the check failed: {error!r}", "please report it")}
