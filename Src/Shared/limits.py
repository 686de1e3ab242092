"""How long anybody waits for the ledger's server before it counts as away."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. No settings: a service that waits longer is no better off. Tests hand in others."""

    connect: float = 5.0  # until there is a connection
    lock: float = 10.0  # for what another session has locked
    probe: float = 5.0  # for the embedded server to say anything at all
    stop: float = 4.0  # for its end: services must end within 10 s, and it goes on stopping without us


LIMITS = Limits()
