"""Commands in a container that is there: `docker exec`, hidden."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from Src.Factory.stack.containers import DATA, Container, say
from Src.Factory.stack.docker_errors import explained, is_dockers
from Src.Shared.errors import ExitCode
from Src.Shared.own_address import own_address
from Src.Shared.person import PERSON, login_name

FACTORY = ("python", "-m", "Src.Factory")  # the commands, in the images

HOST_DATA = "FACTORY_HOST_DATA"  # what the host calls FACTORY_DATA; read where results are shown
HOST_MOVED = "FACTORY_HOST_MOVED"  # JSON: what the host calls folders that a container sees under another name

_ANY = ("", "0.0.0.0", "::")


def run_factory(
    container: Container, command: str, words: Sequence[str], environment: dict[str, str] | None = None
) -> NoReturn:
    """Runs a command of `./factory` in the container, and ends with its exit code."""
    given = {PERSON: login_name(), **(environment or {})}
    sys.exit(call(in_container(container, *FACTORY, command, *words, environment=given)))


def run(
    container: Container, *command: str, environment: dict[str, str] | None = None, reads: bool = False
) -> NoReturn:
    """Runs a command in the container, and ends with its exit code. `reads`: it takes its input from ours, also where
    that is no terminal."""
    sys.exit(call(in_container(container, *command, environment=environment, reads=reads)))


def in_container(
    container: Container,
    *command: str,
    environment: dict[str, str] | None = None,
    reads: bool = False,
    is_shown: bool = True,
) -> list[str]:
    """The words of `docker exec`. What the command shows of FACTORY_DATA are the host's paths. `is_shown`: to a person,
    where we are on a terminal."""
    on_terminal = is_shown and sys.stdin.isatty() and sys.stdout.isatty()
    options = ["--interactive", "--tty"] if on_terminal else ["--interactive"] if reads else []
    for name, value in {**shown_paths(container), **(environment or {})}.items():
        options += ["--env", f"{name}={value}"]
    return ["docker", "exec", *options, container.id, *command]


def shown_paths(container: Container) -> dict[str, str]:
    """The variable by which a command knows what the host calls its folder of data."""
    data = container.source_of(DATA)
    return {HOST_DATA: data} if data else {}


def call(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Runs a docker command on our terminal; its exit code. What Docker itself has to complain of becomes a line of
    ours. Ctrl-C is for the command, other signals are handed on."""
    sys.stdout.flush()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: process.send_signal(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert process.stderr is not None
    complaints = ""
    while said := os.read(process.stderr.fileno(), 65536).decode(errors="surrogateescape"):
        for line in said.splitlines(keepends=True):
            if is_dockers(line) or (complaints and not line.strip()):
                complaints += line
            else:
                sys.stderr.buffer.write(line.encode(errors="surrogateescape"))
        sys.stderr.buffer.flush()
    code = process.wait()
    if complaints and code != 0:
        say(explained(complaints))
        return ExitCode.WRONG
    return code


def address_of(published: str) -> str:
    """The address to enter elsewhere for one that a port is published on."""
    if published not in _ANY:
        return f"[{published}]" if ":" in published else published
    return own_address()
