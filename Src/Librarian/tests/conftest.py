"""Fixtures of the Librarian's tests."""

from __future__ import annotations

import pytest

from Src.Library import hash_cache
from Src.Testing.exiftool import limit_only_for as limit_only_for


@pytest.fixture(autouse=True)
def files_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test writes before an import counts as old: the hash cache need not wait for FAT's clock here."""
    monkeypatch.setattr(hash_cache, "COARSEST_CLOCK", 0.0)
