"""An operation as its row has it, and what long work says of itself.

Without SQLAlchemy: what only shows operations answers sooner.
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

from Src.Shared.disk.locks import lock_now, open_lock
from Src.Shared.errors import FactoryError
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.words import counted

Status = Literal["pending", "running", "paused", "completed", "failed", "cancelled"]

SILENT_AFTER = 60.0  # seconds without a heartbeat: where its lock cannot be asked, it counts as gone
UNDER_WAY = ("pending", "running", "paused")
_CHECKS = ("verify", "look")  # they change nothing: an error of theirs is what they have found
_NAMES = {"look": "nightly look"}  # of kinds, where a person would not know the kind's own
NOTHING: Mapping[str, int] = MappingProxyType({})


class OperationProblem(FactoryError):
    """There is no such operation, or not what was asked can be done with it. The message is one line."""

    about = "operations"


class Progress(Protocol):
    """What long work says of itself to whoever called it: it knows no screen, no log and no ledger."""

    def plan(self, files: int | None, size: int | None = None) -> None:
        """So much is to be done; None: nobody knows."""

    def steps(
        self, files: int, size: int = 0, *, at: str = "", errors: int = 0, counts: Mapping[str, int] = NOTHING
    ) -> None:
        """So much is done, of all; before `plan`, so much is counted. `at`: the file or folder it is at. `counts`: what
        else a person likes to see, by its word."""

    def reached(self, path: str, sha256: str | None) -> None:
        """All up to this file is safe: a checkpoint, by its name and its content."""


@dataclass(frozen=True)
class Operation:
    """One operation, as its row has it."""

    id: uuid.UUID
    kind: str
    parameters: dict[str, Any]
    who: str
    is_scheduled: bool
    status: Status
    done: int
    total: int | None
    current_item: str | None
    checkpoint: dict[str, Any] | None
    per_second: float | None
    errors: int
    message: str | None
    asked: str | None
    runs: int
    host: str
    pid: int
    created_at: datetime
    started_at: datetime | None
    heartbeat_at: datetime
    ended_at: datetime | None
    is_alive: bool = False

    @property
    def is_stopped(self) -> bool:
        """It ended before all was done, and can go on."""
        return self.status == "failed" or (self.status in UNDER_WAY and not self.is_alive)

    @property
    def name(self) -> str:
        """What it is, to a person."""
        return _NAMES.get(self.kind, self.kind)

    @property
    def errors_word(self) -> str:
        """What its errors are: `3 failed`, `3 wrong`."""
        return "wrong" if self.kind in _CHECKS else "failed"

    @property
    def words(self) -> str:
        """`stopped at 12,400 of 58,000`, `running: 12,400 of 58,000`."""
        far = f"{self.done:,} of {self.total:,}" if self.total is not None else counted(self.done, "file")
        if self.status == "failed":
            return f"failed at {far}"
        if self.is_stopped:
            return f"stopped at {far}"
        return far if self.status == "completed" else f"{self.status}: {far}"

    def as_json(self) -> dict[str, Any]:
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("is_alive", "asked")}
        plain = {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in plain.items()}
        return {**plain, "is_stopped": self.is_stopped}


COLUMNS = tuple(one.name for one in fields(Operation) if one.name != "is_alive")


def of_row(row: Mapping[Any, Any], folder: Path) -> Operation:
    """An operation by its columns; `folder` has the locks by which it is known whether it lives."""
    values = {name: row[name] for name in COLUMNS}
    for name in ("parameters", "checkpoint", "current_item"):
        values[name] = _back(values[name])
    one = Operation(**{**values, "id": uuid.UUID(str(values["id"]))})
    if one.status not in UNDER_WAY:
        return one
    alive = is_held(lock_of(folder, one.id))
    if alive is None:
        alive = (datetime.now(UTC) - one.heartbeat_at).total_seconds() < SILENT_AFTER
    return replace(one, is_alive=alive)


def lock_of(folder: Path, id_: uuid.UUID) -> Path:
    """The file that its process holds locked."""
    return folder / f"{id_}.lock"


def offer(one: Operation) -> str:
    """stopped at 12,400 of 58,000: ./factory operations resume ID or ./factory operations discard ID"""
    id_ = short(one.id)
    what = " ".join([one.name, *map(str, one.parameters.get("sources", ()))])
    return f"{what} {one.words}: ./factory operations resume {id_} or ./factory operations discard {id_}"


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock; None where nobody can say: the folder is not here, or another user's."""
    try:
        if not stat.S_ISDIR(os.stat(path.parent).st_mode):
            return None
        if not os.path.lexists(path):
            return False
        file = open_lock(path)
    except OSError:
        return None
    try:
        return not lock_now(file)
    finally:
        os.close(file)


def short(id_: uuid.UUID) -> str:
    """The end of an id, which is chance: what people type."""
    return id_.hex[-8:]


def as_ledger(value: Any) -> Any:
    """Paths anywhere in JSON as ledger text."""
    if isinstance(value, str):
        return to_ledger(value).replace("\0", "")
    if isinstance(value, Mapping):
        return {name: as_ledger(one) for name, one in value.items()}
    return [as_ledger(one) for one in value] if isinstance(value, list | tuple) else value


def _back(value: Any) -> Any:
    if isinstance(value, str):
        return from_ledger(value)
    if isinstance(value, Mapping):
        return {name: _back(one) for name, one in value.items()}
    return [_back(one) for one in value] if isinstance(value, list) else value
