"""Whoever guesses wrong waits, and nobody else does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from Src.Accounts.limits import BUCKET, FORGOTTEN_AFTER, FREE_TRIES, LONGEST_PAUSE, TryLimits, network_of

STRANGER, OWNER = "203.0.113.9", "192.0.2.7"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_guessing_takes_longer_and_longer_and_the_right_one_ends_it() -> None:
    clock = Clock()
    limits = TryLimits(clock)
    pauses = []
    for _ in range(FREE_TRIES + 7):
        limits.wrong(STRANGER)
        pauses.append(limits.wait(STRANGER))
        clock.now += limits.wait(STRANGER)
    assert pauses == [0, 0, 1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    limits.right(STRANGER)
    limits.wrong(STRANGER)
    assert limits.wait(STRANGER) == 0


def test_a_stranger_never_locks_the_owner_out() -> None:
    clock = Clock()
    limits = TryLimits(clock)
    accepted = 0
    for _ in range(90):  # one guess after the other, as fast as they are heard, and the owner now and then
        for _ in range(20):
            if not limits.wait(STRANGER):
                limits.wrong(STRANGER)
        accepted += limits.wait(OWNER) == 0
        clock.now += 1
    assert accepted == 90


def test_guessing_from_many_addresses_is_bounded_and_does_not_reach_an_address_that_has_logged_in() -> None:
    clock = Clock()
    limits = TryLimits(clock)
    limits.right(OWNER)
    guesses = 0
    for number in range(1000):
        address = f"198.51.{number // 256}.{number % 256}"
        if not limits.wait(address):
            limits.wrong(address)
            guesses += 1
    assert guesses == BUCKET
    assert limits.wait("192.0.2.99") > 0
    assert limits.wait(OWNER) == 0
    clock.now += 2  # the bucket fills again, slowly
    assert limits.wait("192.0.2.99") == 0


def test_wrong_passwords_are_forgotten_after_a_quiet_time() -> None:
    clock = Clock()
    limits = TryLimits(clock)
    for _ in range(FREE_TRIES + 3):
        limits.wrong(STRANGER)
    clock.now += FORGOTTEN_AFTER + 1
    limits.wrong(STRANGER)
    assert limits.wait(STRANGER) == 0


def test_what_counts_as_one_client() -> None:
    assert network_of("2001:db8:1:2::5") == network_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:3::5") != network_of("2001:db8:1:2::5")
    assert network_of("::ffff:192.0.2.7") == network_of("192.0.2.7")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("not an address") == "not an address"


@given(st.lists(st.tuples(st.sampled_from("wr"), st.sampled_from([STRANGER, OWNER, "::1"]), st.floats(0, 1000))))
def test_no_pause_is_longer_than_the_longest(acts: list[tuple[str, str, float]]) -> None:
    clock = Clock()
    limits = TryLimits(clock)
    for act, address, later in acts:
        clock.now += later
        (limits.wrong if act == "w" else limits.right)(address)
        assert 0 <= limits.wait(address) <= LONGEST_PAUSE
