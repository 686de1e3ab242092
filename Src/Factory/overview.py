"""What `./factory --help` and `./factory --version` say, with and without .venv."""

from __future__ import annotations

import textwrap

from Src.Factory.commands import COMMANDS
from Src.Factory.declaration import Group
from Src.Shared.version import SCHEMA, VERSION

ABOUT = "Photo Factory: files photos and videos from the inbox into the vault, and keeps a database of them."
VERSION_LINE = f"Photo Factory {VERSION} (schema {SCHEMA} of the database)"

_MORE = "factory COMMAND --help says more about each. What the exit codes mean is in README.md."
_WIDTH = 100


def overview() -> str:
    """All commands, in groups."""
    shown = [command for command in COMMANDS if not command.hidden]
    width = max(len(command.name) for command in shown) + 2
    lines = ["Usage: factory [--help | --version] COMMAND [ARGS]...", "", *textwrap.wrap(ABOUT, _WIDTH)]
    for group in Group:
        lines += ["", f"{group}:"]
        for command in shown:
            if command.group is group:
                first, *rest = textwrap.wrap(command.help, _WIDTH - width - 2)
                lines.append(f"  {command.name:<{width}}{first}")
                lines += [f"  {'':<{width}}{line}" for line in rest]
    return "\n".join([*lines, "", _MORE])
