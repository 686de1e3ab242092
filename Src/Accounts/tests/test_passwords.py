"""Passwords are kept as argon2id, and only the password is the password."""

from __future__ import annotations

import pytest

from Src.Accounts.passwords import hash_password, is_password
from Src.Testing.passwords import CHEAP

PASSWORD = "correct horse"


def test_a_guess_is_as_dear_as_the_rfc_asks() -> None:
    kept = hash_password(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$"), "RFC 9106, section 4: the second recommended option"
    assert is_password(PASSWORD, kept)
    assert not is_password("wrong", kept)


def test_only_the_password_fits_its_hash() -> None:
    kept = hash_password(PASSWORD, CHEAP)
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept
    assert is_password(PASSWORD, kept)
    for wrong in ("", "correct", "Correct horse", "correct horse ", "\udcff"):
        assert not is_password(wrong, kept)


def test_each_hash_has_its_own_salt() -> None:
    assert hash_password(PASSWORD, CHEAP) != hash_password(PASSWORD, CHEAP)


def test_a_password_that_is_not_utf_8_is_a_password() -> None:
    assert is_password("caf\udce9", hash_password("caf\udce9", CHEAP))


@pytest.mark.parametrize("broken", ["", "x", "$argon2id$v=19$m=65536", "$2b$12$abcdefghijklmnopqrstuv"])
def test_what_is_no_hash_fits_no_password(broken: str) -> None:
    assert not is_password(PASSWORD, broken)
