"""Loading leaves the garbage collector as a process needs it."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

from Src.Shared.loading import loaded


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "import gc\nWAS_ENABLED = gc.isenabled()\ndef found():\n    return WAS_ENABLED\n"
    (tmp_path / "slow_to_load.py").write_text(source)
    (tmp_path / "broken_to_load.py").write_text("raise ValueError('broken')\n")


def test_it_does_not_look_meanwhile_and_does_afterwards() -> None:
    assert loaded("slow_to_load:found")() is False
    assert gc.isenabled()
    del sys.modules["slow_to_load"]


def test_what_cannot_be_loaded_fails_as_an_import_does() -> None:
    with pytest.raises(ValueError, match="broken"):
        loaded("broken_to_load:found")
    assert gc.isenabled()
