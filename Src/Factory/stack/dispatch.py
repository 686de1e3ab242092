"""Which commands are for the running stack, and what runs them there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from Src.Factory.commands import BY_NAME
from Src.Factory.declaration import BesideStack, InContainer, OnHost, Refused
from Src.Factory.parser import parse
from Src.Factory.problems import Problem
from Src.Factory.stack.containers import running_stack
from Src.Factory.stack.execution import run_factory
from Src.Factory.stack.host_paths import run_with_paths
from Src.Shared.errors import FactoryError


def run_in_stack(root: str, arguments: Sequence[str]) -> int | None:
    """Runs a command against the stack of the checkout `root`; its exit code. None: it is not for the stack."""
    command = BY_NAME.get(arguments[0]) if arguments else None
    if command is None or command.stack is None:
        return None
    try:
        if isinstance(command.stack, BesideStack):
            return int(_function(command.stack.function)(root, **parse(command, arguments[1:])))
        stack = running_stack(root)
        if stack is None:
            return None
        if isinstance(command.stack, Refused):
            raise Problem(f"{command.name}: {command.stack.why}")
        taken = parse(command, arguments[1:])
        paths = command.paths(taken)
        if isinstance(command.stack, OnHost):
            return int(_function(command.stack.function)(stack, **taken))
        assert isinstance(command.stack, InContainer)
        container = stack.get(command.stack.service)
        if paths:
            return run_with_paths(container, command, taken)
        run_factory(container, command.name, command.words(taken))
    except FactoryError as error:
        print(error.line(), file=sys.stderr)
        return error.exit_code


def _function(named: str) -> Any:
    module, _, function = named.partition(":")
    return getattr(import_module(module), function)
