"""Where filed inbox files are kept aside before they go for good, and how many there are.

On the vault's disk that is `Storage/.factory/leaving/`, with a folder for each inbox; where an inbox is on another
disk, a hidden folder in it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = "leaving"  # in the vault's `.factory`
HIDDEN = ".factory-leaving"  # in an inbox on another filesystem
NOTES = ".notes"  # ends the names of files that say what the others are
INBOX = "inbox.json"  # which inbox a folder is for


class Leaving(NamedTuple):
    """Files that are kept aside."""

    files: int
    bytes: int
    room: int  # bytes that they take beside the originals: most are only another name of one


def is_leaving(name: str) -> bool:
    """Whether a name in one of these folders is that of a file which is kept aside."""
    return not name.endswith(NOTES) and name != INBOX


def leaving_now(state: Path, inbox: Path) -> Leaving:
    """Counts them; what cannot be looked at is left out. `state`: the vault's `.factory`."""
    files = size = room = 0
    for folder in (*_folders_in(state / FOLDER), inbox / HIDDEN):
        for status in _regular_files(folder):
            files, size = files + 1, size + status.st_size
            room += status.st_size if status.st_nlink == 1 else 0
    return Leaving(files, size, room)


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _regular_files(folder: Path) -> Iterator[os.stat_result]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_leaving(entry.name):
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield status
