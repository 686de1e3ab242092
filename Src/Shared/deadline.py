"""A look at something that may never answer: a disk that hangs must not take along who only asks how it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NoAnswer(Exception):
    """It has not answered in the time it had."""


def within(seconds: float, look: Callable[[], T]) -> T:
    """What `look` returns or raises, if it does so in time; raises NoAnswer otherwise, and leaves it behind."""
    found: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.append(look())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="look", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not found:
        raise NoAnswer
    return found[0]
