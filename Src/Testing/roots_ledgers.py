"""A run of tests leaves no ledger in the place of root's, outside of every test's own folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from Src.Shared.postgres import place
from Src.Testing.patience import wait_until

_OF_TESTS = ("pf-", "ledger-")  # begin the names of folders that tests make beside pytest's


@pytest.fixture(scope="session", autouse=True)
def no_ledger_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A factory that root starts without FACTORY_DB_DATA makes one there; its test must remove it."""
    before = ledgers()
    yield
    ours = tmp_path_factory.getbasetemp()
    with suppress(AssertionError):  # a test of another process may be just removing its own
        wait_until(lambda: not left_behind(before, ours))
    left = left_behind(before, ours)
    assert not left, f"left behind by a test (the ledger, and the FACTORY_DATA for which it was made): {left}"


def ledgers() -> dict[Path, Path]:
    """Those that stand there, and the FACTORY_DATA of each."""
    try:
        folders = [path for path in place.ROOTS_PLACE.iterdir() if not path.name.startswith(".")]
    except OSError:
        return {}
    notes = {folder: place._noted_factory(folder) for folder in folders}
    return {folder: Path(os.fsdecode(note)) for folder, note in notes.items() if note is not None}


def left_behind(before: dict[Path, Path], ours: Path) -> dict[str, str]:
    """The new ones of factories below pytest's folder, or of a test's own that has gone."""
    new = {folder: data for folder, data in ledgers().items() if folder not in before}
    return {str(folder): str(data) for folder, data in new.items() if _is_left(data, ours.resolve())}


def _is_left(data: Path, ours: Path) -> bool:
    if ours in data.parents:
        return True
    there = Path(tempfile.gettempdir()).resolve()
    return there in data.parents and data.relative_to(there).parts[0].startswith(_OF_TESTS) and not data.exists()
