"""What a command is, as plain data. The parser (`Src/Factory/parser.py`) is made of it, here and for the stack."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from Src.Factory.problems import Problem

Taken = Mapping[str, Any]  # what a call gives, by the names of the parameters


class Group(StrEnum):
    """The headings of `./factory --help`, in their order."""

    RUN = "Run"
    BRING_IN = "Bring in"
    LOOK = "Look"
    DECIDE = "Decide"
    LOOK_AFTER = "Look after"
    DEVELOP = "Develop"


@dataclass(frozen=True)
class HostPath:
    """A value is a path of the host. A container sees what such paths lead to, and no more."""

    written: bool = False  # a file is made there; else what is there is read
    folder: bool = False  # it is a folder that is there, in which files are made
    written_with: str | None = None  # the parameter with which what is read may be changed or removed too
    or_name: bool = False  # a word without a slash, where nothing of that name is here, is no path but a name of ours


@dataclass(frozen=True)
class Argument:
    """Something that must be given, by its place."""

    parameter: str
    metavar: str
    help: str
    many: bool = False  # one or more; else exactly one
    optional: bool = False  # none will do: None, or an empty list of many
    path: HostPath | None = None


@dataclass(frozen=True)
class Flag:
    """`--name`: given or not."""

    name: str
    help: str
    parameter: str


@dataclass(frozen=True)
class Option:
    """`--name VALUE`; None where it is not given."""

    name: str
    metavar: str
    help: str
    parameter: str
    path: HostPath | None = None


@dataclass(frozen=True)
class Refused:
    """The command cannot run there."""

    why: str


@dataclass(frozen=True)
class InContainer:
    """In the service's container; where paths of the host are given, in one of its own, which sees them."""

    service: str


@dataclass(frozen=True)
class OnHost:
    """A function in the host's Python, as `module:function`; it takes the stack and what is given."""

    function: str


@dataclass(frozen=True)
class BesideStack:
    """As OnHost, whether or not the stack runs: the function takes the checkout's folder in the stack's place."""

    function: str


@dataclass(frozen=True)
class Command:
    """One command of `./factory`."""

    name: str
    group: Group
    help: str
    here: str | Refused  # without Docker, `module:function`; it takes the settings and what is given
    stack: InContainer | OnHost | BesideStack | Refused | None  # None: never for the stack
    takes: tuple[Argument | Flag | Option, ...] = ()
    passes_on: bool = False  # what is given is another program's, and goes to the function as `arguments`
    reads_settings: bool = True  # else the function takes none
    hidden: bool = False

    def paths(self, taken: Taken) -> list[tuple[str, HostPath]]:
        """The paths of the host that are given. Raises Problem for one that is empty."""
        found = []
        for one in self.takes:
            if isinstance(one, Flag) or one.path is None:
                continue
            for path in _values(one, taken):
                if not path:  # as of an unset variable; a path of it would be the folder we are in
                    what = (
                        "target is empty; give a file"
                        if one.path.written
                        else "source is empty; give a folder or a file"
                    )
                    what = "destination is empty; give a folder" if one.path.folder else what
                    raise Problem(f"{self.name}: a {what}")
                if one.path.or_name and "/" not in path and not os.path.lexists(path):
                    continue
                found.append((path, one.path))
        return found

    def words(self, taken: Taken, seen_as: Mapping[str, str] | None = None) -> list[str]:
        """What is given, as one would type it, where the paths of the host have these other names."""
        options: list[str] = []
        places: list[str] = []
        for one in self.takes:
            if isinstance(one, Flag):
                options += [one.name] * bool(taken[one.parameter])
                continue
            values = _values(one, taken)
            if one.path is not None and seen_as is not None:
                values = [seen_as.get(value, value) for value in values]
            if isinstance(one, Option):
                options += [f"{one.name}={value}" for value in values]
            else:
                places += values
        return [*options, "--", *places] if places else options


def _values(one: Argument | Option, taken: Taken) -> list[str]:
    value = taken[one.parameter]
    return list(value) if isinstance(one, Argument) and one.many else [] if value is None else [value]


JSON = Flag("--json", "Print one JSON object.", "as_json")
JSON_LINES = Flag("--json", "Print one JSON object a line, for each file.", "as_json")
SELECTION = Argument(
    "selection", "SELECTION", "Which originals, as 'camera:canon* year:2019..2021' or '*': docs/SELECTION.md."
)
DRY_RUN = Flag("--dry-run", "Change nothing; print what would change, and how many originals.", "dry_run")


def decision(name: str, help_: str, *takes: Argument | Flag) -> Command:
    """A command by which a person decides about what a selection means."""
    return Command(
        name=name,
        group=Group.DECIDE,
        help=f"{help_} Exit code 1: the selection means nothing.",
        here=f"Src.Factory.decide:{name}",
        stack=InContainer("librarian"),
        takes=(SELECTION, *takes, JSON, DRY_RUN),
    )


# A number, or a position, is no option: there is none that begins with a digit.
NEGATIVE = re.compile(r"-[\d.]+(?:\s*,\s*[+-]?[\d.]+)*")
