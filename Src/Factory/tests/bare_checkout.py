"""A checkout of nothing but what must run in a bare Python: the launcher, and the commands for the stack."""

from __future__ import annotations

import shutil
from pathlib import Path

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


def copy_what_stands_alone(root: Path) -> None:
    """Puts them into the folder `root`."""
    for name in STANDS_ALONE:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target)
        else:
            shutil.copy(ROOT / name, target)
