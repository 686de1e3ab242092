"""Fixtures of the commands' tests."""

from __future__ import annotations

import pytest

from Src.Factory.tests.bare_checkout import bare_checkout as bare_checkout


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """To make a .venv takes seconds, also where many tests share it."""
    for item in items:
        if isinstance(item, pytest.Function) and "set_up_once" in item.fixturenames:
            item.add_marker("slow")
