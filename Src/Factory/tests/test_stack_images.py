"""`./factory images`, with a `docker` that plays registry, engine and Compose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from Src.Factory.tests.bare_checkout import BareCheckout

PYTHON = os.path.realpath(sys.executable)
OVERRIDE = "docker-compose.override.yml"
POSTGRES, PROXY, BASE = "postgres:18.6-trixie", "ghcr.io:443/maker/proxy:v1.2.3", "python:3.13.16-slim-trixie"

DOCKER = """#!{python} -IS
import hashlib, json, os, sys
folder = {folder!r}
told = sys.argv[1:]
open(folder + "/told", "a").write(json.dumps(told) + "\\n")
if told[0] == "compose":
    assert told[told.index("--file") + 1].endswith("/docker-compose.yml")
    print(open(folder + "/config.json").read())
elif told[0] == "pull":
    if not os.path.exists(folder + "/registry"):
        sys.exit("Error response from daemon: Get https://registry/v2/: dial tcp: no such host")
elif told[:2] == ["image", "inspect"]:
    name = told[-1].rpartition(":")[0]
    digest = open(folder + "/registry").read().strip()
    print(json.dumps(["other/name@sha256:00", "docker.io/library/" + name + "@sha256:" + digest]))
else:
    sys.exit("not expected: " + repr(told))
"""


class Checkout:
    """A checkout with nothing but what the command needs."""

    def __init__(self, folder: Path, bare_checkout: BareCheckout) -> None:
        self._folder = folder
        self.root = folder / "checkout"
        bare_checkout(self.root)
        (folder / "bin").mkdir()
        docker = folder / "bin" / "docker"
        docker.write_text(DOCKER.format(python=PYTHON, folder=str(folder)))
        docker.chmod(0o755)
        self.uses(POSTGRES)

    def uses(self, postgres: str) -> None:
        ours = {"build": {"context": ".", "args": {"PYTHON_IMAGE": BASE}}, "image": "photo-factory/librarian:2"}
        services = {
            "librarian": ours,
            "init": ours,
            "factory-db": {"image": postgres},
            "gate": {"image": PROXY},
            "docker-proxy": {"image": PROXY},
        }
        (self._folder / "config.json").write_text(json.dumps({"services": services}))

    def registry(self, digest: str | None) -> None:
        if digest is None:
            (self._folder / "registry").unlink(missing_ok=True)
        else:
            (self._folder / "registry").write_text(digest)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PYTHON, "-I", self.root / "factory", "images", *arguments],
            env={"PATH": f"{self._folder / 'bin'}:/bin:/usr/bin", "FACTORY_NO_APT": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    def override(self) -> dict[str, Any]:
        text = (self.root / OVERRIDE).read_text()
        found: dict[str, dict[str, Any]] = json.loads(
            "".join(line for line in text.splitlines() if not line.startswith("#"))
        )
        return found["services"]


@pytest.fixture
def checkout(tmp_path: Path, bare_checkout: BareCheckout) -> Checkout:
    return Checkout(tmp_path, bare_checkout)


def test_the_images_are_shown(checkout: Checkout) -> None:
    done = checkout.run()
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [PROXY, POSTGRES, BASE]
    assert json.loads(checkout.run("--json").stdout) == {
        "images": {PROXY: None, POSTGRES: None, BASE: None},
        "file": None,
    }
    assert not (checkout.root / OVERRIDE).exists()


def test_pinned_by_their_digests(checkout: Checkout) -> None:
    checkout.registry("a" * 64)
    done = checkout.run("--pin")
    assert done.returncode == 0, done.stderr
    base = {"build": {"args": {"PYTHON_IMAGE": f"{BASE}@sha256:{'a' * 64}"}}}
    assert checkout.override() == {
        "factory-db": {"image": f"{POSTGRES}@sha256:{'a' * 64}"},
        "gate": {"image": f"{PROXY}@sha256:{'a' * 64}"},
        "docker-proxy": {"image": f"{PROXY}@sha256:{'a' * 64}"},
        "librarian": base,
        "init": base,
    }
    assert f"sha256:{'a' * 64}" in checkout.run().stdout
    checkout.registry("b" * 64)
    assert checkout.run("--pin").returncode == 0
    assert checkout.override()["gate"] == {"image": f"{PROXY}@sha256:{'b' * 64}"}, "made anew"


def test_without_a_registry_it_says_so_and_writes_nothing(checkout: Checkout) -> None:
    done = checkout.run("--pin")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be had from its registry" in done.stderr
    assert "no such host" in done.stderr
    assert "nothing was written" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (checkout.root / OVERRIDE).exists()
    checkout.registry("a" * 64)
    checkout.run("--pin")
    before = (checkout.root / OVERRIDE).read_bytes()
    checkout.registry(None)
    assert checkout.run("--pin").returncode == 2
    assert (checkout.root / OVERRIDE).read_bytes() == before


def test_a_file_of_the_users_is_left_alone(checkout: Checkout) -> None:
    checkout.registry("a" * 64)
    (checkout.root / OVERRIDE).write_text("services: {}\n")
    done = checkout.run("--pin")
    assert done.returncode == 2
    assert "is not of this command" in done.stderr
    assert (checkout.root / OVERRIDE).read_text() == "services: {}\n"


def test_after_an_update_the_old_pins_are_told(checkout: Checkout) -> None:
    """They go on to count until they are made anew."""
    checkout.registry("a" * 64)
    checkout.run("--pin")
    checkout.uses("postgres:18.7-trixie")
    said = checkout.run().stdout
    assert f"{OVERRIDE} has others, and counts: {POSTGRES}@sha256:" in said
    assert checkout.run("--pin").returncode == 0
    assert "has others" not in checkout.run().stdout


def test_what_is_fixed_already_is_not_asked_for(checkout: Checkout) -> None:
    fixed = f"postgres:18.6-trixie@sha256:{'c' * 64}"
    checkout.uses(fixed)
    checkout.registry("a" * 64)
    assert checkout.run("--pin").returncode == 0
    assert checkout.override()["factory-db"] == {"image": fixed}
