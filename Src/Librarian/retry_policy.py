"""When is a file that failed tried again? With exponential back-off, and after the last attempt only by a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays are seconds."""

    attempts: int
    first_delay: float
    max_delay: float

    def delay_after(self, attempts: int) -> float | None:
        """The wait after that many failed attempts; None: it is a dead letter now."""
        if attempts >= self.attempts:
            return None
        return min(self.first_delay * 2.0 ** min(attempts - 1, 60), self.max_delay)
