"""Syncthing's REST interface, as much of it as the factory needs; the same from Syncthing 1.19 to 2.x.

https://docs.syncthing.net/dev/rest.html. Times are None where Syncthing says "never".
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from Src.Shared.errors import FactoryError
from Src.Shared.logs import escaped

TIMEOUT = 10.0  # seconds
RECEIVE_ONLY = "receiveonly"

logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # what it tries again is not worth a warning

Config = dict[str, Any]  # a folder, a device, ... as Syncthing's configuration has it


class SyncthingError(FactoryError):
    """Syncthing cannot be asked, or refuses. The message is one line: what, where, what to do."""

    about = "syncthing"


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """This Syncthing. `listening` are its listen addresses that work, `trouble` those that do not, and why."""

    id: str
    version: str
    uptime: int  # seconds
    listening: tuple[str, ...]
    trouble: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file that Syncthing cannot bring over."""

    path: str
    error: str


@dataclass(frozen=True, slots=True)
class FolderState:
    """A folder on the factory's side. Counts are of files."""

    id: str
    label: str
    path: str
    type: str  # Syncthing's: sendreceive, sendonly, receiveonly, receiveencrypted
    paused: bool
    state: str  # Syncthing's: idle, scanning, syncing, error, ...; paused
    error: str | None  # why the folder as a whole does not work
    problems: tuple[FileProblem, ...]  # the first of them
    problem_count: int
    need_files: int  # still to come
    need_bytes: int
    global_files: int  # of all devices together
    global_bytes: int
    local_changes: int  # filed away by the Librarian, so not as on the devices
    shared_with: tuple[str, ...]  # device IDs, without this one
    last_file: str | None
    last_file_at: datetime | None
    last_scan_at: datetime | None

    @property
    def is_receive_only(self) -> bool:
        """Where it is not, what the Librarian files away is deleted from the phones."""
        return self.type == RECEIVE_ONLY

    @property
    def completion(self) -> float:
        """Percent of all bytes that has come."""
        return 100.0 if not self.need_bytes else 100.0 * (1 - self.need_bytes / max(self.global_bytes, self.need_bytes))


@dataclass(frozen=True, slots=True)
class Connection:
    connected: bool
    paused: bool
    address: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class PendingDevice:
    """A device that has asked to connect and is not known. Its name is whatever it says."""

    id: str
    name: str
    address: str
    asked_at: datetime | None


@dataclass(frozen=True, slots=True)
class OfferedFolder:
    """A folder that a known device wants to share and that is not here."""

    id: str
    label: str
    device_id: str
    offered_at: datetime | None


class Syncthing:
    """One Syncthing. Every method raises SyncthingError where it cannot be asked or refuses."""

    def __init__(self, url: str, api_key: str, timeout: float = TIMEOUT) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc between us and it
        # When its GUI's settings change, it closes its port for a moment. What has come through is not repeated.
        adapter = HTTPAdapter(max_retries=Retry(total=None, connect=3, read=False, other=False, backoff_factor=0.2))
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._session.headers.update({"X-API-Key": api_key, "Connection": "close"})
        self._stranger = f"{self.url} does not answer as Syncthing does; is SYNCTHING_URL right?"

    def close(self) -> None:
        self._session.close()

    # Looking

    def check_health(self) -> None:
        """Whether it answers, and to this API key."""
        self._get("/rest/system/ping")

    def system_status(self) -> SystemStatus:
        status = self._get("/rest/system/status")
        services = status.get("connectionServiceStatus") or {}
        return SystemStatus(
            id=status["myID"],
            version=self._get("/rest/system/version")["version"],
            uptime=status["uptime"],
            listening=tuple(sorted(name for name, service in services.items() if not service.get("error"))),
            trouble=tuple(
                sorted(f"{name}: {service['error']}" for name, service in services.items() if service.get("error"))
            ),
        )

    def connections(self) -> dict[str, Connection]:
        """By device ID."""
        connections = self._get("/rest/system/connections")["connections"]
        return {
            device: Connection(one["connected"], one["paused"], one["address"] or None, one["clientVersion"] or None)
            for device, one in connections.items()
        }

    def last_seen(self) -> dict[str, datetime | None]:
        """By device ID."""
        return {device: _moment(one["lastSeen"]) for device, one in self._get("/rest/stats/device").items()}

    def completion(self, folder: str, device: str) -> float:
        """Percent of the folder that the device has, as far as is known here."""
        return float(self._get("/rest/db/completion", folder=folder, device=device)["completion"])

    def pending_devices(self) -> tuple[PendingDevice, ...]:
        return tuple(
            PendingDevice(device, one["name"], one["address"], _moment(one["time"]))
            for device, one in sorted(self._get("/rest/cluster/pending/devices").items())
        )

    def offered_folders(self) -> tuple[OfferedFolder, ...]:
        return tuple(
            OfferedFolder(folder, offer["label"], device, _moment(offer["time"]))
            for folder, one in sorted(self._get("/rest/cluster/pending/folders").items())
            for device, offer in sorted(one["offeredBy"].items())
        )

    def folder_state(self, folder: str) -> FolderState:
        return self._state_of(self._get(f"/rest/config/folders/{folder}"), self.my_id())

    def folder_states(self, folders: Sequence[Config]) -> tuple[FolderState, ...]:
        """Of folders as `config_folders` gives them."""
        my_id = self.my_id()
        return tuple(self._state_of(config, my_id) for config in folders)

    def my_id(self) -> str:
        return str(self._get("/rest/system/status")["myID"])

    # The configuration

    def config_folders(self) -> list[Config]:
        return self._list("/rest/config/folders")

    def config_devices(self) -> list[Config]:
        return self._list("/rest/config/devices")

    def config_options(self) -> Config:
        return self._get("/rest/config/options")

    def config_gui(self) -> Config:
        """With the password's bcrypt hash."""
        return self._get("/rest/config/gui")

    def add_folder(self, config: Config) -> None:
        """What is not given comes from Syncthing's defaults."""
        self._ask("POST", "/rest/config/folders", body=config)

    def add_device(self, config: Config) -> None:
        self._ask("POST", "/rest/config/devices", body=config)

    def change_folder(self, folder: str, changes: Mapping[str, Any]) -> None:
        self._ask("PATCH", f"/rest/config/folders/{folder}", body=changes)

    def change_options(self, changes: Mapping[str, Any]) -> None:
        self._ask("PATCH", "/rest/config/options", body=changes)

    def change_gui(self, changes: Mapping[str, Any]) -> None:
        """A password that is given plain is hashed by Syncthing."""
        self._ask("PATCH", "/rest/config/gui", body=changes)

    def ignores(self, folder: str) -> list[str]:
        """The lines of the folder's .stignore."""
        return list(self._get("/rest/db/ignores", folder=folder).get("ignore") or ())

    def set_ignores(self, folder: str, lines: Sequence[str]) -> None:
        self._ask("POST", "/rest/db/ignores", body={"ignore": list(lines)}, folder=folder)

    # Doing

    def scan(self, folder: str) -> None:
        """Looks through the folder on disk, and returns when that is done."""
        self._ask("POST", "/rest/db/scan", folder=folder)

    def revert(self, folder: str) -> None:
        """What a click on "Revert Local Changes" does: the folder becomes as it is on the devices."""
        self._ask("POST", "/rest/db/revert", folder=folder)

    def _state_of(self, config: Config, my_id: str) -> FolderState:
        folder = config["id"]
        status = self._get("/rest/db/status", folder=folder)
        stats = self._get("/rest/stats/folder").get(folder) or {}
        last_file = stats.get("lastFile") or {}
        count = status.get("pullErrors") or 0
        errors = self._get("/rest/folder/errors", folder=folder, perpage="20").get("errors") if count else None
        return FolderState(
            id=folder,
            label=config["label"],
            path=config["path"],
            type=config["type"],
            paused=config["paused"],
            state="paused" if config["paused"] else status["state"],
            error=status.get("error") or None,
            problems=tuple(FileProblem(one["path"], one["error"]) for one in errors or ()),
            problem_count=count,
            need_files=status["needFiles"],
            need_bytes=status["needBytes"],
            global_files=status["globalFiles"],
            global_bytes=status["globalBytes"],
            local_changes=status.get("receiveOnlyTotalItems") or 0,
            shared_with=tuple(one["deviceID"] for one in config["devices"] if one["deviceID"] != my_id),
            last_file=last_file.get("filename") or None,
            last_file_at=_moment(last_file.get("at")),
            last_scan_at=_moment(stats.get("lastScan")),
        )

    def _get(self, path: str, **query: str) -> Config:
        answer = self._ask("GET", path, **query)
        if not isinstance(answer, dict):
            raise SyncthingError(self._stranger)
        return answer

    def _list(self, path: str) -> list[Config]:
        answer = self._ask("GET", path)
        if not isinstance(answer, list):
            raise SyncthingError(self._stranger)
        return answer

    def _ask(self, method: str, path: str, body: object = None, **query: str) -> Any:
        try:
            answer = self._session.request(
                method, self.url + path, params=query, json=body, timeout=self._timeout, allow_redirects=False
            )
            if answer.status_code in (401, 403):
                raise SyncthingError(
                    f"{self.url} refuses us ({_first_line(answer)}); is SYNCTHING_API_KEY its API key?"
                )
            if not answer.ok or answer.is_redirect:
                raise SyncthingError(f"{self.url}{path}: {answer.status_code}, {_first_line(answer)}")
            return answer.json(object_hook=_Answer) if answer.content else None
        except requests.Timeout as error:
            raise SyncthingError(f"{self.url} does not answer within {self._timeout:g} s") from error
        except requests.ConnectionError as error:
            raise SyncthingError(
                f"nothing answers at {self.url}; is Syncthing running, is SYNCTHING_URL right?"
            ) from error
        except requests.JSONDecodeError as error:
            raise SyncthingError(self._stranger) from error
        except requests.RequestException as error:
            raise SyncthingError(f"{self.url} cannot be reached: {escaped(str(error))}") from error


class _Answer(Config):
    """An object of an answer. One that lacks what Syncthing always says is not from Syncthing."""

    def __missing__(self, key: str) -> Any:
        raise SyncthingError(f"Syncthing's answer lacks {key}; is SYNCTHING_URL right?")


def _first_line(answer: requests.Response) -> str:
    lines = answer.text.strip().splitlines()
    return escaped(lines[0][:200]) if lines else answer.reason


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text).astimezone(UTC) if not text.startswith("0001") else None
    return moment if moment is not None and moment.timestamp() > 0 else None
