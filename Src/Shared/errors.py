"""Errors that a person can do something about, and what the exit codes of all commands and services mean.

Nothing but the standard library: the commands for the stack need it without any .venv.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """How a command ended. `psql` and `test` hand on the codes of the programs that they run."""

    WELL = 0
    FOUND = 1  # done, and something is to be seen to: some files failed, a warning, nothing known of a name
    WRONG = 2  # wrong usage or environment: nothing was done
    ERROR = 3  # an ERROR state
    INTERRUPTED = 130  # Ctrl-C, or another signal to end


class FactoryError(Exception):
    """The root of all errors that users see as one line. The message says what, where and what to do."""

    about: ClassVar[str] = ""  # what the line begins with
    exit_code: ClassVar[ExitCode] = ExitCode.WRONG

    def line(self) -> str:
        """What a person reads."""
        return f"factory: {self.about}: {self}" if self.about else f"factory: {self}"
