"""The parser of all commands, made of what they declare. The standard library's: whoever runs the stack has no .venv,
and without Docker each command would wait for the import of another one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from Src.Factory.declaration import NEGATIVE, Argument, Command, Flag, Option, Taken

_VALUE = "\0"  # before what is no option, whatever it looks like; no word of a command line can hold it


class _Help(argparse.HelpFormatter):
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        """Begins as `./factory --help` does."""
        super().add_usage(usage, actions, groups, "Usage: " if prefix is None else prefix)


def parse(command: Command, words: Sequence[str]) -> Taken:
    """What is given, by the names of the parameters. Ends the program where a word is wrong, with `ExitCode.WRONG`."""
    if command.passes_on:
        return {"arguments": list(words)}
    parser = argparse.ArgumentParser(
        prog=f"factory {command.name}", description=command.help, allow_abbrev=False, formatter_class=_Help
    )
    for one in command.takes:
        help_ = one.help.replace("%", "%%")
        if isinstance(one, Flag):
            parser.add_argument(one.name, dest=one.parameter, action="store_true", help=help_)
        elif isinstance(one, Argument):
            nargs = ("*" if one.optional else "+") if one.many else "?" if one.optional else None
            parser.add_argument(one.parameter, metavar=one.metavar, nargs=nargs, help=help_)
        else:
            parser.add_argument(one.name, dest=one.parameter, metavar=one.metavar, help=help_)
    taken = vars(parser.parse_intermixed_args(_marked(command, words)))
    return {name: _plain(value) for name, value in taken.items()}


def _marked(command: Command, words: Sequence[str]) -> list[str]:
    """argparse looks for options behind `--` too where they may stand anywhere; `import -- --move` must not move."""
    words = _joined(command, words)
    end = words.index("--") if "--" in words else len(words)
    beginnings = {f"{one.name}=" for one in command.takes if isinstance(one, Option)}
    marked = []
    for word in words[:end]:
        name, equals, value = word.partition("=")
        if NEGATIVE.fullmatch(word):
            marked.append(_VALUE + word)
        else:
            marked.append(f"{name}={_VALUE}{value}" if name + equals in beginnings else word)
    return [*marked, *(_VALUE + word for word in words[end + 1 :])]


def _joined(command: Command, words: Sequence[str]) -> list[str]:
    """A value may begin with a minus, as in `--shift -7:12`: argparse would take it for an option."""
    with_value = {one.name for one in command.takes if isinstance(one, Option)}
    options = {one.name for one in command.takes if not isinstance(one, Argument)} | {"--", "--help", "-h"}
    joined: list[str] = []
    is_value = False
    for number, word in enumerate(words):
        if word == "--":
            return [*joined, *words[number:]]
        if is_value and word.startswith("-") and word.partition("=")[0] not in options:
            joined[-1] += f"={word}"
            is_value = False
        else:
            joined.append(word)
            is_value = word in with_value
    return joined


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.removeprefix(_VALUE) if isinstance(value, str) else value
