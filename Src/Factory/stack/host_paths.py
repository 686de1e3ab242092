"""Commands with paths of the host: a container like the service's, which sees those too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path, PurePath, PurePosixPath

from Src.Factory.declaration import Command, Taken
from Src.Factory.problems import Problem
from Src.Factory.stack.containers import DATA, DEFAULT_NAME, PROJECT, SECRETS, Container, ask_docker
from Src.Factory.stack.docker_errors import explained
from Src.Factory.stack.execution import FACTORY, HOST_MOVED, call, shown_paths

_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var")
_STOP_LIMIT = 20  # seconds that a command may take to finish what is under way


def run_with_paths(container: Container, command: Command, taken: Taken) -> int:
    """Runs a command in a container like that one, which sees the paths of the host that are given; its exit code.

    Raises Problem.
    """
    mounted: dict[Path, bool] = {}  # folder: whether it may be written to
    leads_to: dict[str, tuple[Path, Path]] = {}  # what is given: its folder that is mounted, and what it is
    for given, how in command.paths(taken):
        path = _target(command.name, given) if how.written else _existing(command.name, given)
        if how.folder and not path.is_dir():
            raise Problem(f"{command.name}: {given}: is no folder")
        folder = path.parent if how.written or not path.is_dir() else path
        leads_to[given] = folder, path
        writes = how.written or how.folder or (how.written_with is not None and bool(taken[how.written_with]))
        mounted[folder] = mounted.get(folder, False) or writes
    names = {folder: seen_as(folder, container) for folder in mounted}
    inside = {given: str(names[folder] / path.relative_to(folder)) for given, (folder, path) in leads_to.items()}
    mounts = [
        {
            "type": "bind",
            "source": _no_variables(folder),
            "target": _no_variables(target),
            "read_only": not mounted[folder],
            "bind": {"create_host_path": False},
        }
        for folder, target in names.items()
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as more:
        # Without the health check, which looks for the service itself.
        json.dump({"services": {container.service: {"volumes": mounts, "healthcheck": {"disable": True}}}}, more)
        more.flush()
        environment = {**os.environ, **_as_started(container)}
        _check_files(_compose(container, more.name), environment)
        name = f"{container.labels[PROJECT]}-{command.name}-{os.getpid()}"
        run = [*_compose(container, more.name), "run", "--rm", "--no-deps", f"--name={name}"]
        run += [f"--env={variable}={value}" for variable, value in shown_paths(container).items()]
        if moved := {str(target): str(folder) for folder, target in names.items() if str(target) != str(folder)}:
            run.append(f"--env={HOST_MOVED}={json.dumps(moved)}")
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            run.append("--no-TTY")
        run += [container.service, *FACTORY, command.name, *command.words(taken, inside)]
        code = call(run, environment)
    if code != 0:  # interrupted, `docker compose run` ends before its container does
        ask_docker("stop", "-t", str(_STOP_LIMIT), name)
        ask_docker("rm", "--force", name)
    return code


def _check_files(compose: list[str], environment: dict[str, str]) -> None:
    """Raises Problem where Compose is missing, or cannot use its files."""
    command = [*compose, "config", "--quiet"]
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise Problem(explained(done.stderr))


def _existing(command: str, given: str) -> Path:
    """What is to be read."""
    try:
        path = Path(given).resolve(strict=True)
    except OSError as error:
        raise Problem(f"{command}: {given}: {error.strerror}") from error
    _check_name(command, given, path)
    return path


def _target(command: str, given: str) -> Path:
    """A file to be written, whose folder must be there."""
    try:
        path = Path(given).resolve()
        path.parent.resolve(strict=True)
    except OSError as error:
        raise Problem(f"{command}: {given}: {error.strerror}") from error
    if path.is_dir():
        raise Problem(f"{command}: {given}: is a folder; give a file")
    _check_name(command, given, path)
    return path


def _check_name(command: str, given: str, path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise Problem(f"{command}: {given!r}: Docker takes only names in UTF-8; give the folder above it") from None


def seen_as(folder: Path, container: Container) -> PurePosixPath:
    """Where the container sees a folder of the host: under the same name, so that messages and rows name the
    host's path, unless something of its own is there."""
    taken = [Path(mount["Destination"]) for mount in container.facts["Mounts"]]
    taken += [Path(path) for path in (container.facts["Config"]["WorkingDir"] or "/", *_SYSTEM)]
    hidden = [*taken, *map(Path, container.facts["HostConfig"].get("Tmpfs") or ())]
    if any(folder.is_relative_to(path) for path in taken) or any(path.is_relative_to(folder) for path in hidden):
        return PurePosixPath("/import", *folder.parts[1:])
    return PurePosixPath(folder)


def _no_variables(path: PurePath) -> str:
    return str(path).replace("$", "$$")


def run_once(container: Container, service: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a service of the container's stack that ends by itself, and waits for that; what it says is kept."""
    given = [f"--env={name}={value}" for name, value in environment.items()]
    return subprocess.run(
        [*_compose(container), "run", "--rm", "--no-deps", "--no-TTY", *given, service],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, **_as_started(container)},
    )


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
    own_secrets = container.source_of(SECRETS)
    name = str(container.facts["Config"].get("Image", "")).partition("/")[0]
    found = {
        "FACTORY_DATA": container.source_of(DATA),
        "FACTORY_SECRETS": own_secrets and os.path.dirname(own_secrets),
        "FACTORY_NAME": name if name != DEFAULT_NAME else None,
        "PUID": user,
        "PGID": group,
    }
    return {name: value for name, value in found.items() if value}
