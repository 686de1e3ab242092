"""Who may look: where the dashboard may be served, and what the password is good for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from Src.Accounts.limits import FREE_TRIES
from Src.Dashboard.login import Gate, may_look
from Src.Shared import dashboard_exposure
from Src.Shared.dashboard_exposure import has_oidc, is_loopback, password_file, password_of, refusal, url
from Src.Shared.database import LedgerUnavailable
from Src.Shared.settings import PROJECT_ROOT, Settings, load_settings
from Src.Testing.passwords import CHEAP

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


def test_for_this_machine_only_there_need_be_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_exposure, "SECRETS", tmp_path / "secrets.toml")
    settings = settings_of(tmp_path)
    assert refusal(settings) is None
    assert password_of(settings) is None
    assert not password_file(settings).exists()


def test_where_others_may_reach_it_a_password_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_exposure, "SECRETS", tmp_path / "secrets.toml")
    settings = settings_of(tmp_path, DASHBOARD_ADDRESS="0.0.0.0")
    made = password_of(settings)
    assert made is not None and len(made) >= 16
    assert password_file(settings).stat().st_mode & 0o777 == 0o600
    assert password_of(settings) == made
    assert password_of(settings_of(tmp_path, DASHBOARD_ADDRESS="0.0.0.0", DASHBOARD_PASSWORD="x")) == "x"
    password_file(settings).write_text("\n")  # torn, or emptied by a person
    assert password_of(settings) not in ("", None, made)


def test_openid_connect_without_a_list_of_people_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_exposure, "SECRETS", PROJECT_ROOT / "no such folder" / "secrets.toml")
    monkeypatch.setattr(dashboard_exposure, "has_oidc", lambda: True)
    problem = refusal(settings_of(tmp_path))
    assert problem is not None and "DASHBOARD_USERS" in problem and "\n" not in problem
    named = settings_of(tmp_path, DASHBOARD_USERS="Me@example.org, you@example.org", DASHBOARD_ADDRESS="0.0.0.0")
    assert refusal(named) is None
    assert named.dashboard_users == ("me@example.org", "you@example.org")
    assert password_of(named) is None


def test_what_configures_openid_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_exposure, "SECRETS", tmp_path / "secrets.toml")
    assert not has_oidc()
    (tmp_path / "secrets.toml").write_text("[other]\nkey = 1\n")
    assert not has_oidc()
    (tmp_path / "secrets.toml").write_text('[auth]\nclient_id = "me"\n')
    assert has_oidc()


@pytest.mark.parametrize(
    ("address", "shown"),
    [("127.0.0.1", "http://127.0.0.1:8501"), ("0.0.0.0", "http://127.0.0.1:8501"), ("::1", "http://[::1]:8501")],
)
def test_the_address_to_type_into_a_browser(tmp_path: Path, address: str, shown: str) -> None:
    assert url(settings_of(tmp_path, DASHBOARD_ADDRESS=address)) == shown


@contextmanager
def no_ledger() -> Iterator[Session]:
    raise LedgerUnavailable("there is none here")
    yield


def test_only_the_password_is_admitted() -> None:
    gate = Gate(PASSWORD, no_ledger, cost=CHEAP)
    assert gate.admits(PASSWORD, "192.0.2.7")
    for number, wrong in enumerate(("", "correct", "Correct horse", "correct horse ")):
        assert not gate.admits(wrong, f"192.0.2.{number}")


def test_while_an_address_waits_not_even_the_password_is_heard_from_it_and_others_are() -> None:
    clock = Clock()
    gate = Gate(PASSWORD, no_ledger, clock, cost=CHEAP)
    for _ in range(FREE_TRIES):
        assert not gate.admits("wrong", "203.0.113.9")
    assert gate.wait("203.0.113.9") == 1
    assert not gate.admits(PASSWORD, "203.0.113.9")
    assert gate.wait("203.0.113.9") == 1, "asking in a pause makes it no longer"
    assert gate.admits(PASSWORD, "192.0.2.7")
    clock.now += 1
    assert gate.admits(PASSWORD, "203.0.113.9")


@pytest.mark.parametrize(
    ("claims", "answer"),
    [
        ({"email": "me@example.org"}, True),
        ({"email": "Me@Example.org", "email_verified": True}, True),
        ({"email": "me@example.org", "email_verified": False}, False),
        ({"email": "you@example.org"}, False),
        ({"email": ["me@example.org"]}, False),
        ({}, False),
    ],
)
def test_with_openid_connect_only_those_who_are_named_may_look(claims: dict[str, object], answer: bool) -> None:
    assert may_look(claims, ("me@example.org",)) is answer
