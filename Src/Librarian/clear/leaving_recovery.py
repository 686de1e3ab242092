"""What earlier runs have left aside, and what is known of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from Src.Librarian.clear import leaving_notes
from Src.Librarian.clear.leaving_notes import Note, Taken
from Src.Librarian.clear.leaving_places import opened_place
from Src.Library.leaving import HIDDEN, INBOX, NOTES, is_leaving


class Found(NamedTuple):
    """A file that is kept aside."""

    name: str
    folder: str
    status: os.stat_result
    note: Note | None  # None: nobody knows what it is
    taken: Taken | None
    notes: str  # folder of its note


class Aside(NamedTuple):
    """All of an inbox."""

    files: list[Found]
    segments: list[tuple[str, str]]  # of notes: folder and segment


def folder_for(parent: Path, inbox: str) -> Path:
    """The folder for what leaves an inbox, beside the vault."""
    return parent / hashlib.sha256(os.fsencode(inbox)).hexdigest()[:16]


def make_folder(folder: Path, inbox: str) -> None:
    """Makes it where it is missing, for this user alone. Raises OSError."""
    if not (folder / INBOX).exists():
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / INBOX).write_text(json.dumps({"path": inbox}))


def look(parent: Path, inbox: str) -> Aside:
    """What is kept aside for an inbox, and for others that are no more. Raises OSError."""
    noted: dict[str, tuple[Note, Taken | None, str]] = {}
    names: dict[str, list[str]] = {}  # folder -> files in it
    segments: list[tuple[str, str]] = []
    for folder in _our_folders(parent, inbox):
        found = os.listdir(folder)
        names[str(folder)] = [name for name in found if is_leaving(name)]
        for segment in [leaving_notes.segment_of(name) for name in found if name.endswith(NOTES)]:
            segments.append((str(folder), segment))
            for note, taken in leaving_notes.read(folder, segment):
                noted[note.name] = note, taken, str(folder)
    names |= _hidden(inbox, {os.path.dirname(note.original_path) for note, _, _ in noted.values()} | {""})
    own = str(folder_for(parent, inbox))
    unknown: tuple[Note | None, Taken | None, str] = (None, None, own)
    files = [
        Found(name, where, status, *(noted.get(name) or unknown))
        for where, those in names.items()
        for name, status in _looked_at(where, those, inbox)
    ]
    return Aside(files, segments)


def _our_folders(parent: Path, inbox: str) -> list[Path]:
    try:
        folders = [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]
    except FileNotFoundError:
        return []
    return [folder for folder in folders if _is_ours(folder, inbox)]


def _is_ours(folder: Path, inbox: str) -> bool:
    """Not those of another inbox that is there: its own Librarian may be at work on them."""
    try:
        path = str(json.loads((folder / INBOX).read_text())["path"])
    except (OSError, ValueError, TypeError, KeyError):
        return True  # a kill was faster than what it should say
    return path == inbox or not os.path.isdir(path)


def _hidden(inbox: str, parents: set[str]) -> dict[str, list[str]]:
    """What is in hidden folders: that of the inbox, and on disks mounted below it."""
    found: dict[str, list[str]] = {}
    for parent in parents:
        folder = os.path.join(inbox, parent, HIDDEN)
        with contextlib.suppress(OSError), opened_place(folder, inbox) as fd:
            found[folder] = [name for name in os.listdir(fd) if is_leaving(name)]
    return found


def _looked_at(folder: str, names: list[str], inbox: str) -> Iterator[tuple[str, os.stat_result]]:
    if not names:
        return
    with opened_place(folder, inbox) as fd:
        for name in names:
            with contextlib.suppress(OSError):
                yield name, os.lstat(name, dir_fd=fd)
