"""`psql` gets the way to the ledger by its environment, never by a command line that all can see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from Src.Factory.problems import Problem
from Src.Factory.psql import run_psql
from Src.Shared.settings import load_settings

URL = "postgresql://me:p%40ss%2Fword@db.example:6543/photos"


def run_with(psql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str = URL) -> int:
    program = tmp_path / "bin" / "psql"
    program.parent.mkdir()
    program.write_text(psql)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    settings = load_settings({"DATABASE_URL": url, "FACTORY_DATA": str(tmp_path)}, env_file=tmp_path / "no.env")
    return run_psql(settings, ["-c", "SELECT 'a b'"])


def test_arguments_environment_and_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = '#!/bin/sh\nprintf "%s\\n" "$@" $PGHOST $PGPORT $PGUSER $PGPASSWORD $PGDATABASE $PGAPPNAME; exit 3\n'
    assert run_with(script, tmp_path, monkeypatch) == 3
    words = capfd.readouterr().out.splitlines()
    assert words == ["-c", "SELECT 'a b'", "db.example", "6543", "me", "p@ss/word", "photos", "psql"]


def test_a_socket_folder_is_a_host_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    script = '#!/bin/sh\necho "$PGHOST ${PGPASSWORD-none}"\n'
    assert run_with(script, tmp_path, monkeypatch, "postgresql://me@/photos?host=/run/db&port=5433") == 0
    assert capfd.readouterr().out == "/run/db none\n"


def test_a_missing_psql_is_a_problem_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = load_settings({"DATABASE_URL": URL, "FACTORY_DATA": str(tmp_path)}, env_file=tmp_path / "no.env")
    with pytest.raises(Problem, match="apt install postgresql-client"):
        run_psql(settings, [])
