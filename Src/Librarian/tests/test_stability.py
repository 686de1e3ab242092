"""Which files are complete? The rules, against a model that knows all that ever happened."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from Src.Librarian.watch.clock import Now
from Src.Librarian.watch.stability import StabilityTracker
from Src.Shared.disk.files import FileState

DELAY, MIN_AGE = 5.0, 2.0
START = Now(1000.0, 50_000.0)


def state(ctime: float, size: int = 1, inode: int = 1) -> FileState:
    return FileState(size, 0, int(ctime * 1e9), inode, 1)


def after(seconds: float, now: Now = START) -> Now:
    return Now(now.steady + seconds, now.wall + seconds)


def complete(tracker: StabilityTracker, path: str, state: FileState, now: Now) -> bool:
    return path in list(tracker.due(now)) and tracker.complete(path, state, now)


@pytest.fixture
def tracker() -> StabilityTracker:
    return StabilityTracker(DELAY, MIN_AGE)


def test_a_file_that_nothing_changes_is_complete_after_the_delay_and_not_before(tracker: StabilityTracker) -> None:
    new = state(START.wall)
    tracker.see("a", new, START)
    assert tracker.next_due() == START.steady + DELAY
    assert not list(tracker.due(after(DELAY - 0.25)))
    assert complete(tracker, "a", new, after(DELAY))
    assert "a" not in tracker and tracker.next_due() is None


def test_every_change_begins_the_delay_anew(tracker: StabilityTracker) -> None:
    tracker.see("a", state(START.wall), START)
    tracker.see("a", state(START.wall + 3, size=2), after(3))
    assert not list(tracker.due(after(DELAY)))
    assert complete(tracker, "a", state(START.wall + 3, size=2), after(3 + DELAY))


def test_a_change_that_was_not_seen_before_begins_the_delay_anew(tracker: StabilityTracker) -> None:
    tracker.see("a", state(START.wall), START)
    assert list(tracker.due(after(DELAY))) == ["a"]
    assert not tracker.complete("a", state(START.wall + 4, size=2), after(DELAY))
    assert not list(tracker.due(after(4 + DELAY - 0.25)))
    assert complete(tracker, "a", state(START.wall + 4, size=2), after(4 + DELAY))


def test_an_old_ctime_shows_that_nobody_writes(tracker: StabilityTracker) -> None:
    old = state(START.wall - 3600)
    tracker.see("a", old, START)
    assert complete(tracker, "a", old, START)


def test_an_old_ctime_shows_nothing_where_others_keep_the_clock() -> None:
    tracker = StabilityTracker(DELAY, MIN_AGE, trust_ctime=False)
    old = state(START.wall - 3600)
    tracker.see("a", old, START)
    assert not list(tracker.due(after(DELAY - 0.25)))
    assert complete(tracker, "a", old, after(DELAY))


def test_a_file_is_never_complete_before_its_least_age() -> None:
    tracker = StabilityTracker(0.0, MIN_AGE)
    new = state(START.wall)
    tracker.see("a", new, START)
    assert not list(tracker.due(after(MIN_AGE - 0.25)))
    assert complete(tracker, "a", new, after(MIN_AGE))


@pytest.mark.parametrize("ahead", [0.5, 3600.0, 10 * 365 * 86400.0])
def test_a_ctime_in_the_future_does_not_keep_a_file_for_ever(tracker: StabilityTracker, ahead: float) -> None:
    future = state(START.wall + ahead)
    tracker.see("a", future, START)
    assert not list(tracker.due(after(DELAY - 0.25)))
    assert complete(tracker, "a", future, after(DELAY))


def test_a_renamed_file_is_complete_at_once(tracker: StabilityTracker) -> None:
    new = state(START.wall)
    tracker.see("a", new, START, renamed=True)
    assert complete(tracker, "a", new, START)


def test_a_file_seen_while_it_was_written_is_complete_at_once_when_renamed(tracker: StabilityTracker) -> None:
    tracker.see("a", state(START.wall), START)
    new = state(START.wall + 1, inode=2)
    tracker.see("a", new, after(1), renamed=True)
    assert complete(tracker, "a", new, after(1))


def test_a_renamed_file_that_changes_before_it_is_looked_at_waits(tracker: StabilityTracker) -> None:
    tracker.see("a", state(START.wall), START, renamed=True)
    assert list(tracker.due(START)) == ["a"]
    assert not tracker.complete("a", state(START.wall, size=2), START)
    assert not list(tracker.due(after(DELAY - 0.25)))


def test_seeing_a_renamed_file_again_does_not_make_it_wait(tracker: StabilityTracker) -> None:
    new = state(START.wall)
    tracker.see("a", new, START, renamed=True)
    tracker.see("a", new, START)
    assert complete(tracker, "a", new, START)


def test_a_file_that_was_put_back_waits_the_whole_delay_however_old_it_is(tracker: StabilityTracker) -> None:
    old = state(START.wall - 3600)
    tracker.put_back("a", old, START)
    tracker.see("a", old, after(1))
    assert not list(tracker.due(after(DELAY - 0.25)))
    assert complete(tracker, "a", old, after(DELAY))


def test_a_file_that_has_gone_is_not_asked_for(tracker: StabilityTracker) -> None:
    tracker.see("a", state(START.wall), START)
    tracker.forget("a")
    assert not list(tracker.due(after(3600))) and not len(tracker) and tracker.next_due() is None


# Where the kernel gives no lease

REST, SILENCE = 300.0, 14_400.0


@pytest.fixture
def patient() -> StabilityTracker:
    return StabilityTracker(DELAY, MIN_AGE, rest_without_lease=REST, longest_silence=SILENCE)


def rests(tracker: StabilityTracker, path: str, state: FileState, now: Now) -> bool:
    return path in list(tracker.due(now)) and tracker.complete(path, state, now, leased=False)


def test_without_a_lease_a_file_rests_for_long(patient: StabilityTracker) -> None:
    new = state(START.wall)
    patient.see("a", new, START)
    assert not rests(patient, "a", new, after(DELAY))
    assert patient.next_due() == START.steady + REST
    assert not list(patient.due(after(REST - 0.25)))
    assert rests(patient, "a", new, after(REST))


def test_a_lease_that_is_given_later_ends_the_long_rest(patient: StabilityTracker) -> None:
    new = state(START.wall)
    patient.see("a", new, START)
    assert not rests(patient, "a", new, after(DELAY))
    assert patient.complete("a", new, after(DELAY + 1))


def test_without_a_lease_neither_a_rename_nor_a_close_shortens_the_rest(patient: StabilityTracker) -> None:
    new = state(START.wall)
    patient.see("a", new, START, renamed=True)
    patient.see("b", new, START, closed=True)
    for path in ("a", "b"):
        assert not patient.complete(path, new, after(DELAY), leased=False)
        assert not patient.complete(path, new, after(REST - 0.25), leased=False)
        assert patient.complete(path, new, after(REST), leased=False)


def test_an_old_ctime_counts_for_the_long_rest_too_but_only_if_it_is_as_old(patient: StabilityTracker) -> None:
    older, old = state(START.wall - REST), state(START.wall - DELAY)
    patient.see("older", older, START)
    patient.see("old", old, START)
    assert rests(patient, "older", older, START)
    assert not patient.complete("old", old, START, leased=False)
    assert patient.complete("old", old, after(REST - DELAY), leased=False)


def test_without_a_lease_a_file_that_was_made_and_not_closed_waits_for_its_writer(patient: StabilityTracker) -> None:
    new = state(START.wall)
    patient.see("a", new, START, created=True)
    assert not patient.complete("a", new, after(REST), leased=False)
    assert not patient.complete("a", new, after(SILENCE - 0.25), leased=False)
    patient.see("b", new, START)  # a scan was first
    patient.see("b", new, START, created=True)
    assert not patient.complete("b", new, after(REST), leased=False)
    patient.see("a", new, after(SILENCE - 0.25), closed=True)
    assert not patient.complete("a", new, after(SILENCE), leased=False)
    assert patient.complete("a", new, after(SILENCE + REST), leased=False)
    assert patient.complete("b", new, after(SILENCE), leased=False), "a close that was never told of"


def test_without_a_lease_a_file_that_grew_and_was_not_closed_since_waits_for_its_writer(
    patient: StabilityTracker,
) -> None:
    patient.see("a", state(START.wall), START, created=True)
    patient.see("a", state(START.wall), START, closed=True)
    grown = state(START.wall + REST - 1, size=2)
    assert not patient.complete("a", grown, after(REST), leased=False)  # this look is the first to see it
    assert not patient.complete("a", grown, after(3 * REST), leased=False)
    touched = state(START.wall + REST - 1, size=2)._replace(ctime_ns=int((START.wall + 3 * REST) * 1e9))
    patient.see("a", touched, after(3 * REST))  # its mode was changed: that is no close
    assert not patient.complete("a", touched, after(5 * REST), leased=False)
    patient.see("a", touched, after(5 * REST), closed=True)
    assert patient.complete("a", touched, after(6 * REST), leased=False)


def test_a_changed_mode_or_time_does_not_look_like_a_writer(patient: StabilityTracker) -> None:
    patient.see("a", state(START.wall), START)
    patient.see("a", state(START.wall + 1), after(1))
    assert patient.complete("a", state(START.wall + 1), after(1 + REST), leased=False)


def test_where_no_closes_are_heard_of_none_is_waited_for(patient: StabilityTracker) -> None:
    patient.hears_closes = False
    patient.see("a", state(START.wall), START)
    patient.see("a", state(START.wall + 1, size=2), after(1))
    assert patient.complete("a", state(START.wall + 1, size=2), after(1 + REST), leased=False)
    patient.hears_closes = True
    patient.see("b", state(START.wall), START, created=True)
    patient.missed_events()
    assert patient.complete("b", state(START.wall), after(REST), leased=False)


@pytest.mark.parametrize("odd", ["x", "é", "📷", "\udcff"])
def test_a_hundred_thousand_long_names_fit_in_memory(odd: str) -> None:
    tracker = StabilityTracker(DELAY, DELAY)
    names = [f"/factory/Photos_Inbox/2024-12-24/{odd}{'x' * 200}{number:06d}.jpg" for number in range(2000)]
    tracemalloc.start()
    try:
        for number, name in enumerate(names):
            seen = FileState(2**30 + number, 2**60 + number, 2**60 - number, 2**33 + number, 2**20 + number)
            tracker.see(f"{name} "[:-1], seen, after(number))  # a name of its own, as a scan has it
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / 2000 < 750, "bytes for each"
    assert sorted(tracker.due(after(10_000))) == names


@dataclass
class Known:
    state: FileState
    since: float
    renamed: bool
    watched_only: bool


class Watching(RuleBasedStateMachine):
    """Files come, change and go while both clocks run and the wall clock jumps. Times are exact in binary."""

    paths = st.sampled_from("abc")
    quarters = st.integers(0, 60).map(lambda count: count / 4)
    jumps = st.integers(-40_000, 40_000).map(lambda count: count / 4)

    def __init__(self) -> None:
        super().__init__()
        self.trust = True
        self.tracker = StabilityTracker(DELAY, MIN_AGE, trust_ctime=True)
        self.now = START
        self.disk: dict[str, FileState] = {}
        self.known: dict[str, Known] = {}

    @precondition(lambda self: not self.disk and not self.known and self.trust)
    @rule()
    def on_a_network(self) -> None:
        self.trust = False
        self.tracker = StabilityTracker(DELAY, MIN_AGE, trust_ctime=False)

    @rule(path=paths, size=st.integers(0, 3), past=quarters, seen=st.booleans(), renamed=st.booleans())
    def write(self, path: str, size: int, past: float, seen: bool, renamed: bool) -> None:
        self.disk[path] = state(self.now.wall - past, size)
        if seen:
            self.see(path, renamed)

    @rule(path=paths, renamed=st.booleans(), closed=st.booleans())
    def see(self, path: str, renamed: bool, closed: bool = False) -> None:
        if path not in self.disk:
            return
        at, before = self.disk[path], self.known.get(path)
        self.tracker.see(path, at, self.now, renamed=renamed, closed=closed)
        if before is None or before.state != at or renamed or closed:
            self.known[path] = Known(at, self.now.steady, renamed, closed or not self.trust)

    @rule(path=paths)
    def put_back(self, path: str) -> None:
        if path in self.disk:
            self.tracker.put_back(path, self.disk[path], self.now)
            self.known[path] = Known(self.disk[path], self.now.steady, False, True)

    @rule(path=paths)
    def remove(self, path: str) -> None:
        self.disk.pop(path, None)

    @rule(seconds=jumps)
    def wall_clock_jumps(self, seconds: float) -> None:
        self.now = Now(self.now.steady, self.now.wall + seconds)

    @rule(seconds=quarters)
    def wait(self, seconds: float) -> None:
        target = self.now.steady + seconds
        self.look()
        while (due := self.tracker.next_due()) is not None and due <= target:
            assert due > self.now.steady, "what is due now has just been answered"
            self.now = after(due - self.now.steady, self.now)
            self.look()
        self.now = after(target - self.now.steady, self.now)

    def look(self) -> None:
        for path in self.tracker.due(self.now):
            at = self.disk.get(path)
            if at is None:
                self.tracker.forget(path)
                del self.known[path]
            elif self.tracker.complete(path, at, self.now):
                self.check_complete(path, at)
                del self.known[path]
            elif at != self.known[path].state:
                self.known[path] = Known(at, self.now.steady, False, not self.trust)

    def check_complete(self, path: str, at: FileState) -> None:
        known = self.known[path]
        assert at == known.state, "it changed since it was seen"
        if known.renamed:
            return
        age = self.now.wall - at.ctime_ns / 1e9
        quiet = self.now.steady - known.since
        assert quiet >= DELAY or (age >= DELAY and not known.watched_only)
        assert age >= MIN_AGE or age < 0

    @invariant()
    def waits_for_what_it_was_told(self) -> None:
        assert len(self.tracker) == len(self.known)
        assert all(path in self.tracker for path in self.known)

    def teardown(self) -> None:
        self.wait(DELAY + MIN_AGE)  # a change that was not seen is found only at the end of this
        self.wait(DELAY + MIN_AGE)
        assert not len(self.tracker), "some file waits for ever"


Watching.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestWatching = Watching.TestCase
