"""The report of an import: any name is one safe cell, and the file is there whole or not at all."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Factory.import_report import COLUMNS, ImportReport, cell
from Src.Factory.problems import Problem
from Src.Librarian.passage import Account

NAMES = st.binary(max_size=20).map(os.fsdecode) | st.text(max_size=20) | st.sampled_from(["=1+1", "+a", "-a", "@a"])


@given(NAMES)
def test_a_cell_is_one_line_of_utf_8_and_no_formula(name: str) -> None:
    safe = cell(name)
    assert safe.encode().decode() == safe
    assert len(safe.splitlines()) < 2
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_each_entry_has_its_row(tmp_path: Path) -> None:
    names = ["a.jpg", "=cmd.jpg", os.fsdecode(b"\xff.jpg"), "new\nline.jpg", 'quo"te,.jpg']
    target = tmp_path / "report.csv"
    with ImportReport(target, tmp_path / "storage") as report:
        for name in names:
            report.add(Account(name, "new", None, f"Originals/2020/2020-01-01/{name}"))
        assert not target.exists()
    with open(target, encoding="utf-8", newline="") as file:
        head, *rows = list(csv.reader(file))
    assert tuple(head) == COLUMNS
    assert [row[0] for row in rows] == ["a.jpg", "'=cmd.jpg", "\\xff.jpg", "new\\nline.jpg", 'quo"te,.jpg']
    assert os.listdir(tmp_path) == ["report.csv"]


def test_an_import_that_fails_leaves_no_report(tmp_path: Path) -> None:
    def fail() -> None:
        with ImportReport(tmp_path / "r.csv", tmp_path / "storage") as report:
            report.add(Account("a", "new"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path) == []


def test_no_file_is_replaced_and_none_is_put_into_the_vault(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    (tmp_path / "storage").mkdir()
    for target in ("photo.jpg", "storage/r.csv", "nowhere/r.csv"):
        with pytest.raises(Problem):
            ImportReport(tmp_path / target, tmp_path / "storage")
    with pytest.raises(Problem), ImportReport(tmp_path / "r.csv", tmp_path / "storage"):
        (tmp_path / "r.csv").write_bytes(b"somebody else's, meanwhile")
    assert (tmp_path / "photo.jpg").read_bytes() == b"precious"
    assert (tmp_path / "r.csv").read_bytes() == b"somebody else's, meanwhile"
    assert sorted(os.listdir(tmp_path)) == ["photo.jpg", "r.csv", "storage"]
