"""A checkout of nothing but what must run in a bare Python: the launcher, and the commands for the stack."""

from __future__ import annotations

import compileall
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STANDS_ALONE = (
    "factory",
    "Src/__init__.py",
    *(
        f"Src/Shared/{name}.py"
        for name in ("__init__", "env_names", "errors", "own_address", "person", "services", "version", "words")
    ),
    *(f"Src/Shared/disk/{name}.py" for name in ("__init__", "locks", "syncing", "whole_file")),
    *(f"Src/Factory/{name}" for name in ("__init__.py", "commands", "stack")),
    *(
        f"Src/Factory/{name}.py"
        for name in ("backup", "declaration", "overview", "parser", "postgres_programs", "problems")
    ),
)


BareCheckout = Callable[[Path], None]


@pytest.fixture(scope="session")
def bare_checkout(tmp_path_factory: pytest.TempPathFactory) -> BareCheckout:
    """Puts it into a folder, compiled: else each command of each test would compile all that it imports."""
    made = tmp_path_factory.mktemp("bare checkout")
    for name in STANDS_ALONE:
        target = made / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, target)
    assert compileall.compile_dir(made / "Src", quiet=1)

    def put(root: Path) -> None:
        shutil.copytree(made, root, dirs_exist_ok=True)  # with the times by which Python knows what is compiled

    return put
