"""The last lines of a service's log, with the level of each."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
TAIL = 256 * 1024  # bytes that are read from the end of a file

_LEVEL = re.compile(r"\b(DEBUG|INFO|NOTICE|LOG|WARN|WARNING|ERROR|FATAL|PANIC|CRITICAL)\b")
_SAME = {"NOTICE": "INFO", "LOG": "INFO", "WARN": "WARNING", "FATAL": "ERROR", "PANIC": "ERROR", "CRITICAL": "ERROR"}


@dataclass(frozen=True, slots=True)
class Line:
    level: str
    text: str


def read_tail(path: Path) -> list[str]:
    """The last lines of a file. Raises OSError."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        lines = file.read().decode(errors="replace").splitlines()
    return lines[1:] if size > TAIL else lines  # the first may be half a line


def leveled(lines: Iterable[str]) -> list[Line]:
    """Each with its level; a line that continues another (a traceback) has the level of that."""
    found: list[Line] = []
    for line in lines:
        before = found[-1].level if found else "INFO"
        found.append(_json(line) or Line(before if line.startswith((" ", "\t")) else _level(line), line))
    return found


def at_least(lines: Iterable[Line], level: str) -> list[Line]:
    least = LEVELS.index(level)
    return [line for line in lines if LEVELS.index(line.level) >= least]


def _level(line: str) -> str:
    match = _LEVEL.search(line[:120])
    return "INFO" if match is None else _SAME.get(match[1], match[1])


def _json(line: str) -> Line | None:
    if not line.startswith("{"):
        return None
    try:
        fields = json.loads(line)
        text = f"{fields['ts']} {fields['level']} {fields['message']}"
    except (ValueError, KeyError, TypeError):
        return None
    return Line(_level(fields["level"] if isinstance(fields["level"], str) else ""), text)
