"""`operations` for the running stack: what was started with paths of the host is resumed with those paths."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from Src.Factory.commands.import_ import IMPORT
from Src.Factory.commands.rebuild import REBUILD
from Src.Factory.commands.verify import VERIFY
from Src.Factory.problems import Problem
from Src.Factory.stack.containers import Container, Stack
from Src.Factory.stack.execution import FACTORY, in_container, run_factory
from Src.Factory.stack.host_paths import run_with_paths, seen_as

_MOVED = Path("/import")  # below it a container sees what would hide something of its own


def run_operations(stack: Stack, *, words: Sequence[str], as_json: bool) -> int:
    """Lists them, or does what the words say; the exit code. Raises Problem."""
    librarian = stack.get("librarian")
    json_ = ["--json"] if as_json else []
    if list(words[:1]) != ["resume"] or len(words) != 2:
        run_factory(librarian, "operations", [*json_, "--", *words] if words else json_)
    one = _named(librarian, words[1])
    if one["kind"] == "rebuild":
        flags = {name: bool(one["parameters"].get(name)) for name in ("missing", "trust_cache", "dry_run")}
        run_factory(librarian, REBUILD.name, REBUILD.words({**flags, "undo": False, "as_json": as_json}))
    if one["kind"] == "verify":
        not_asked = {"quick": False, "restore_from": None, "accept_moves": False, "events": False, "accept": None}
        given = {**not_asked, "as_json": as_json, **one["parameters"]}
        if given["restore_from"] is not None:
            given["restore_from"] = on_host(given["restore_from"], librarian)
            if VERIFY.paths(given):
                return run_with_paths(librarian, VERIFY, given)
        run_factory(librarian, VERIFY.name, VERIFY.words(given))
    if one["kind"] != "import":
        raise Problem(f"operations: operation {words[1]} goes on by itself")
    given = one["parameters"]
    taken = {
        "sources": [on_host(path, librarian) for path in given["sources"]],
        "move": bool(given["move"]),
        "dry_run": False,
        "report_file": on_host(given["report_file"], librarian) if given["report_file"] else None,
        "as_json": as_json,
    }
    return run_with_paths(librarian, IMPORT, taken)


def _named(librarian: Container, id_: str) -> Mapping[str, Any]:
    """Raises Problem where no stopped one, or several, have this id."""
    asked = in_container(librarian, *FACTORY, "operations", "--json", is_shown=False)
    done = subprocess.run(asked, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        said = done.stderr.strip().rpartition("\n")[2]
        raise Problem(said or "operations: the librarian's container does not answer")
    wanted = id_.lower().replace("-", "")
    found = [
        one
        for one in json.loads(done.stdout)["operations"]
        if one["id"].replace("-", "").startswith(wanted) or one["id"].replace("-", "").endswith(wanted)
    ]
    if len(wanted) < 4 or len(found) != 1:
        raise Problem(f"operations: {id_!r} is not the id of one operation; ./factory operations lists them")
    if not found[0]["is_stopped"]:
        raise Problem(f"operations: operation {id_} cannot be resumed: it is {found[0]['status']}")
    return dict(found[0])


def on_host(path: str, container: Container) -> str:
    """The host's name for what the container has seen as `path`."""
    inside = Path(path)
    if inside.is_relative_to(_MOVED):
        host = Path("/", inside.relative_to(_MOVED))
        if Path(seen_as(host, container)) == inside:
            return str(host)
    return path
