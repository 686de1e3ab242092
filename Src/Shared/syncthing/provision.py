"""Makes Syncthing the factory's: a folder that leads into the inbox and is safe to empty, and nobody let in.

Idempotent: what is as it should be is not written again. Folders and devices that are not the factory's are left
alone; so are a password and ignore patterns that a person has set.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from Src.Shared.logs import escaped
from Src.Shared.syncthing.client import Config, Syncthing, SyncthingError
from Src.Shared.syncthing.inbox_folders import (
    FOLDER,
    LABEL,
    REQUIRED,
    differences,
    ignores_for,
    inbox_folders,
    is_ours,
    same_path,
)

logger = logging.getLogger(__name__)

GUI_USER = "factory"
OPTIONS = {
    "urAccepted": -1,  # no usage reports, and no question about them
    "crashReportingEnabled": False,
    "autoUpgradeIntervalH": 0,  # the stack's versions are pinned
}


def provision(client: Syncthing, inbox: Path, gui_password: str | None = None) -> list[str]:
    """All of it, for a Syncthing that is the factory's own. `inbox` is the inbox's path as Syncthing sees it.

    Returns what it changed, one line each; empty where all was as it should be. Raises SyncthingError.
    """
    changes = _protect_gui(client, gui_password) + _set_options(client)
    for change in changes:
        logger.info("Syncthing: %s", change)
    return changes + provision_folder(client, inbox)


def provision_folder(client: Syncthing, inbox: Path) -> list[str]:
    """Only the folder `photos-inbox` and those of further devices: also for a Syncthing that is a person's own.

    Raises SyncthingError, also where another folder shares files with the inbox.
    """
    changes = []
    folders = inbox_folders(client.config_folders(), inbox)
    for one in folders:
        if not is_ours(one):
            raise SyncthingError(
                f"the folder {escaped(one['id'])} at {escaped(one['path'])} shares files with the inbox {inbox}; "
                "remove it in Syncthing's GUI (no file goes with it), then try again"
            )
        if one["id"] == FOLDER and not same_path(one["path"], inbox):
            raise SyncthingError(
                f"the folder {FOLDER} is at {escaped(one['path'])}, and the inbox at {inbox}; "
                "remove the folder in Syncthing's GUI (no file goes with it), then try again"
            )
        if wrong := differences(one):
            client.change_folder(one["id"], wrong)
            changes.append(f"{one['id']}: {_told(one, wrong)}")
            logger.warning("Syncthing: a folder was not safe to empty, and is made so: %s", changes[-1])
    if not any(one["id"] == FOLDER for one in folders):
        add_folder(client, FOLDER, LABEL, inbox)
        changes.append(f"{FOLDER}: made at {inbox}")
        logger.info("Syncthing: %s", changes[-1])
        folders = inbox_folders(client.config_folders(), inbox)
    for one in folders:
        if missing := ensure_ignores(client, one["id"], ignores_for(one, folders)):
            changes.append(f"{one['id']}: ignores {' '.join(missing)}")
            logger.info("Syncthing: %s", changes[-1])
    return changes


def add_folder(client: Syncthing, folder: str, label: str, path: Path) -> None:
    """A folder as it must be, shared with nobody yet."""
    client.add_folder({"id": folder, "label": label, "path": str(path), "devices": [], "paused": False, **REQUIRED})


def ensure_ignores(client: Syncthing, folder: str, lines: list[str]) -> list[str]:
    """Adds the lines that are missing, after those that are there: a person's come first, and the first one counts."""
    there = client.ignores(folder)
    missing = [line for line in lines if line not in there]
    if missing:
        client.set_ignores(folder, [*there, *missing])
    return missing


def _protect_gui(client: Syncthing, password: str | None) -> list[str]:
    gui = client.config_gui()
    if password is None or gui["password"]:
        return []
    client.change_gui({"user": gui["user"] or GUI_USER, "password": password})
    return [f"GUI: a password for {escaped(gui['user'] or GUI_USER)}"]


def _set_options(client: Syncthing) -> list[str]:
    there = client.config_options()
    wrong = {name: value for name, value in OPTIONS.items() if there.get(name) != value}
    if wrong:
        client.change_options(wrong)
    return [f"options: {_told(there, wrong)}"] if wrong else []


def _told(was: Config, changes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {was.get(name)} -> {value}" for name, value in changes.items())
