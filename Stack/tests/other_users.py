"""Other users of this machine, for tests that root runs: real processes of theirs, who write into an inbox."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from Src.Library.leaving import HIDDEN
from Src.Testing.patience import wait_until
from Src.Testing.promise import files_below
from Stack.tests.real_factory import LIMIT, WATCHING, Factory, Running
from Stack.tests.real_factory import ROOT as ROOT_FOLDER

LIBRARIAN, SOMEBODY, ROOT = 65534, 10002, 0  # the first one (nobody) has an account, which PostgreSQL asks for


def as_user(user: int) -> tuple[str, ...]:
    """What a command begins with. Reading everything does no harm, and lets any user run our Python."""
    caps = "-all,+dac_read_search"
    identity = (f"--reuid={user}", f"--regid={user}", "--clear-groups")
    return ("setpriv", *identity, f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}")


class FactoryOfAnother(Factory):
    """Without `./factory`, which would look after a `.venv` that is ours."""

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "Src.Factory", *map(str, arguments)]


def factory_of_another(data: Path, environment: Mapping[str, str]) -> FactoryOfAnother:
    """Its folder is the Librarian's; into the inbox all may write. The folder above must let others pass."""
    factory = FactoryOfAnother(data, dict(environment))
    factory.environment.update(
        HOME=str(data.parent), LOG_LEVEL="WARNING", PYTHONPATH=str(ROOT_FOLDER), PYTHONDONTWRITEBYTECODE="1"
    )
    for folder in (factory.data, factory.inbox):
        folder.mkdir()
        os.chown(folder, LIBRARIAN, LIBRARIAN)
    factory.inbox.chmod(0o777)
    return factory


@contextmanager
def librarian_up(factory: Factory) -> Iterator[Running]:
    """The Librarian runs, who is no root."""
    running = Running(factory, [*as_user(LIBRARIAN), sys.executable, "-m", "Src.Librarian"], factory.env())
    try:
        wait_until(lambda: factory.asked(WATCHING), LIMIT)
        yield running
    finally:
        running.end()


def wait_for_empty_inbox(factory: Factory) -> None:
    """A photo has its row, and its fate is told, a moment before it leaves the inbox."""

    def photos() -> list[Path]:
        return [path for path in files_below(factory.inbox) if path.suffix == ".jpg" and path.parent.name != HIDDEN]

    wait_until(lambda: not photos(), LIMIT, "the inbox is empty")


class Upload:
    """A program of another user that writes a file slowly."""

    def __init__(self, user: int, path: Path, how: str = "cat >") -> None:
        self._writer = subprocess.Popen(
            [*as_user(user), "sh", "-c", f'umask 022; {how} "$1"', "sh", str(path)], stdin=subprocess.PIPE
        )
        self._path = path
        self._written = path.stat().st_size if path.exists() else 0

    def write(self, content: bytes) -> None:
        assert self._writer.stdin is not None
        self._writer.stdin.write(content)
        self._writer.stdin.flush()
        self._written += len(content)
        # Wherever its file is by now.
        open_file = f"/proc/{self._writer.pid}/fd/1"
        wait_until(lambda: os.stat(open_file).st_size == self._written, LIMIT, "it is written")

    def close(self) -> None:
        self._writer.communicate()
        assert self._writer.returncode == 0
