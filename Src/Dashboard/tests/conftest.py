"""Fixtures of the dashboard's tests: a vault with whatever is put into it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from Src.Dashboard.thumbnails import Original, Thumbnails

PutIntoVault = Callable[..., Original]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A storage root with an empty vault."""
    (tmp_path / "Storage" / "Originals").mkdir(parents=True)
    return tmp_path / "Storage"


@pytest.fixture
def put(storage: Path) -> PutIntoVault:
    """Puts a content into the vault, as a kind."""

    def put(content: bytes, kind: str, name: str = "a photo") -> Original:
        path = storage / "Originals" / "2024" / "2024-01-01" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return Original(hashlib.sha256(content).hexdigest(), f"Originals/2024/2024-01-01/{name}", kind)

    return put


@pytest.fixture
def thumbnails(storage: Path) -> Iterator[Thumbnails]:
    """Of that vault; one process is enough."""
    made = Thumbnails(storage, workers=1)
    yield made
    made.close()
