"""Passwords: kept as argon2id hashes (RFC 9106), and compared by few threads at once."""

from __future__ import annotations

import threading

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

Cost = Parameters
COST: Cost = RFC_9106_LOW_MEMORY
AT_ONCE = 2  # each comparison takes 64 MiB: a crowd of guesses must not take all memory

_comparer = PasswordHasher()  # at the cost that stands in the hash
_turns = threading.BoundedSemaphore(AT_ONCE)


def hash_password(password: str, cost: Cost = COST) -> str:
    """The argon2id hash of a password, in the PHC string format, with a salt of its own.

    `cost`: a cheaper one is for tests, which guess often. A hash says its own, and is compared at that.
    """
    with _turns:
        return PasswordHasher.from_parameters(cost).hash(_as_bytes(password))


def is_password(password: str, kept_hash: str) -> bool:
    """Whether a password is the one that a hash was made of. A hash that cannot be read fits no password."""
    with _turns:
        try:
            return _comparer.verify(kept_hash, _as_bytes(password))
        except (VerificationError, InvalidHashError):
            return False


def _as_bytes(password: str) -> bytes:
    """Settings may hold bytes that are not UTF-8; they arrive as surrogates."""
    return password.encode("utf-8", "surrogateescape")
