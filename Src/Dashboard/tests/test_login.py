"""Who may look: where the dashboard may be served, and what the password is good for."""

from __future__ import annotations

from pathlib import Path

import pytest

from Src.Dashboard import exposure
from Src.Dashboard.exposure import is_loopback, refusal, url
from Src.Dashboard.login import FREE_TRIES, LONGEST_PAUSE, Gate
from Src.Shared.settings import Settings, load_settings

PASSWORD = "correct horse"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def settings_of(tmp_path: Path, **values: str) -> Settings:
    return load_settings({"FACTORY_DATA": str(tmp_path), **values}, env_file=tmp_path / "no.env")


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("nas.local", False),
        ("localhost.evil.example", False),
    ],
)  # fmt: skip
def test_what_only_this_machine_reaches(address: str, answer: bool) -> None:
    assert is_loopback(address) is answer


def test_without_a_login_it_is_served_on_loopback_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "SECRETS", tmp_path / "secrets.toml")
    public = {"DASHBOARD_ADDRESS": "0.0.0.0"}
    assert refusal(settings_of(tmp_path)) is None
    problem = refusal(settings_of(tmp_path, **public))
    assert problem is not None
    assert "DASHBOARD_ADDRESS=0.0.0.0" in problem and "DASHBOARD_PASSWORD" in problem and "\n" not in problem
    assert refusal(settings_of(tmp_path, **public, DASHBOARD_PASSWORD="x")) is None

    (tmp_path / "secrets.toml").write_text("[other]\nkey = 1\n")
    assert refusal(settings_of(tmp_path, **public)) is not None
    (tmp_path / "secrets.toml").write_text('[auth]\nclient_id = "me"\n')
    assert refusal(settings_of(tmp_path, **public)) is None


@pytest.mark.parametrize(
    ("address", "shown"),
    [("127.0.0.1", "http://127.0.0.1:8501"), ("0.0.0.0", "http://127.0.0.1:8501"), ("::1", "http://[::1]:8501")],
)
def test_the_address_to_type_into_a_browser(tmp_path: Path, address: str, shown: str) -> None:
    assert url(settings_of(tmp_path, DASHBOARD_ADDRESS=address)) == shown


def test_only_the_password_is_admitted() -> None:
    gate = Gate(PASSWORD)
    assert gate.admits(PASSWORD)
    for wrong in ("", "correct", "Correct horse", "correct horse "):
        assert not Gate(PASSWORD).admits(wrong)


def test_guessing_takes_longer_and_longer_and_the_right_one_ends_it() -> None:
    clock = Clock()
    gate = Gate(PASSWORD, clock)
    pauses = []
    for _ in range(FREE_TRIES + 7):
        assert not gate.admits("wrong")
        pauses.append(gate.wait())
        if gate.wait():
            assert not gate.admits(PASSWORD), "not even the password, during a pause"
            assert gate.wait() == pauses[-1], "asking in a pause makes it no longer"
        clock.now += gate.wait()
    assert pauses == [0, 0, 1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert gate.admits(PASSWORD)
    assert not gate.admits("wrong")
    assert gate.wait() == 0


def test_a_token_proves_the_password_also_after_a_restart_until_it_is_changed() -> None:
    token = Gate(PASSWORD).token()
    assert Gate(PASSWORD).knows(token)
    assert not Gate("another").knows(token)
    assert not Gate(PASSWORD).knows("")
    for part in token.split("."):
        # Not the last character of a part: base64 ignores some of its bits.
        forged = token.replace(part, ("A" if part[0] != "A" else "B") + part[1:])
        assert not Gate(PASSWORD).knows(forged)
