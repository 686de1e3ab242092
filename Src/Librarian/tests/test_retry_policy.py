"""Exponential back-off, and an end to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from Src.Librarian.retry_policy import RetryPolicy


def test_the_wait_doubles_up_to_its_limit_and_then_it_is_a_dead_letter() -> None:
    policy = RetryPolicy(attempts=6, first_delay=30.0, max_delay=200.0)
    assert [policy.delay_after(attempts) for attempts in range(1, 8)] == [30, 60, 120, 200, 200, None, None]


def test_a_single_attempt_is_never_repeated() -> None:
    assert RetryPolicy(1, 30.0, 60.0).delay_after(1) is None


@given(
    st.integers(1, 10**6),
    st.floats(0, 1e9, allow_nan=False),
    st.floats(0, 1e9, allow_nan=False),
    st.integers(1, 10**6),
)
def test_the_wait_never_shrinks_nor_passes_its_limit(
    attempts: int, first_delay: float, max_delay: float, after: int
) -> None:
    policy = RetryPolicy(attempts, first_delay, max_delay)
    wait, before = policy.delay_after(after), policy.delay_after(after - 1) if after > 1 else 0.0
    if after >= attempts:
        assert wait is None
    else:
        assert wait is not None and before is not None
        assert before <= wait <= max_delay
        assert wait >= min(first_delay, max_delay)
