"""Passwords at a cost that tests can pay many times."""

from __future__ import annotations

from argon2 import Type

from Src.Accounts.passwords import Cost

CHEAP = Cost(Type.ID, version=19, salt_len=16, hash_len=32, time_cost=1, memory_cost=8, parallelism=1)
"""For tests of what a password is good for, not of what a guess costs."""
