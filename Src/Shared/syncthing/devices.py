"""Letting devices in: by name or ID, each with a folder of its own.

One folder for all devices would be a folder that they share with each other: photos of one would go to the others,
and of two different photos of one name only one would come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from Src.Shared.logs import escaped
from Src.Shared.syncthing.client import Config, Syncthing, SyncthingError
from Src.Shared.syncthing.inbox_folders import FOLDER, LABEL, ignores_for, inbox_folders
from Src.Shared.syncthing.provision import add_folder, ensure_ignores, provision_folder

NAME_LIMIT = 64  # characters


@dataclass(frozen=True, slots=True)
class Accepted:
    """A device that may connect, and the folder it puts its photos into."""

    id: str
    name: str
    folder: str


def accept(client: Syncthing, wanted: str, inbox: Path) -> Accepted:
    """Lets the device in that is asking to connect and has this name, or an ID that begins so.

    One that is let in already, but has no folder yet, is given one. Raises SyncthingError where there is none such
    or more than one.
    """
    provision_folder(client, inbox)
    devices = {one["deviceID"]: one["name"] for one in client.config_devices()}
    shared = {device for one in _folders(client, inbox) for device in _devices_of(one)}
    candidates = {one.id: one.name for one in client.pending_devices()}
    candidates |= {device: name for device, name in devices.items() if device not in shared | {client.my_id()}}
    device = _chosen(wanted, candidates, devices)
    name = _clean(candidates[device]) or device[:7]
    if device not in devices:
        client.add_device({"deviceID": device, "name": name, "autoAcceptFolders": False, "introducer": False})
    return Accepted(device, name, _share(client, device, name, inbox))


def _chosen(wanted: str, candidates: dict[str, str], known: dict[str, str]) -> str:
    found = [device for device, name in candidates.items() if _clean(name).casefold() == _clean(wanted).casefold()]
    found = found or [device for device in candidates if _bare(wanted) and _bare(device).startswith(_bare(wanted))]
    if len(found) == 1:
        return found[0]
    if found:
        raise SyncthingError(f"{len(found)} devices are called so: say which by its ID ({_listed(found, candidates)})")
    if any(name == wanted or _bare(device).startswith(_bare(wanted) or "?") for device, name in known.items()):
        raise SyncthingError(f"{escaped(wanted)} is connected already")
    asking = _listed(list(candidates), candidates) or "none; add the factory's device ID on the phone first"
    raise SyncthingError(f"no device {escaped(wanted)} asks to connect (asking: {asking})")


def _share(client: Syncthing, device: str, name: str, inbox: Path) -> str:
    folders = _folders(client, inbox)
    first = next(one for one in folders if one["id"] == FOLDER)
    my_id = client.my_id()
    if set(_devices_of(first)) <= {my_id}:
        folder = first
    else:
        short = device[:7]
        folder_id = f"{FOLDER}-{short.lower()}"
        path = inbox / f"{_file_name(name)}-{short}"
        if not any(one["id"] == folder_id for one in folders):
            # Ignored by the folder around it before it is there: else its photos would be that one's as well.
            ensure_ignores(client, FOLDER, ignores_for(first, [{"id": folder_id, "path": str(path)}]))
            add_folder(client, folder_id, f"{LABEL} {name}", path)
            provision_folder(client, inbox)
        folder = next(one for one in _folders(client, inbox) if one["id"] == folder_id)
    client.change_folder(folder["id"], {"devices": [*folder["devices"], {"deviceID": device}]})
    return str(folder["id"])


def _folders(client: Syncthing, inbox: Path) -> list[Config]:
    return inbox_folders(client.config_folders(), inbox)


def _devices_of(folder: Config) -> list[str]:
    return [one["deviceID"] for one in folder["devices"]]


def _clean(name: str) -> str:
    """A device's name is whatever it says: nothing but printable text is kept of it."""
    return "".join(char for char in name if char.isprintable()).strip()[:NAME_LIMIT]


def _file_name(name: str) -> str:
    """For a folder: nothing in it means anything to a shell, a filesystem or an ignore pattern."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40] or "device"


def _bare(device: str) -> str:
    return re.sub(r"[\s-]", "", device).upper()


def _listed(devices: list[str], names: dict[str, str]) -> str:
    return ", ".join(f"{escaped(_clean(names[device])) or 'without a name'} {device[:7]}" for device in devices)
