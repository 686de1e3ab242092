"""The pages that say what is defended and what is promised name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from Stack.faults.__main__ import FAULTS
from Stack.tests.real_factory import ROOT

TESTS = [path for room in ("Src", "Stack") for path in (ROOT / room).rglob("test_*.py")]
FUNCTIONS = {name for path in TESTS for name in re.findall(r"def (test_\w+)", path.read_text())}


def unknown(name: str) -> bool:
    """Whether nothing is called so, or several files are."""
    if name.endswith(".py"):
        return sum(path == ROOT / name or path.name == name for path in TESTS) != 1
    return name not in FUNCTIONS


def rows(page: Path, last_column: str) -> list[list[str]]:
    """Of the tables whose last column is called so."""
    found, inside = [], False
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if not cells:
            inside = False
        elif cells[-1] == last_column:
            inside = True
        elif inside and set(line) - set("|- "):
            found.append(cells)
    return found


def test_each_row_of_the_threat_model_names_a_test_that_exists() -> None:
    table = rows(ROOT / "SECURITY.md", "tested by")
    assert len(table) > 15
    for row in table:
        named = re.findall(r"`(\S*test_\S*)`", row[-1])
        faults = re.findall(r"campaign `(\S+)`", row[-1])
        assert named or faults, f"no test: {row[:2]}"
        assert not [name for name in named if unknown(name)], row
        assert set(faults) <= FAULTS.keys(), row


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/RELIABILITY.md", "docs/ARCHITECTURE.md"])
def test_each_test_that_is_named_exists(page: str) -> None:
    named = re.findall(r"`((?:[\w./]*/)?test_\w+(?:\.py)?)`", (ROOT / page).read_text())
    assert not [name for name in named if unknown(name)]


def test_each_fault_of_the_campaign_is_described_and_has_its_figures() -> None:
    page = ROOT / "docs" / "RELIABILITY.md"
    assert {row[0].strip("`") for row in rows(page, "how")} == FAULTS.keys() | {"steps"}
    assert {row[0].strip("`") for row in rows(page, "violations")} == FAULTS.keys() | {"steps"}
