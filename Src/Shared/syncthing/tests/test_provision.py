"""Provisioning, against a real Syncthing: what it makes, what it leaves alone, and that it comes to rest."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from Src.Shared.syncthing.client import SyncthingError
from Src.Shared.syncthing.inbox_folders import FOLDER, IGNORES, differences
from Src.Shared.syncthing.overview import overview
from Src.Shared.syncthing.provision import provision
from Src.Shared.syncthing.tests.real_syncthing import LIMIT, RealSyncthing, folder_config

PASSWORD = "correct horse battery staple"


def _lets_in(syncthing: RealSyncthing, password: str | None) -> bool:
    """Whether the GUI opens with this password of the user `factory`, or without any."""
    session = requests.Session()
    # It closes its port for a moment when it is given the password.
    session.mount("http://", HTTPAdapter(max_retries=Retry(total=None, connect=9, read=False, backoff_factor=0.1)))
    if password is not None:
        login = {"username": "factory", "password": password}
        form = session.post(f"{syncthing.url}/rest/noauth/auth/password", json=login, timeout=LIMIT)
        if form.status_code in (401, 404):  # older ones have no form
            session.auth = ("factory", password)
    answer = session.get(syncthing.url + "/", timeout=LIMIT)
    tokens = {f"X-{name}": value for name, value in session.cookies.items() if name.startswith("CSRF-Token")}
    status = session.get(f"{syncthing.url}/rest/system/status", headers=tokens, timeout=LIMIT)
    return answer.ok and status.ok


def test_the_folder_is_safe_to_empty(syncthing: RealSyncthing, inbox: Path) -> None:
    provision(syncthing.client, inbox)
    folder = folder_config(syncthing, FOLDER)
    assert folder["path"] == str(inbox)
    assert folder["type"] == "receiveonly"
    assert differences(folder) == {}
    assert [one["deviceID"] for one in folder["devices"]] == [syncthing.id]
    assert (inbox / ".stignore").read_text().splitlines() == list(IGNORES)
    assert overview(syncthing.client, inbox).warnings == []


def test_nothing_is_told_to_anybody(syncthing: RealSyncthing, inbox: Path) -> None:
    provision(syncthing.client, inbox)
    options = syncthing.client.config_options()
    assert (options["urAccepted"], options["crashReportingEnabled"], options["autoUpgradeIntervalH"]) == (-1, False, 0)


def test_the_gui_asks_for_the_password(syncthing: RealSyncthing, inbox: Path) -> None:
    assert _lets_in(syncthing, None)
    provision(syncthing.client, inbox, PASSWORD)
    stored = syncthing.client.config_gui()["password"]
    assert stored.startswith("$2")
    assert PASSWORD not in stored
    assert not _lets_in(syncthing, None)
    assert not _lets_in(syncthing, "wrong")
    assert _lets_in(syncthing, PASSWORD)


def test_a_second_time_nothing_is_written(syncthing: RealSyncthing, inbox: Path) -> None:
    assert provision(syncthing.client, inbox, PASSWORD) != []
    before = syncthing.configuration()
    assert provision(syncthing.client, inbox, PASSWORD) == []
    syncthing.restart()
    assert provision(syncthing.client, inbox, PASSWORD) == []
    assert syncthing.configuration() == before


def test_other_folders_devices_and_a_persons_own_choices_stay(
    syncthing: RealSyncthing, phone: RealSyncthing, inbox: Path, tmp_path: Path
) -> None:
    syncthing.add(phone.id, name="a friend")
    syncthing.share("music", tmp_path / "music", phone.id, type="sendreceive")
    syncthing.client.change_gui({"user": "anna", "password": "my own"})
    provision(syncthing.client, inbox)
    syncthing.client.change_folder(FOLDER, {"label": "Holidays", "rescanIntervalS": 7200})
    syncthing.client.set_ignores(FOLDER, ["!.nomedia", *IGNORES[1:]])
    others = [folder_config(syncthing, "music"), syncthing.client.config_devices(), syncthing.client.config_gui()]

    assert provision(syncthing.client, inbox, PASSWORD) == [f"{FOLDER}: ignores {IGNORES[0]}"]

    assert [
        folder_config(syncthing, "music"),
        syncthing.client.config_devices(),
        syncthing.client.config_gui(),
    ] == others
    folder = folder_config(syncthing, FOLDER)
    assert (folder["label"], folder["rescanIntervalS"]) == ("Holidays", 7200)
    assert syncthing.client.ignores(FOLDER) == ["!.nomedia", *IGNORES[1:], IGNORES[0]]


@pytest.mark.parametrize("kind", ["sendreceive", "sendonly"])
def test_another_type_is_warned_of_and_turned_back(syncthing: RealSyncthing, inbox: Path, kind: str) -> None:
    provision(syncthing.client, inbox)
    syncthing.client.change_folder(FOLDER, {"type": kind})
    state = syncthing.state(FOLDER)
    assert not state.is_receive_only
    warnings = overview(syncthing.client, inbox).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith(f"Syncthing's folder photos-inbox is {kind}, not receiveonly: ")

    assert provision(syncthing.client, inbox) == [f"{FOLDER}: type {kind} -> receiveonly"]
    assert syncthing.state(FOLDER).is_receive_only
    assert overview(syncthing.client, inbox).warnings == []


def test_a_folder_of_a_persons_own_on_the_inbox_is_warned_of_and_not_touched(
    syncthing: RealSyncthing, inbox: Path
) -> None:
    syncthing.share("camera", inbox / "DCIM", syncthing.id, type="sendreceive")
    before = folder_config(syncthing, "camera")
    with pytest.raises(SyncthingError, match=r"camera .*shares files with the inbox"):
        provision(syncthing.client, inbox)
    assert folder_config(syncthing, "camera") == before
    assert "camera is sendreceive" in overview(syncthing.client, inbox).warnings[0]


def test_a_folder_that_is_elsewhere_is_not_moved(syncthing: RealSyncthing, inbox: Path, tmp_path: Path) -> None:
    provision(syncthing.client, inbox)
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(SyncthingError, match=r"photos-inbox is at .*, and the inbox at "):
        provision(syncthing.client, elsewhere)
    assert folder_config(syncthing, FOLDER)["path"] == str(inbox)


def test_an_inbox_that_has_gone_is_warned_of(syncthing: RealSyncthing, inbox: Path) -> None:
    provision(syncthing.client, inbox)
    inbox.rename(inbox.with_name("gone"))
    with pytest.raises(SyncthingError):
        syncthing.client.scan(FOLDER)
    assert "does not work: folder path missing" in overview(syncthing.client, inbox).warnings[0]
