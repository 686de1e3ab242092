"""Limits on guessing: whoever guesses wrong waits, and nobody else does.

Each client address has pauses of its own, which double with each wrong password and are forgotten after a quiet time.
A small bucket for all addresses together bounds guessing from many of them. An address that has logged in before does
not depend on the bucket: strangers cannot lock its people out.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_TRIES = 3  # wrong passwords of one address before it waits
LONGEST_PAUSE = 30.0  # seconds
FORGOTTEN_AFTER = 900.0  # seconds without a wrong password
BUCKET = 30.0  # wrong passwords of all addresses without a pause ...
REFILL = 0.5  # ... and how many come back each second
_MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    last: float = -math.inf
    closed_until: float = -math.inf


class TryLimits:
    """Counts wrong passwords by client address. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._at_home: OrderedDict[str, None] = OrderedDict()  # addresses that have logged in
        self._bucket = BUCKET
        self._filled_at = clock()

    def wait(self, address: str) -> float:
        """Seconds until a password from this address is compared; 0: now."""
        key, now = network_of(address), self._clock()
        with self._mutex:
            tries = self._tries.get(key)
            own = 0.0 if tries is None else tries.closed_until - now
            return max(0.0, own, 0.0 if key in self._at_home else self._until_refilled(now))

    def wrong(self, address: str) -> None:
        """Notes a wrong password."""
        key, now = network_of(address), self._clock()
        with self._mutex:
            tries = self._tries.pop(key, None)
            if tries is None or now - tries.last > FORGOTTEN_AFTER:
                tries = _Tries()
            self._tries[key] = tries
            tries.wrong, tries.last = tries.wrong + 1, now
            if tries.wrong >= FREE_TRIES:
                # The exponent is bounded: a guesser that never gives up must not overflow it.
                tries.closed_until = now + min(LONGEST_PAUSE, 2.0 ** min(tries.wrong - FREE_TRIES, 16))
            if key not in self._at_home:
                self._until_refilled(now)
                self._bucket = max(0.0, self._bucket - 1.0)
            while len(self._tries) > _MOST_ADDRESSES:
                self._tries.popitem(last=False)

    def right(self, address: str) -> None:
        """Notes the right password: the address starts anew, and is known from now on."""
        key = network_of(address)
        with self._mutex:
            self._tries.pop(key, None)
            self._at_home[key] = None
            self._at_home.move_to_end(key)
            while len(self._at_home) > _MOST_ADDRESSES:
                self._at_home.popitem(last=False)

    def _until_refilled(self, now: float) -> float:
        self._bucket = min(BUCKET, self._bucket + max(0.0, now - self._filled_at) * REFILL)
        self._filled_at = now
        return 0.0 if self._bucket >= 1.0 else (1.0 - self._bucket) / REFILL


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 network that one IPv6 subscriber has to himself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
