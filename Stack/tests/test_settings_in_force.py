"""Where settings come from: `.env` in the project root, and the environment, which wins. In a copy of the project."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from Stack.tests.real_factory import LIMIT, ROOT, Factory


@pytest.fixture
def project(folder: Path) -> Path:
    """A copy of the project without its .venv: ours runs it, as making another takes long."""
    skipped = shutil.ignore_patterns("tests", "__pycache__")
    shutil.copytree(ROOT / "Src", folder / "project" / "Src", ignore=skipped)
    return folder / "project"


def status(project: Path, factory: Factory, env: Mapping[str, str], cwd: Path) -> dict[str, Any]:
    environment = {**factory.env(), **env, "PYTHONPATH": str(project), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "Src.Factory", "status", "--json"]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert done.returncode in (0, 3), done.stderr  # 3: the ledger is away
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_env_file_counts_from_its_own_folder_and_the_environment_wins(project: Path, factory: Factory) -> None:
    nobody = "DATABASE_URL=postgresql://nobody@127.0.0.1:1/nothing"
    (project / ".env").write_text(f"# a comment\nFACTORY_DATA=My Photos\nSTORAGE_PATH=/nowhere/at all\n{nobody}\n")

    found = status(project, factory, {"FACTORY_DATA": ""}, cwd=Path("/"))
    assert found["factory"] == str(project / "My Photos")
    assert (found["vault"]["path"], found["vault"]["present"]) == ("/nowhere/at all/Originals", False)
    assert isinstance(found["database"], dict)
    assert found["database"]["mode"] == "external"

    found = status(project, factory, {"STORAGE_PATH": str(project / "vault")}, cwd=project)
    assert found["factory"] == str(factory.data)
    assert (found["vault"]["path"], found["vault"]["present"]) == (str(project / "vault" / "Originals"), False)


def test_an_env_file_in_the_users_folder_is_none_of_ours(project: Path, factory: Factory) -> None:
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".env").write_text("FACTORY_DATA=trap\n")
    (elsewhere / "rich.py").write_text("raise SystemExit('a module of the user folder was taken')\n")

    found = status(project, factory, {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}, cwd=elsewhere)

    assert found["factory"] == str(factory.data)
    assert not (elsewhere / "trap").exists()


def test_the_place_of_each_folder_can_be_set(factory: Factory, folder: Path) -> None:
    places = {name: folder / "else where" / name for name in ("INBOX_PATH", "STORAGE_PATH", "FACTORY_DB_DATA")}
    factory.environment.update({name: str(path) for name, path in places.items()})
    places["INBOX_PATH"].mkdir(parents=True)
    shutil.copy(ROOT / "Src/Librarian/tests/samples/Canon_40D.jpg", places["INBOX_PATH"])

    assert factory.run("ingest", "--json").json()["new"] == 1

    assert (places["STORAGE_PATH"] / "Originals/2008/2008-05-30/Canon_40D.jpg").is_file()
    assert (places["FACTORY_DB_DATA"] / "18" / "PG_VERSION").is_file()
    assert list(places["INBOX_PATH"].iterdir()) == []
