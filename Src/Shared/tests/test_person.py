"""Who acts: a name that means a person."""

from __future__ import annotations

import getpass

import pytest

from Src.Shared.person import PERSON, login_name


@pytest.fixture(autouse=True)
def nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (PERSON, "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)


def test_who_is_the_person_and_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    assert login_name() == "ada"
    monkeypatch.setenv("SUDO_USER", "grace")
    assert login_name() == "grace"
    monkeypatch.setenv(PERSON, "of the host")
    assert login_name() == "of the host"


def test_who_is_a_number_where_the_system_knows_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert login_name().startswith("uid ")
