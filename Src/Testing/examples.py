"""How many examples a property-based test tries: its own number, or what `pytest --examples N` asks for."""

from __future__ import annotations

_asked: int | None = None


def ask_for(number: int | None) -> None:
    """Every test that asks `examples` tries `number` of them; None: each as many as it names itself."""
    global _asked
    _asked = number


def examples(usual: int) -> int:
    """For hypothesis' `max_examples`, or a loop of the test's own; read while the tests are collected."""
    return usual if _asked is None else _asked
