"""Two clocks: one that dates files, and one that never jumps."""

from __future__ import annotations

import time
from typing import NamedTuple


class Now(NamedTuple):
    """One moment on both clocks, in seconds. `wall` dates files; `steady` never jumps."""

    steady: float
    wall: float


class Clock:
    """Both clocks. A wall clock that jumps never makes a file look older than we have seen it."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()

    def now(self) -> Now:
        steady = time.monotonic()
        return Now(steady, min(time.time(), steady + self._ahead))
