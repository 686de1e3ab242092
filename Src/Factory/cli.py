"""`./factory` once its environment is there: runs one of the commands that are declared. What a command needs is
loaded when it is called, so that the first word comes at once.

Reports go to stdout (one JSON object with `--json`), everything else to stderr. Exit codes: `Src/Shared/errors.py`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from Src.Factory.commands import BY_NAME
from Src.Factory.declaration import Command, Refused, Taken
from Src.Factory.overview import VERSION_LINE, overview
from Src.Factory.parser import parse
from Src.Factory.problems import Problem
from Src.Shared.errors import ExitCode, FactoryError
from Src.Shared.loading import loaded

if TYPE_CHECKING:  # help, version and wrong words need no settings
    from Src.Shared.settings import Settings


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code. An error that a person can fix becomes one line."""
    try:
        return run(sys.argv[1:] if words is None else words)
    except FactoryError as error:
        print(error.line(), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # its reader has seen enough, as `| head`; the flush at the end must not fail too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FOUND


def run(words: Sequence[str]) -> int:
    """The exit code. Ends the program where a word is wrong. Raises FactoryError."""
    if list(words) == ["--version"]:
        print(VERSION_LINE)
        return ExitCode.WELL
    if not words or words[0] == "--help":
        print(overview())
        return ExitCode.WELL if words else ExitCode.WRONG
    command = BY_NAME.get(words[0])
    if command is None:
        raise Problem(f"there is no command {words[0]!r}; ./factory --help has them all")
    return run_here(command, parse(command, words[1:]))


def run_here(command: Command, taken: Taken) -> int:
    """Runs a command without Docker; the exit code. Raises Problem."""
    if isinstance(command.here, Refused):
        raise Problem(f"{command.name}: {command.here.why}")
    command.paths(taken)
    settings = [_settings(command.name)] if command.reads_settings else []
    code = loaded(command.here)(*settings, **taken)
    return int(code or ExitCode.WELL)


def _settings(command: str) -> Settings:
    from Src.Shared.disk.making import make_parent
    from Src.Shared.logs import configure_logging
    from Src.Shared.settings import load_settings

    settings = load_settings()
    configure_logging(settings, command)
    try:
        make_parent(settings.data, settings.group)
    except OSError as error:
        raise Problem(f"FACTORY_DATA: cannot create {settings.data}: {error.strerror}") from error
    return settings
