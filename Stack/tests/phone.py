"""A phone for these tests: a real Syncthing and a folder with photos, send-receive as phone apps set it up."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from Src.Shared.syncthing.client import Syncthing
from Src.Shared.syncthing.tests.real_syncthing import RealSyncthing
from Src.Testing.patience import wait_until
from Stack.tests.photos import sha256

LIMIT = 180.0  # seconds; a phone that was not let in at first calls again after one minute
TAKEN = 1.6e9  # when all photos were taken, as their files say


@dataclass
class Phone:
    """`camera` is the folder with its photos."""

    syncthing: RealSyncthing
    camera: Path

    def take(self, name: str, content: bytes) -> str:
        """A photo; its SHA-256."""
        path = self.camera / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # In one step: Syncthing looks by itself too, and one that saw it half done would send it twice.
        being_taken = self.camera.parent / "being taken"
        being_taken.write_bytes(content)
        os.utime(being_taken, (TAKEN, TAKEN))
        being_taken.rename(path)
        return sha256(path)

    def photos(self) -> dict[str, str]:
        """Every photo with its SHA-256."""
        return {
            str(path.relative_to(self.camera)): sha256(path) for path in self.camera.rglob("*.jpg") if path.is_file()
        }

    def delete(self, name: str) -> None:
        """A photo, and its folder with the last one."""
        path = self.camera / name
        path.unlink()
        if not [*path.parent.iterdir()]:
            path.parent.rmdir()

    @property
    def folder(self) -> str:
        """The ID of the folder it shares."""
        return str(self.syncthing.client.config_folders()[0]["id"])

    def scan(self) -> None:
        """Looks through its photos now."""
        self.syncthing.client.scan(self.folder)

    def accept_folder(self) -> None:
        """The one that is offered: its photos go there from now on."""
        offers = wait_until(self.syncthing.client.offered_folders, LIMIT, "the phone is offered a folder")
        self.syncthing.share(offers[0].id, self.camera, offers[0].device_id, type="sendreceive")

    def settle(self, other: Syncthing) -> None:
        """Looks through the folder here and there, until both know what is on the phone and have nothing to do."""
        clients, count = (self.syncthing.client, other), len(self.photos())
        for client in clients:
            client.scan(self.folder)
        wait_until(lambda: all(self._rests(client, count) for client in clients), LIMIT, "both sides rest")

    def _rests(self, client: Syncthing, count: int) -> bool:
        state = client.folder_state(self.folder)
        return (state.state, state.need_files, state.global_files) == ("idle", 0, count)
