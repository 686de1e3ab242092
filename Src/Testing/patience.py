"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 120.0  # seconds that no healthy machine takes, however busy it is

T = TypeVar("T")


def wait_until(condition: Callable[[], T], limit: float = PATIENCE, what: str = "it") -> T:
    """Waits until the condition is true and returns its value; fails at the end of `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        asked = time.monotonic()
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {limit:g} s: {what}"
        sleep_after_asking(asked)


def sleep_after_asking(asked: float) -> None:
    """A pause for whoever asks again and again, since then: asking is work, and what is awaited needs the machine."""
    took = time.monotonic() - asked
    time.sleep(min(0.5, max(0.01, 3 * took)))
