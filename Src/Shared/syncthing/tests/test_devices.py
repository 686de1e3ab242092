"""Letting devices in, between real Syncthings: by name or ID, one folder each, and hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from Src.Shared.syncthing.client import PendingDevice, SyncthingError
from Src.Shared.syncthing.devices import accept
from Src.Shared.syncthing.inbox_folders import FOLDER, differences
from Src.Shared.syncthing.overview import overview
from Src.Shared.syncthing.provision import provision, provision_folder
from Src.Shared.syncthing.tests.real_syncthing import RealSyncthing, folder_config, running, wait_until


@pytest.fixture
def other_phone(tmp_path: Path) -> Iterator[RealSyncthing]:
    with running(tmp_path / "other", "other phone") as one:
        one.client.add_device({"deviceID": one.id, "name": "Bob\x1b[2J\u202e, phone"})  # XML would not take it
        yield one


def _ask(phone: RealSyncthing, syncthing: RealSyncthing) -> PendingDevice:
    """The phone adds the factory, which hears of it."""
    phone_id = phone.id
    phone.add(syncthing.id, syncthing.address)
    (pending,) = wait_until(
        lambda: [one for one in syncthing.client.pending_devices() if one.id == phone_id], "it asks to connect"
    )
    return pending


def test_a_device_is_let_in_by_its_name_and_given_the_folder(
    syncthing: RealSyncthing, phone: RealSyncthing, inbox: Path
) -> None:
    provision(syncthing.client, inbox)
    pending = _ask(phone, syncthing)
    assert pending.name == "Anna's Phone"
    assert pending.asked_at is not None
    assert overview(syncthing.client, inbox).pending == (pending,)

    accepted = accept(syncthing.client, "anna's phone", inbox)

    assert (accepted.id, accepted.name, accepted.folder) == (phone.id, "Anna's Phone", FOLDER)
    wait_until(lambda: syncthing.is_connected(phone.id), "they are connected")
    found = overview(syncthing.client, inbox)
    assert found.pending == ()
    (device,) = found.devices
    assert (device.name, device.connected, device.folders) == ("Anna's Phone", True, (FOLDER,))
    assert found.folders[0].shared_with == (phone.id,)
    wait_until(lambda: [one.id for one in phone.client.offered_folders()] == [FOLDER], "the folder is offered")
    with pytest.raises(SyncthingError, match="Anna's Phone is connected already"):
        accept(syncthing.client, "Anna's Phone", inbox)


def test_further_devices_have_folders_of_their_own(
    syncthing: RealSyncthing, phone: RealSyncthing, other_phone: RealSyncthing, inbox: Path
) -> None:
    _ask(phone, syncthing)
    accept(syncthing.client, phone.id[:9].lower(), inbox)
    pending = _ask(other_phone, syncthing)

    accepted = accept(syncthing.client, pending.name, inbox)

    short = other_phone.id[:7]
    assert accepted.name == "Bob[2J, phone"
    assert accepted.folder == f"photos-inbox-{short.lower()}"
    folder = folder_config(syncthing, accepted.folder)
    assert folder["path"] == str(inbox / f"Bob-2J-phone-{short}")
    assert differences(folder) == {}
    assert {one["deviceID"] for one in folder["devices"]} == {syncthing.id, other_phone.id}
    assert {one["deviceID"] for one in folder_config(syncthing, FOLDER)["devices"]} == {syncthing.id, phone.id}
    assert f"/Bob-2J-phone-{short}" in syncthing.client.ignores(FOLDER)
    assert provision_folder(syncthing.client, inbox) == []
    assert overview(syncthing.client, inbox).warnings == []


def test_phones_get_nothing_of_each_other_and_photos_of_one_name_all_come(
    syncthing: RealSyncthing, phone: RealSyncthing, other_phone: RealSyncthing, inbox: Path, tmp_path: Path
) -> None:
    cameras = {}
    for one in (phone, other_phone):
        pending = _ask(one, syncthing)
        folder = accept(syncthing.client, pending.id, inbox).folder
        cameras[one] = tmp_path / f"camera of {one.id[:7]}"
        cameras[one].mkdir()
        (cameras[one] / "IMG_0001.jpg").write_text(f"taken with {one.id}")
        one.share(folder, cameras[one], syncthing.id, type="sendreceive")

    def arrived() -> set[str]:
        return {path.read_text() for path in inbox.rglob("IMG_*.jpg")}

    wait_until(lambda: arrived() == {f"taken with {one.id}" for one in cameras}, "both photos come")
    for path in inbox.rglob("IMG_*.jpg"):
        path.unlink()
    for state in overview(syncthing.client, inbox).folders:
        syncthing.client.scan(state.id)
        assert syncthing.state(state.id).local_changes == 1
    for one, camera in cameras.items():
        one.client.scan(one.client.config_folders()[0]["id"])
        assert {path.name: path.read_text() for path in camera.glob("*.jpg")} == {
            "IMG_0001.jpg": f"taken with {one.id}"
        }


def test_a_device_added_in_the_gui_is_given_its_folder(
    syncthing: RealSyncthing, phone: RealSyncthing, inbox: Path
) -> None:
    syncthing.add(phone.id, name="Anna")
    assert accept(syncthing.client, "Anna", inbox).folder == FOLDER
    assert syncthing.state(FOLDER).shared_with == (phone.id,)


def test_who_is_meant_must_be_clear(
    syncthing: RealSyncthing, phone: RealSyncthing, other_phone: RealSyncthing, inbox: Path
) -> None:
    with pytest.raises(
        SyncthingError, match=r"no device Anna asks to connect \(asking: none; add the factory's device"
    ):
        accept(syncthing.client, "Anna", inbox)
    for one in (phone, other_phone):
        syncthing.add(one.id, name="phone")
    with pytest.raises(SyncthingError) as caught:
        accept(syncthing.client, "phone", inbox)
    assert str(caught.value).startswith("2 devices are called so: say which by its ID (phone ")
    with pytest.raises(SyncthingError, match=r"no device \\x1b\[2J asks to connect \(asking: phone "):
        accept(syncthing.client, "\x1b[2J", inbox)
    with pytest.raises(SyncthingError, match="no device  asks"):
        accept(syncthing.client, "", inbox)
    assert accept(syncthing.client, phone.id, inbox).id == phone.id
