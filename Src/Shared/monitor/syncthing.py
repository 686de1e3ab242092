"""Does Syncthing run, and is what it does with the inbox safe and complete?

Where this Syncthing is the factory's own, it is set up as it must be.
"""

from __future__ import annotations

import time
from pathlib import Path

from Src.Shared.logs import escaped
from Src.Shared.monitor.finding import Finding, Findings
from Src.Shared.syncthing.client import Syncthing, SyncthingError
from Src.Shared.syncthing.overview import Overview, overview
from Src.Shared.syncthing.provision import provision
from Src.Shared.words import counted

_AWAY = "see why (docker logs syncthing) and start it; photos wait on the phones meanwhile"
_OPEN = "its pages have no password: docker compose restart syncthing gives them one"
_TOLD_FOR = 10  # looks: that a folder was turned is told even when it is right again


class SyncthingCheck:
    """The check of Syncthing."""

    def __init__(
        self,
        name: str,
        client: Syncthing,
        inbox: Path,
        *,
        is_ours: bool = False,
        gui_password: str | None,
        provision_every: float,
    ) -> None:
        """`is_ours`: set this Syncthing up, every so many seconds; else it is a person's own, only look.

        `gui_password`: for its GUI, should it have none; who gives it says that this Syncthing is ours.
        """
        self._name = name
        self._client = client
        self._inbox = inbox
        self._is_ours = is_ours or gui_password is not None
        self._gui_password = gui_password
        self._every = provision_every
        self._due = float("-inf")
        self._not_provisioned: str | None = None
        self._turned: str | None = None
        self._turned_looks = 0  # for which that is still told

    def look(self) -> Findings:
        try:
            self._client.check_health()
            found = overview(self._client, self._inbox)
            self._note_turned(found)
            if self._provision(found):
                found = overview(self._client, self._inbox)
        except SyncthingError as error:
            self._due = float("-inf")
            return {self._name: Finding("ERROR", str(error), _AWAY, "away")}
        return {self._name: finding_of(found, self._turned, self._not_provisioned)}

    def _note_turned(self, found: Overview) -> None:
        """Before it is set right: what it did until then must be told."""
        turned = [one.id for one in found.folders if not one.is_receive_only]
        self._turned_looks = _TOLD_FOR if turned else max(0, self._turned_looks - 1)
        if turned:
            self._turned = (
                f"the folder {escaped(', '.join(turned))} had been turned to send: Syncthing deletes from the phones "
                "what was filed meanwhile; it is in the vault"
            )
        elif not self._turned_looks:
            self._turned = None

    def _provision(self, found: Overview) -> bool:
        """Sets it up where it is ours: when it is time, and at once when photos are in danger or cannot come."""
        unsafe = not found.folders or not all(one.is_receive_only for one in found.folders)
        if not self._is_ours or not (unsafe or time.monotonic() >= self._due):
            return False
        try:
            provision(self._client, self._inbox, self._gui_password)
            is_open = self._gui_password is None and not self._client.config_gui()["password"]
            self._not_provisioned = _OPEN if is_open else None
        except SyncthingError as error:
            self._not_provisioned = f"it cannot be set up as it must be: {error}"
        self._due = time.monotonic() + self._every
        return True


def finding_of(found: Overview, turned: str | None, not_provisioned: str | None) -> Finding:
    """ERROR: photos are in danger or do not come. WARNING: something is not as it should be, or some do not come.

    `turned`: what was unsafe lately; `not_provisioned`: why it cannot be set up.
    """
    folders = found.folders
    connected = [one for one in found.devices if one.connected]
    details = {
        "version": found.system.version,
        "folders": [
            {
                "id": one.id,
                "type": one.type,
                "state": one.state,
                "need_files": one.need_files,
                "need_bytes": one.need_bytes,
                "errors": one.problem_count,
                "completion": round(one.completion, 2),
            }
            for one in folders
        ],
        "devices": len(found.devices),
        "connected": [one.name for one in connected],
        "asking": len(found.pending),
        "last_file_at": found.last_file_at and found.last_file_at.isoformat(),
    }
    missing = sum(one.need_files for one in folders)
    task = f"{counted(missing, 'file')} to come" if missing else "up to date"
    task += f", {len(connected)} of {len(found.devices)} devices connected"
    reasons = [*found.warnings, *filter(None, (turned, not_provisioned))]
    if not reasons:
        return Finding("OK", None, None, task, details)
    in_danger = turned is not None or any(one.error for one in folders)
    advice = "see ./factory phone, and Syncthing's GUI"
    return Finding("ERROR" if in_danger else "WARNING", "; ".join(reasons), advice, task, details)
