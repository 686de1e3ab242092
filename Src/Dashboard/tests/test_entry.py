"""The dashboard's process before it serves anything."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from Src.Dashboard.server import main
from Src.Shared import dashboard_exposure


def test_openid_connect_without_a_list_of_people_is_not_served(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("Src.Shared.service.configure_logging", lambda *_: None)
    monkeypatch.setenv("FACTORY_DATA", str(tmp_path))
    monkeypatch.setattr("Src.Shared.dashboard_exposure.has_oidc", lambda: True)
    monkeypatch.delenv("DASHBOARD_USERS", raising=False)
    assert main() == 2
    [line] = caplog.messages
    assert "DASHBOARD_USERS" in line and "\n" not in line


def test_a_password_that_cannot_be_kept_is_a_reason_not_to_serve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "Storage").mkdir()
    (tmp_path / "Storage" / ".factory").touch()  # a file where the folder should be
    monkeypatch.setattr(dashboard_exposure, "SECRETS", tmp_path / "secrets.toml")
    monkeypatch.setattr("Src.Shared.service.configure_logging", lambda *_: None)
    monkeypatch.setattr("Src.Shared.service.end_with_runner", lambda: None)
    monkeypatch.setenv("FACTORY_DATA", str(tmp_path))
    monkeypatch.setenv("DASHBOARD_ADDRESS", "0.0.0.0")
    monkeypatch.setenv("DASHBOARD_PASSWORD", "")
    with caplog.at_level(logging.ERROR):
        assert main() == 2
    assert "dashboard_password" in caplog.text and "set DASHBOARD_PASSWORD" in caplog.text
