"""Which reader starts an ExifTool, and which one takes what needs it."""

from __future__ import annotations

from Src.Librarian.read.exiftools import AHEAD, Exiftools
from Src.Librarian.read.wire import REST_AFTER


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_another_starts_where_more_waits_than_those_that_run_take_next() -> None:
    tools = Exiftools()
    assert [tools.start(1, waiting) for waiting in (0, 1, 2)] == [False, False, True]
    assert not tools.start(1, 100), "it has one"
    assert not tools.start(AHEAD, 100), "it had one from the start"
    assert [tools.start(2, waiting) for waiting in (2, 3)] == [False, True]


def test_a_reader_without_one_leaves_the_work_to_one_that_has_it_and_waits() -> None:
    tools = Exiftools()
    assert not tools.may_use(1, otherwise=True), "there is other work for it"
    assert tools.may_use(1, otherwise=False), "the first is at work"
    with tools.waits(AHEAD):
        assert not tools.may_use(1, otherwise=False)
        assert tools.may_use(AHEAD, otherwise=True)
    with tools.waits(1), tools.waits(2):
        assert tools.may_use(1, otherwise=False), "who waits without one is no reason"
    tools.use(1)
    assert tools.may_use(1, otherwise=True)


def test_after_a_rest_only_the_first_has_one() -> None:
    clock = Clock()
    tools = Exiftools(clock)
    tools.use(1)
    tools.asked(1)
    tools.asked(AHEAD)
    clock.now += REST_AFTER - 1
    assert tools.runs(1)
    clock.now += 1
    assert not tools.runs(1) and tools.runs(AHEAD)


def test_a_reader_that_has_ended_has_none_but_the_first_starts_with_its_own() -> None:
    tools = Exiftools()
    tools.use(1)
    tools.lost(1)
    tools.lost(AHEAD)
    assert not tools.runs(1) and tools.runs(AHEAD)
    assert tools.start(1, 2)
