"""A look that may never answer."""

from __future__ import annotations

import threading

import pytest

from Src.Shared.deadline import NoAnswer, within


def test_what_it_finds_is_returned_and_what_it_raises_raised() -> None:
    assert within(60.0, lambda: None) is None
    assert within(60.0, lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        within(60.0, lambda: 1 // 0)


def test_one_that_hangs_is_left_behind() -> None:
    never = threading.Event()
    with pytest.raises(NoAnswer):
        within(0.05, never.wait)
    never.set()
