"""Syncthing's check, against a real Syncthing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from Src.Shared.monitor.finding import Finding
from Src.Shared.monitor.syncthing import SyncthingCheck
from Src.Shared.syncthing.client import Syncthing
from Src.Shared.syncthing.inbox_folders import FOLDER
from Src.Shared.syncthing.tests.real_syncthing import API_KEY, LIMIT, RealSyncthing, running, wait_until

HOUR = 3600.0


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "factory" / "Photos_Inbox"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def syncthing(tmp_path: Path) -> Iterator[RealSyncthing]:
    with running(tmp_path / "syncthing", "factory") as one:
        yield one


class Watched:
    def __init__(self, syncthing: RealSyncthing, inbox: Path, gui_password: str | None, every: float = HOUR) -> None:
        client = Syncthing(syncthing.url, API_KEY, timeout=LIMIT)
        self._check = SyncthingCheck("syncthing", client, inbox, gui_password=gui_password, provision_every=every)

    def look(self) -> Finding:
        found = self._check.look()
        assert list(found) == ["syncthing"]
        return found["syncthing"]


def test_the_factorys_own_is_set_up_and_then_well(syncthing: RealSyncthing, inbox: Path) -> None:
    watched = Watched(syncthing, inbox, "sesame")
    found = wait_until(lambda: (one := watched.look()).state == "OK" and one, "it is well")
    assert isinstance(found, Finding)
    [folder] = found.details["folders"]
    assert (folder["id"], folder["type"], folder["errors"], folder["need_files"]) == (FOLDER, "receiveonly", 0, 0)
    assert found.details["connected"] == [] and found.details["devices"] == 0
    assert "0 of 0 devices connected" in found.task


def test_a_persons_own_is_only_looked_at(syncthing: RealSyncthing, inbox: Path) -> None:
    before = syncthing.configuration()
    found = Watched(syncthing, inbox, None).look()
    assert found.state == "WARNING"
    assert found.message is not None and f"no folder {FOLDER}" in found.message
    assert syncthing.configuration() == before


def test_a_folder_that_sends_is_an_error_where_it_is_a_persons_own(syncthing: RealSyncthing, inbox: Path) -> None:
    watched = Watched(syncthing, inbox, "sesame")
    wait_until(lambda: watched.look().state == "OK", "it is well")
    syncthing.client.change_folder(FOLDER, {"type": "sendreceive"})
    found = Watched(syncthing, inbox, None).look()
    assert found.state == "ERROR"
    assert found.message is not None and "deleted from the phones" in found.message
    assert syncthing.state(FOLDER).type == "sendreceive"


def test_a_folder_that_was_turned_is_set_right_at_once_and_told_for_a_while(
    syncthing: RealSyncthing, inbox: Path
) -> None:
    watched = Watched(syncthing, inbox, "sesame")
    wait_until(lambda: watched.look().state == "OK", "it is well")
    syncthing.client.change_folder(FOLDER, {"type": "sendreceive"})
    for _ in range(10):
        found = watched.look()
        assert found.state == "ERROR"
        assert found.message is not None and "had been turned to send" in found.message
        assert syncthing.state(FOLDER).is_receive_only
    wait_until(lambda: watched.look().state == "OK", "it is well again")


def test_what_cannot_be_set_up_is_a_warning(syncthing: RealSyncthing, inbox: Path) -> None:
    watched = Watched(syncthing, inbox, "sesame")
    wait_until(lambda: watched.look().state == "OK", "it is well")
    syncthing.client.add_folder(
        {"id": "other", "label": "other", "path": str(inbox / "other"), "type": "receiveonly", "ignoreDelete": True}
    )
    found = Watched(syncthing, inbox, "sesame").look()
    assert found.state == "WARNING"
    assert found.message is not None and "cannot be set up as it must be" in found.message


def test_it_is_away_and_comes_back(syncthing: RealSyncthing, inbox: Path) -> None:
    watched = Watched(syncthing, inbox, "sesame")
    watched.look()
    syncthing.stop()
    found = watched.look()
    assert (found.state, found.task) == ("ERROR", "away")
    assert found.message is not None and "nothing answers" in found.message
    syncthing.start()
    wait_until(lambda: watched.look().state == "OK", "it is well again")


def test_a_wrong_key_is_told_without_it(syncthing: RealSyncthing, inbox: Path) -> None:
    client = Syncthing(syncthing.url, "a-wrong-key", timeout=LIMIT)
    found = SyncthingCheck("syncthing", client, inbox, gui_password=None, provision_every=HOUR).look()["syncthing"]
    assert found.state == "ERROR"
    assert found.message is not None and "SYNCTHING_API_KEY" in found.message and "a-wrong-key" not in found.message


def test_without_its_password_it_is_set_up_too_and_open_pages_are_told(syncthing: RealSyncthing, inbox: Path) -> None:
    """As in the stack, where Syncthing gets the password by itself before it listens, and the monitor never."""
    client = syncthing.client
    check = SyncthingCheck("syncthing", client, inbox, is_ours=True, gui_password=None, provision_every=0.0)
    found = check.look()["syncthing"]
    assert [one["id"] for one in client.config_folders()] == [FOLDER]
    assert found.state == "WARNING"
    assert found.message is not None and "its pages have no password" in found.message
    client.change_gui({"user": "factory", "password": "sesame"})
    wait_until(lambda: check.look()["syncthing"].state == "OK", "it is well")
