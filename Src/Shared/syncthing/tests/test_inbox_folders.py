"""What the required settings of an inbox folder are for: between real Syncthings, with and without them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from Src.Shared.syncthing.devices import accept
from Src.Shared.syncthing.inbox_folders import FOLDER, IGNORES, REQUIRED, ignores_for, inbox_folders
from Src.Shared.syncthing.tests.real_syncthing import RealSyncthing, wait_until


@pytest.fixture
def camera(syncthing: RealSyncthing, phone: RealSyncthing, inbox: Path, tmp_path: Path) -> Path:
    """The folder with the photos on a phone that has brought one to the inbox."""
    camera = tmp_path / "camera"
    camera.mkdir()
    (camera / "photo.jpg").write_text("a photo")
    phone.add(syncthing.id, syncthing.address)
    wait_until(syncthing.client.pending_devices, "it asks to connect")
    phone.share(accept(syncthing.client, phone.id, inbox).folder, camera, syncthing.id, type="sendreceive")
    wait_until((inbox / "photo.jpg").exists, "the photo comes")
    wait_until(lambda: syncthing.state(FOLDER).state == "idle", "it has come")
    return camera


@pytest.mark.parametrize("kind", ["sendreceive", "receiveonly"])
def test_only_receive_only_leaves_the_phone_its_photos(
    syncthing: RealSyncthing, phone: RealSyncthing, inbox: Path, camera: Path, kind: str
) -> None:
    syncthing.client.change_folder(FOLDER, {"type": kind})
    (inbox / "photo.jpg").unlink()  # as the Librarian does
    syncthing.client.scan(FOLDER)
    if kind == "sendreceive":
        wait_until(lambda: not (camera / "photo.jpg").exists(), "the phone loses it")
        return
    (camera / "second.jpg").write_text("another photo")
    phone.client.scan(FOLDER)
    wait_until((inbox / "second.jpg").exists, "the next one comes, so all before it has been exchanged")
    assert (camera / "photo.jpg").read_text() == "a photo"
    assert not (inbox / "photo.jpg").exists()


@pytest.mark.parametrize("is_as_required", [False, True])
@pytest.mark.parametrize("change", ["edited", "deleted", "reverted"])
def test_only_as_required_nothing_is_lost_before_it_is_filed(
    syncthing: RealSyncthing, phone: RealSyncthing, inbox: Path, camera: Path, change: str, is_as_required: bool
) -> None:
    if not is_as_required:
        syncthing.client.change_folder(FOLDER, {"ignoreDelete": False, "versioning": {"type": ""}})
    content = "a photo"
    if change == "edited":
        (camera / "photo.jpg").write_text("an edited photo")
    elif change == "deleted":
        (camera / "photo.jpg").unlink()
    else:
        content = "from somewhere else"
        (inbox / "other.jpg").write_text(content)
        syncthing.client.scan(FOLDER)
        syncthing.client.revert(FOLDER)
    (camera / "second.jpg").write_text("another photo")
    phone.client.scan(FOLDER)
    wait_until((inbox / "second.jpg").exists, "the next one comes, so all before it has been exchanged")

    wait_until(lambda: (content in _visible(inbox)) is is_as_required, f"{content} is kept: {is_as_required}")


def _visible(inbox: Path) -> list[str]:
    """What is in the files that the Librarian takes."""
    found = []
    for path in inbox.rglob("*.jpg"):
        if "/." not in str(path):
            with suppress(FileNotFoundError):  # Syncthing moves it just now
                found.append(path.read_text())
    return found


def test_which_folders_lead_into_the_inbox() -> None:
    folders = [
        {"id": FOLDER, "path": "/mapped/elsewhere"},
        {"id": "photos-inbox-abcdefg", "path": "/mapped/elsewhere/x"},
        {"id": "same", "path": "/data/Photos_Inbox/"},
        {"id": "below", "path": "/data/Photos_Inbox/a/b"},
        {"id": "around", "path": "/data"},
        {"id": "beside", "path": "/data/Photos_Inbox_2"},
        {"id": "photos-inbox2", "path": "/music"},
        {"id": "home", "path": "~/music"},
    ]
    found = [one["id"] for one in inbox_folders(folders, Path("/data/Photos_Inbox"))]
    assert found == [FOLDER, "photos-inbox-abcdefg", "same", "below", "around"]


def test_a_folder_ignores_the_ones_within_it() -> None:
    around, within = {"id": "a", "path": "/inbox", **REQUIRED}, {"id": "b", "path": "/inbox/of b", **REQUIRED}
    assert ignores_for(around, [around, within])[-1] == "/of b"
    assert ignores_for(within, [around, within]) == list(IGNORES)
