"""All there is to show of Syncthing, or to watch: its folders into the inbox, its devices, who asks to connect."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from Src.Shared.logs import escaped
from Src.Shared.syncthing.client import (
    FolderState,
    OfferedFolder,
    PendingDevice,
    Syncthing,
    SystemStatus,
)
from Src.Shared.syncthing.inbox_folders import FOLDER, inbox_folders, warnings_about


@dataclass(frozen=True, slots=True)
class Device:
    """A device that may connect. `folders` are those into the inbox that it shares."""

    id: str
    name: str
    connected: bool
    paused: bool
    address: str | None
    version: str | None
    last_seen_at: datetime | None
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """Syncthing at one moment. Names of devices and files in it are hostile text."""

    system: SystemStatus
    folders: tuple[FolderState, ...]
    devices: tuple[Device, ...]
    pending: tuple[PendingDevice, ...]
    offered: tuple[OfferedFolder, ...]
    warnings: list[str]
    """What is wrong, most dangerous first; one line each, fit for a terminal. Not: devices that are away."""

    @property
    def last_file_at(self) -> datetime | None:
        """When the last file came."""
        return max((one.last_file_at for one in self.folders if one.last_file_at is not None), default=None)

    def as_json(self) -> dict[str, Any]:
        return {
            "system": asdict(self.system),
            "folders": [
                {**asdict(one), "is_receive_only": one.is_receive_only, "completion": one.completion}
                for one in self.folders
            ],
            "devices": [asdict(one) for one in self.devices],
            "pending": [asdict(one) for one in self.pending],
            "offered": [asdict(one) for one in self.offered],
            "warnings": self.warnings,
        }


def overview(client: Syncthing, inbox: Path) -> Overview:
    """Asks Syncthing. `inbox` is the inbox's path as Syncthing sees it. Raises SyncthingError."""
    system = client.system_status()
    configs = inbox_folders(client.config_folders(), inbox)
    folders = client.folder_states(configs)
    connections, last_seen = client.connections(), client.last_seen()
    devices = []
    for one in client.config_devices():
        device = one["deviceID"]
        if device == system.id:
            continue
        connection = connections.get(device)
        devices.append(
            Device(
                id=device,
                name=one["name"],
                connected=connection is not None and connection.connected,
                paused=one["paused"],
                address=connection.address if connection is not None and connection.connected else None,
                version=connection.version if connection is not None else None,
                last_seen_at=last_seen.get(device),
                folders=tuple(folder.id for folder in folders if device in folder.shared_with),
            )
        )
    devices.sort(key=lambda one: (one.name.casefold(), one.id))
    ours = {folder.id for folder in folders}
    offered = tuple(one for one in client.offered_folders() if one.id not in ours)
    warnings = [
        line for config, folder in zip(configs, folders, strict=True) for line in warnings_about(config, folder)
    ]
    if FOLDER not in ours:
        warnings.append(f"Syncthing has no folder {FOLDER}: no photos come; ./factory phone --accept makes it")
    # Relays are a way for those who have no other: being without them is no trouble.
    warnings += [f"Syncthing cannot listen at {line}" for line in system.trouble if line.startswith(("tcp", "quic"))]
    return Overview(
        system=system,
        folders=folders,
        devices=tuple(devices),
        pending=client.pending_devices(),
        offered=offered,
        warnings=[escaped(line) for line in warnings],
    )
