"""What others may do and should not is said, and left to whoever decides it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from Src.Shared.openness import open_inbox, readable_settings


@pytest.mark.parametrize(
    ("mode", "is_open"), [(0o700, False), (0o2770, False), (0o755, False), (0o777, True), (0o1777, True)]
)
def test_an_inbox_for_everybody(tmp_path: Path, mode: int, is_open: bool) -> None:
    inbox = tmp_path / "Photos_Inbox"
    inbox.mkdir()
    inbox.chmod(mode)
    said = open_inbox(inbox)
    assert (said is not None) == is_open
    assert said is None or (str(inbox) in said and "\n" not in said)
    assert stat.S_IMODE(inbox.stat().st_mode) == mode


@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_settings_for_everybody(tmp_path: Path, mode: int, is_open: bool) -> None:
    env = tmp_path / ".env"
    env.touch(mode)
    env.chmod(mode)
    assert (readable_settings(env) is not None) == is_open


def test_what_is_not_there_is_not_open(tmp_path: Path) -> None:
    assert open_inbox(tmp_path / "none") is None
    assert readable_settings(tmp_path / "none" / ".env") is None
