"""`images`: which images of others the stack is made of, and `--pin`, which fixes them by their digests.

Nothing but the standard library: who runs the stack needs no .venv.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Src.Factory.problems import Problem
from Src.Factory.stack.containers import run_docker
from Src.Factory.stack.docker_errors import explained
from Src.Shared.disk.whole_file import write_whole
from Src.Shared.errors import ExitCode

OVERRIDE = "docker-compose.override.yml"  # which Compose reads by itself
_HEADER = (
    "# Written by `./factory images --pin`: the images of others, by their digests. After an update of Photo Factory,\n"
    "# or of an image's name in .env, run it again; without this file the names count.\n"
)
_BASE = "PYTHON_IMAGE"  # the argument that our own images are built with
_LIMIT = 1800.0  # seconds for one image


@dataclass(frozen=True)
class Used:
    """An image, and which services run or are built from it."""

    name: str
    run: tuple[str, ...]
    built: tuple[str, ...]


def show_images(root: str, *, pin: bool, as_json: bool) -> int:
    """Prints the images of the checkout's stack, or pins them; the exit code. Raises Problem."""
    used = _used(root)
    path = os.path.join(root, OVERRIDE)
    if pin:
        _write(path, used, {one.name: _pulled(one.name) for one in used})
    pinned = _pinned(path)
    found = {one.name: next((name for name in pinned if name.startswith(f"{one.name}@")), None) for one in used}
    if as_json:
        print(json.dumps({"images": found, "file": path if pinned else None}))
        return ExitCode.WELL
    for one in used:
        print(f"  {one.name:<45}{(found[one.name] or 'by its name only').removeprefix(f'{one.name}@')}")
    others = [name for name in pinned if name not in found.values()]
    if others:
        print(f"  {OVERRIDE} has others, and counts: {', '.join(others)}; ./factory images --pin writes it anew")
    if pin:
        print(f"written to {path}; docker compose up -d --build takes them")
    return ExitCode.WELL


def _used(root: str) -> list[Used]:
    """From the files as they are without the override."""
    compose = ("compose", "--project-directory", root, "--file", os.path.join(root, "docker-compose.yml"))
    answer = _run(*compose, "config", "--format", "json")
    if answer.returncode != 0:
        raise Problem(f"images: docker compose cannot read its files: {explained(answer.stderr)}")
    services: dict[str, Any] = json.loads(answer.stdout)["services"]
    run: dict[str, list[str]] = {}
    built: dict[str, list[str]] = {}
    for service, facts in sorted(services.items()):
        if "build" in facts:
            built.setdefault(facts["build"]["args"][_BASE], []).append(service)
        else:
            run.setdefault(facts["image"], []).append(service)
    return [Used(name, tuple(run.get(name, ())), tuple(built.get(name, ()))) for name in sorted({*run, *built})]


def _pulled(name: str) -> str:
    """The image by its digest, as the registry has it now."""
    if "@" in name:
        return name
    answer = _run("pull", "--quiet", name)
    if answer.returncode != 0:
        raise Problem(
            f"images: {name} cannot be had from its registry ({explained(answer.stderr)}); digests come only from "
            "there, so nothing was written. Try again where the registry can be reached"
        )
    answer = _run("image", "inspect", "--format", "{{json .RepoDigests}}", name)
    with suppress(ValueError):
        for one in json.loads(answer.stdout) or ():
            repository, _, digest = str(one).partition("@")
            if digest.startswith("sha256:") and _plain(repository) == _plain(_without_tag(name)):
                return f"{name}@{digest}"
    raise Problem(f"images: Docker knows no digest of {name}: was it built here? Nothing was written")


def _without_tag(name: str) -> str:
    repository, _, tag = name.rpartition(":")
    return repository if repository and "/" not in tag else name


def _plain(repository: str) -> str:
    return repository.removeprefix("docker.io/").removeprefix("library/")


def _write(path: str, used: Sequence[Used], digests: dict[str, str]) -> None:
    """Replaces a file of ours, and no other."""
    if os.path.lexists(path) and not _is_ours(path):
        raise Problem(f"images: {path} is not of this command; move what it says elsewhere, or add the digests there")
    services: dict[str, Any] = {}
    for one in used:
        for service in one.run:
            services[service] = {"image": digests[one.name]}
        for service in one.built:
            services[service] = {"build": {"args": {_BASE: digests[one.name]}}}
    text = f"{_HEADER}{json.dumps({'services': services}, indent=2)}\n"
    try:
        write_whole(Path(path), text.encode(), mode=0o644)
    except OSError as error:
        raise Problem(f"images: {path}: {error.strerror}") from error


def _is_ours(path: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline() == _HEADER.splitlines(keepends=True)[0]
    except (OSError, UnicodeDecodeError):
        return False


def _pinned(path: str) -> list[str]:
    """The images that the file names, where it is ours."""
    if not _is_ours(path):
        return []
    with open(path, encoding="utf-8") as file:
        text = "".join(line for line in file if not line.startswith("#"))
    try:
        services = json.loads(text)["services"].values()
        return sorted({str(one["image"] if "image" in one else one["build"]["args"][_BASE]) for one in services})
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Problem(f"images: {path} was changed and cannot be read; delete it and run this with --pin") from None


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return run_docker(*arguments, limit=_LIMIT)
    except subprocess.TimeoutExpired:
        words = " ".join(("docker", *arguments[:2]))
        raise Problem(f"images: `{words}` gave no answer in {_LIMIT / 60:.0f} minutes") from None
