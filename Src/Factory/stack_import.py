"""`import` into the running stack: a container like the librarian's, which sees the sources too.

Nothing but the standard library: who runs the stack needs no .venv.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath

from Src.Factory.problems import Problem
from Src.Factory.stack import DATA, PROJECT, Container, Stack, ask_docker

_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var")
_STOP_LIMIT = 20  # seconds that an import may take to finish what is under way


def import_into_stack(stack: Stack, arguments: Sequence[str]) -> int:
    """Imports from folders and files of the host; the exit code. Raises Problem."""
    parser = argparse.ArgumentParser(prog="factory import", description="Import photos and videos into the stack.")
    parser.add_argument("sources", metavar="SRC", nargs="+", help="folders or files")
    parser.add_argument("--move", action="store_true", help="remove each source file once it is safe")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments[1:])
    librarian = stack.get("librarian")
    sources = [_existing(source) for source in options.sources]
    folders = {path if path.is_dir() else path.parent for path in sources}
    seen_as = {folder: _seen_as(folder, librarian) for folder in folders}
    inside = [str(seen_as[path] if path in seen_as else seen_as[path.parent] / path.name) for path in sources]
    flags = [f"--{name}" for name in ("move", "json") if getattr(options, name)]
    mounts = [
        {
            "type": "bind",
            "source": _no_variables(folder),
            "target": _no_variables(target),
            "read_only": not options.move,
            "bind": {"create_host_path": False},
        }
        for folder, target in seen_as.items()
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as more:
        # Without the health check, which looks for the librarian itself.
        json.dump({"services": {"librarian": {"volumes": mounts, "healthcheck": {"disable": True}}}}, more)
        more.flush()
        name = f"{librarian.labels[PROJECT]}-import-{os.getpid()}"
        run = [*_compose(librarian, more.name), "run", "--rm", "--no-deps", f"--name={name}"]
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            run.append("--no-TTY")
        run += ["librarian", "python", "-m", "Src.Factory", "import", *flags, "--", *inside]
        code = _call(run, {**os.environ, **_as_started(librarian)})
    if code != 0:  # interrupted, `docker compose run` ends before its container does
        ask_docker("stop", "-t", str(_STOP_LIMIT), name)
        ask_docker("rm", "--force", name)
    return code


def _existing(source: str) -> Path:
    if not source:  # as of an unset variable; a path of it would be the folder we are in
        raise Problem("import: a source is empty; give a folder or a file")
    try:
        path = Path(source).resolve(strict=True)
        str(path).encode()
    except OSError as error:
        raise Problem(f"import: {source}: {error.strerror}") from error
    except UnicodeEncodeError:
        raise Problem(f"import: {source!r}: Docker takes only names in UTF-8; import the folder above it") from None
    return path


def _seen_as(folder: Path, container: Container) -> PurePosixPath:
    """Where the container sees a folder of the host: under the same name, so that what is told and recorded is
    the host's, unless something of its own is there."""
    taken = [Path(mount["Destination"]) for mount in container.facts["Mounts"]]
    taken += [Path(path) for path in (container.facts["Config"]["WorkingDir"] or "/", *_SYSTEM)]
    hidden = [*taken, *map(Path, container.facts["HostConfig"].get("Tmpfs") or ())]
    if any(folder.is_relative_to(path) for path in taken) or any(path.is_relative_to(folder) for path in hidden):
        return PurePosixPath("/import", *folder.parts[1:])
    return PurePosixPath(folder)


def _no_variables(path: PurePath) -> str:
    return str(path).replace("$", "$$")


def _compose(container: Container, *more_files: str) -> list[str]:
    """`docker compose` for the project as it was started."""
    labels = container.labels
    command = ["docker", "compose", "--progress=quiet", f"--project-name={labels[PROJECT]}"]
    command.append(f"--project-directory={labels[f'{PROJECT}.working_dir']}")
    for file in (*labels[f"{PROJECT}.config_files"].split(","), *more_files):
        command += ["--file", file]
    for file in filter(None, labels.get(f"{PROJECT}.environment_file", "").split(",")):
        command += ["--env-file", file]
    return command


def _as_started(container: Container) -> dict[str, str]:
    """What decides which files are worked on, and as whom, may have been set only in the shell of that day."""
    user, _, group = container.facts["Config"]["User"].partition(":")
    found = {"FACTORY_DATA": container.source_of(DATA), "PUID": user, "PGID": group}
    return {name: value for name, value in found.items() if value}


def _call(command: Sequence[str], environment: dict[str, str]) -> int:
    """Runs a command that deals with Ctrl-C itself; other signals are handed on."""
    process = subprocess.Popen(command, env=environment)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: process.send_signal(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return process.wait()
