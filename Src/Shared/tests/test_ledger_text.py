"""Names in the ledger: any name on disk goes in and comes out the same."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from Src.Shared.database import Database
from Src.Shared.ledger_text import from_ledger, plain_text, to_ledger

file_names = st.one_of(st.binary(), st.text().map(lambda t: t.encode(errors="ignore")), st.just(rb"\xff\\"))


@given(file_names)
def test_any_name_comes_back(name: bytes) -> None:
    assert os.fsencode(from_ledger(to_ledger(os.fsdecode(name)))) == name


@given(file_names)
def test_the_ledgers_text_is_utf8(name: bytes) -> None:
    to_ledger(os.fsdecode(name)).encode()


@given(st.lists(file_names, min_size=2, max_size=2, unique=True))
def test_two_names_stay_two(names: list[bytes]) -> None:
    one, other = (to_ledger(os.fsdecode(name)) for name in names)
    assert one != other


@pytest.mark.parametrize(
    ("name", "in_ledger"),
    [
        (b"IMG_1.jpg", "IMG_1.jpg"),
        ("Ålesund 🌅.jpg".encode(), "Ålesund 🌅.jpg"),
        (b"caf\xe9.jpg", r"caf\xe9.jpg"),
        (rb"a\b.jpg", r"a\\b.jpg"),
        (rb"a\xe9.jpg", r"a\\xe9.jpg"),
        (b"a\nb", "a\nb"),
    ],
)
def test_what_it_looks_like(name: bytes, in_ledger: str) -> None:
    assert to_ledger(os.fsdecode(name)) == in_ledger


def test_the_database_keeps_it(database: Database) -> None:
    names = [b"caf\xe9.jpg", rb"a\xe9.jpg", b"\xff\xfe\n'\"", "e\u0301".encode(), "\u00e9".encode()]
    with database.session() as session:
        for name in names:
            kept = session.scalar(text("SELECT CAST(:name AS text)"), {"name": to_ledger(os.fsdecode(name))})
            assert os.fsencode(from_ledger(kept)) == name


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_plain_text_fits_a_column(value: str) -> None:
    plain = plain_text(value)
    plain.encode()
    assert "\0" not in plain


def test_plain_text_leaves_readable_text_alone() -> None:
    assert plain_text(r"C:\photos – größer") == r"C:\photos – größer"
