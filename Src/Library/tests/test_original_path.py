"""A path or a hash from the ledger or the journal: only what has an original's shape is followed."""

from __future__ import annotations

import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Library.original_path import NotAnOriginal, checked_hash, checked_path, path_in_row
from Src.Shared.ledger_text import from_ledger, to_ledger

DAY = "Originals/2023/2023-12-25"
NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b".."))


@given(NAMES.map(os.fsdecode))
def test_every_name_that_a_file_can_have_is_accepted(name: str) -> None:
    assert checked_path(f"{DAY}/{name}") == f"{DAY}/{name}"
    assert path_in_row(to_ledger(f"{DAY}/{name}"), "a row") == f"{DAY}/{name}"


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "/", "../../etc/passwd", "/etc/passwd", "Originals", "Originals/", f"/{DAY}/a.jpg"),
        *("Originals/../inbox/x", "Originals/./2023-12-25/a.jpg", "Originals//2023-12-25/a.jpg", DAY, f"{DAY}/"),
        *(f"{DAY}/.", f"{DAY}/..", f"{DAY}/../2023-12-24/a.jpg", f"{DAY}/a/b.jpg", f"{DAY}//a.jpg", f"{DAY}/a.jpg/"),
        *(f"./{DAY}/a.jpg", "originals/2023/2023-12-25/a.jpg", "Originals/2024/2023-12-25/a.jpg"),
        *("Originals/2023/2023-12-00/a.jpg", "Originals/2023/2023-13-01/a.jpg", "Originals/2023/2023-12-32/a.jpg"),
        *("Originals/23/23-12-25/a.jpg", "Originals/२०२३/२०२३-12-25/a.jpg", "Derivatives/2023/2023-12-25/a.jpg"),
        *(f"{DAY}/a\0b.jpg", f"{DAY}/{'x' * 256}", f"{DAY}/{'ü' * 128}", f"\n{DAY}/a.jpg", f"{DAY}\n/a.jpg"),
        f"{DAY}/a\udc00b.jpg",  # a surrogate that stands for no byte
    ],
)
def test_any_other_path_is_refused(path: str) -> None:
    with pytest.raises(NotAnOriginal, match="no path of an original"):
        checked_path(path)


@pytest.mark.parametrize("text", [rf"{DAY}/\x2e\x2e", rf"{DAY}/a\x2fb", rf"{DAY}/a\x00b", r"\x2fetc/passwd"])
def test_an_escape_leads_nowhere_else(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert path_in_row(text, "0198-row") is None
    assert [(record.levelno, "0198-row" in record.message) for record in caplog.records] == [(logging.ERROR, True)]


def test_an_escaped_byte_is_accepted() -> None:
    assert path_in_row(rf"{DAY}/caf\xe9.jpg", "a row") == from_ledger(rf"{DAY}/caf\xe9.jpg")


def test_only_a_sha256_in_lower_case_is_a_hash() -> None:
    assert checked_hash("0123456789abcdef" * 4)
    for wrong in ("", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "../" * 21 + "a", "a" * 63 + "\n", "a" * 64 + "\n"):
        with pytest.raises(NotAnOriginal, match="no SHA-256"):
            checked_hash(wrong)
