"""Real Syncthings: one is the factory's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from Src.Shared.syncthing.tests.real_syncthing import RealSyncthing, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "syncthing" in item.fixturenames:
            item.add_marker("needs_programs")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "factory" / "Photos_Inbox"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def syncthing(tmp_path: Path) -> Iterator[RealSyncthing]:
    """A new Syncthing, as it is at its first start."""
    with running(tmp_path / "syncthing", "factory") as one:
        yield one


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[RealSyncthing]:
    with running(tmp_path / "phone", "Anna's Phone") as one:
        yield one
