"""`./factory test`: what it adds to pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from Src.Factory import development
from Src.Shared.settings import PROJECT_ROOT


def test_what_is_imported_is_compiled_once_for_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    given: dict[str, str] = {}

    def call(_command: list[str], *, env: dict[str, str], **_: object) -> int:
        given.update(env)
        return 5

    monkeypatch.setattr(subprocess, "call", call)
    assert development.run_tests(["--quick"]) == 5
    assert given == {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@pytest.mark.slow
def test_coverage_is_printed_by_room() -> None:
    options = ("--cov", "--quick", "-q", "-n1")
    command = [sys.executable, "-m", "Src.Factory", "test", *options, "Src/Shared/tests/test_words.py"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shares = dict(re.findall(r"^(\w+) +(\d+)% of [\d,]+ lines$", done.stdout, re.MULTILINE))
    assert int(shares["Shared"]) > 0
    assert int(shares["Dashboard"]) < int(shares["Shared"]), "files that no test imports count too"
