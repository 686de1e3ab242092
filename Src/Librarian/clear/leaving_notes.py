"""What is known of the files that are kept aside, on disk: the next start goes on by it after a kill at any line.

Before files are taken out of the inbox it is noted what they are; afterwards, that they were found to be that. So a
file that has only the first note was perhaps changed in the moment of a kill, and one without any is not known at all.
One line is written for a whole batch, to a segment that is removed when all its files have gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from Src.Library.leaving import NOTES
from Src.Shared.disk.files import FileState
from Src.Shared.disk.syncing import fsync_folder
from Src.Shared.models import new_id

_SEGMENT_FILES = 5000  # a segment stays for as long as one of its files does
_LONGEST_NAME = 255  # bytes


class Note(NamedTuple):
    """A file that leaves the inbox, as it was filed."""

    name: str  # under which it is kept aside
    original_path: str  # relative to the inbox
    kept_path: str  # of the original with its content, relative to the storage root; empty: not known
    sha256: str
    state: FileState
    at: float  # wall time


class Taken(NamedTuple):
    """A file that was found as noted once it had been taken."""

    name: str
    ctime_ns: int  # the rename changes it
    leased: bool  # nobody had it open for writing


class Notes:
    """The notes in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = ""
        self._count = 0

    def next_names(self, originals: Sequence[str]) -> list[str]:
        """Names that nobody else uses, which lead to a segment of these notes and end as the files are called."""
        if not self._token or self._count + len(originals) > _SEGMENT_FILES:
            self.rotate()
        first, self._count = self._count, self._count + len(originals)
        return [_fitting(f"{self._token}.{number}.", name) for number, name in enumerate(originals, first)]

    def rotate(self) -> None:
        """From here on another segment is written."""
        self._token, self._count = new_id().hex, 0

    def write(self, notes: Sequence[Note]) -> None:
        """Notes durably what is about to be taken. Raises OSError, and then the next segment is begun."""
        rows = [(one.name, one.original_path, one.kept_path, one.sha256, *one.state, one.at) for one in notes]
        self._append({"takes": rows}, durably=True)

    def confirm(self, taken: Sequence[Taken]) -> None:
        """Notes what was taken and found as noted. Raises OSError."""
        self._append({"taken": taken}, durably=False)

    def _append(self, what: dict[str, Any], *, durably: bool) -> None:
        path = self._folder / f"{self._token}{NOTES}"
        line = json.dumps(what, separators=(",", ":")).encode() + b"\n"
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            is_new = os.fstat(fd).st_size == 0
            if os.write(fd, line) != len(line):
                raise OSError("the disk took only a part of a note")
            if durably:
                os.fdatasync(fd)
        except OSError:
            self.rotate()  # a torn line would swallow the next one
            raise
        finally:
            os.close(fd)
        if durably and is_new:
            fsync_folder(self._folder)


def read(folder: Path, segment: str) -> Iterator[tuple[Note, Taken | None]]:
    """What a segment says. A torn line is passed over: nothing had been taken yet. Raises OSError."""
    notes: dict[str, Note] = {}
    taken: dict[str, Taken] = {}
    with open(folder / f"{segment}{NOTES}", "rb") as file:
        for line in file:
            try:
                what = json.loads(line)
                for name, original_path, kept_path, sha256, *state, at in what.get("takes", ()):
                    notes[name] = Note(name, original_path, kept_path, sha256, FileState(*state), at)
                for row in what.get("taken", ()):
                    taken[row[0]] = Taken(*row)
            except (ValueError, TypeError, AttributeError):
                continue
    for name, note in notes.items():
        yield note, taken.get(name)


def segment_of(name: str) -> str:
    """The segment that a name leads to; whatever was never one of ours leads to none."""
    return name.partition(".")[0]


def name_in_inbox(name: str) -> str:
    """How a file was called, as far as its name says."""
    token, _, rest = name.partition(".")
    number, _, original = rest.partition(".")
    return original if len(token) == 32 and number.isdecimal() and original else name


def _fitting(prefix: str, name: str) -> str:
    room = _LONGEST_NAME - len(prefix)
    if len(os.fsencode(name)) <= room:
        return prefix + name
    stem, dot, ending = name.rpartition(".")
    if not stem or len(os.fsencode(ending)) > 16:
        stem, dot, ending = name, "", ""
    while len(os.fsencode(stem + dot + ending)) > room:
        stem = stem[:-1]
    return prefix + stem + dot + ending
