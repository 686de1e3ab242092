"""Which names a `.env` may hold, and which of its names mean nothing: a typo is otherwise ignored without a word.

Nothing but the standard library: the stack's `.env` is looked at on the host, which has no .venv.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# Settings whose value may stand in a file, which `NAME_FILE` names.
SECRETS = {"DB_PASSWORD", "SYNCTHING_API_KEY", "SYNCTHING_GUI_PASSWORD", "DASHBOARD_PASSWORD", "ALERT_URLS"}

_ROOT = Path(__file__).resolve().parents[2]
_GIVEN = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=", re.MULTILINE)
_EXAMPLE = re.compile(r"^(?:# ?)?([A-Z][A-Z0-9_]*)=", re.MULTILINE)
_COMPOSE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")
_COMPOSE_S_OWN = re.compile(r"(COMPOSE|DOCKER|BUILDKIT)_[A-Z0-9_]+")  # docs.docker.com/compose: read by Docker itself


def unknown_names(env_file: Path, root: Path = _ROOT) -> Iterator[str]:
    """A sentence for each name in a `.env` that nothing reads; none where the list of names is not there (images)."""
    try:
        given = dict.fromkeys(_GIVEN.findall(env_file.read_text(encoding="utf-8")))
        known = known_names(root)
    except (OSError, UnicodeDecodeError):
        return
    for name in given:
        if name in known or _COMPOSE_S_OWN.fullmatch(name):
            continue
        import difflib  # for a wrong name alone

        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        meant = f"did you mean {near[0]}?" if near else "see .env.example for what there is"
        yield f"{env_file}: nothing reads {name}; {meant}"


def known_names(root: Path = _ROOT) -> set[str]:
    """Every name that the factory, the stack or Docker reads of a `.env`. Raises OSError."""
    example = (root / ".env.example").read_text(encoding="utf-8")
    compose = (root / "Stack/App_Data/docker-compose.yml").read_text(encoding="utf-8")
    files = {f"{name}_FILE" for name in SECRETS}
    return {*_EXAMPLE.findall(example), *_COMPOSE.findall(compose), *files, "TZ"}
