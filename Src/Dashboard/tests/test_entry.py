"""The dashboard's process before it serves anything."""

from __future__ import annotations

import pytest

from Src.Dashboard.server import main


def test_beyond_loopback_it_wants_a_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DASHBOARD_ADDRESS", "0.0.0.0")
    monkeypatch.delenv("DASHBOARD_PASSWORD", raising=False)
    assert main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "DASHBOARD_PASSWORD" in line
