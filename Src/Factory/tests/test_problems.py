"""Problems of the user's are one line, defects of ours are not hidden."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from Src.Factory import problems
from Src.Factory.problems import Problem, one_line
from Src.Librarian.vault_trouble import VaultTrouble
from Src.Shared.settings import SettingsError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (Problem("psql is not installed"), "factory: psql is not installed"),
        (SettingsError("TZ=Mars: no such time zone"), "factory: settings: TZ=Mars: no such time zone"),
        (VaultTrouble("the disk is full"), "factory: vault: the disk is full"),
        (ValueError("ours"), None),
    ],
)
def test_one_line(error: Exception, line: str | None) -> None:
    assert one_line(error) == line


def test_every_name_is_that_of_an_exception_in_the_code() -> None:
    """They are told by name: a class that was renamed would show its users a traceback."""
    src = Path(problems.__file__).parents[1]
    classes = {
        node.name
        for path in src.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ClassDef)
    }
    assert set(problems._TOLD_BY_NAME) <= classes
