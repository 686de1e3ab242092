"""What a Syncthing folder must be like that the Librarian empties, so that emptying it costs no phone a photo."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from Src.Shared.syncthing.client import RECEIVE_ONLY, Config, FolderState
from Src.Shared.words import counted

FOLDER = "photos-inbox"
LABEL = "Photos Inbox"

KEPT = "kept-by-syncthing"

REQUIRED: Config = {
    "type": RECEIVE_ONLY,  # what is filed away here is never deleted there
    # What is deleted there before it is filed here is filed all the same, ...
    "ignoreDelete": True,
    # ... and what Syncthing replaces or reverts before that goes to a folder of the inbox, and is filed from there.
    "versioning": {"type": "simple", "fsPath": KEPT, "params": {"keep": "1000", "cleanoutDays": "0"}},
    "maxConflicts": -1,  # keeps each
    "ignorePerms": True,  # phones have none worth keeping
    "fsWatcherEnabled": True,
}

# What the Librarian never takes (`Library/inbox.py`) need not come. Hidden: thumbnails, trash, unfinished.
IGNORES = (
    f"/{KEPT}",
    ".*",
    "(?i)Thumbs.db",
    "(?i)desktop.ini",
    "@eaDir",
    "(?i)*.part",
    "(?i)*.crdownload",
    "(?i)*.tmp",
)


def inbox_folders(folders: Iterable[Config], inbox: Path) -> list[Config]:
    """Of a Syncthing's folders those that lead into the inbox: by ID, or because they share files with it."""
    return [one for one in folders if is_ours(one) or _overlap(one["path"], inbox)]


def is_ours(folder: Config) -> bool:
    """Whether the factory made it. Any other it leaves alone."""
    folder_id: str = folder["id"]
    return folder_id == FOLDER or folder_id.startswith(f"{FOLDER}-")


def differences(folder: Config) -> Config:
    """What has to be changed for it to be safe."""
    return {name: value for name, value in REQUIRED.items() if not _agrees(folder.get(name), value)}


def ignores_for(folder: Config, folders: Sequence[Config]) -> list[str]:
    """The lines its .stignore must have. A folder within it is not its business."""
    top = _normal(folder["path"])
    inside = (os.path.relpath(_normal(one["path"]), top) for one in folders if one["id"] != folder["id"])
    return [*IGNORES, *(f"/{path}" for path in inside if not path.startswith(".."))]


def warnings_about(config: Config, folder: FolderState) -> list[str]:
    """What is wrong with it, most dangerous first; one line each."""
    name = f"Syncthing's folder {folder.id}"
    found = []
    if not folder.is_receive_only:
        found.append(
            f"{name} is {folder.type}, not {RECEIVE_ONLY}: what is filed away is deleted from the phones; "
            "set its type to Receive Only in Syncthing's GUI (Edit, Advanced)"
        )
    for setting in differences(config).keys() & {"ignoreDelete", "versioning"}:
        found.append(f"{name} has its {setting} changed: what changes on a phone before it is filed may be lost")
    if folder.error:
        found.append(f"{name} does not work: {folder.error}")
    if folder.paused:
        found.append(f"{name} is paused: no photos come")
    if folder.problem_count:
        first = f": {folder.problems[0].path}: {folder.problems[0].error}" if folder.problems else ""
        found.append(f"{name}: {counted(folder.problem_count, 'file')} cannot be brought over{first}")
    return found


def same_path(one: str | Path, other: str | Path) -> bool:
    return _normal(one) == _normal(other)


def _agrees(value: Any, required: Any) -> bool:
    """Whether it is as required; an object may say more."""
    if isinstance(value, dict) and isinstance(required, dict):
        return all(_agrees(value.get(name), one) for name, one in required.items())
    return bool(value == required)


def _overlap(one: str | Path, other: str | Path) -> bool:
    one, other = _normal(one), _normal(other)
    return os.path.commonpath((one, other)) in (one, other)


def _normal(path: str | Path) -> str:
    return os.path.abspath(os.path.expanduser(path))
