"""A phone and the factory, each with a real Syncthing: paired as docs/PHONE.md says, and what happens to photos then.

The phone's folder is send-receive, the type that obeys whatever the other side does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from Src.Shared.syncthing.inbox_folders import FOLDER
from Src.Shared.syncthing.tests.real_syncthing import API_KEY, RealSyncthing, running
from Stack.tests.photos import sha256, unique_jpeg
from Stack.tests.real_factory import SHORT_DELAYS, Factory, Result, wait_until

LIMIT = 60.0
NAME = "Anna's phone"


@dataclass
class Site:
    """A phone and a factory that is up, connected."""

    factory: Factory
    syncthing: RealSyncthing
    phone: RealSyncthing
    camera: Path  # the folder on the phone

    def take(self, name: str, content: bytes) -> str:
        """A photo on the phone; its SHA-256."""
        path = self.camera / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1.6e9, 1.6e9))
        return sha256(path)

    def on_phone(self) -> dict[str, str]:
        """Every photo there with its SHA-256."""
        return {
            str(path.relative_to(self.camera)): sha256(path) for path in self.camera.rglob("*.jpg") if path.is_file()
        }

    def in_vault(self) -> Counter[str]:
        """Every original by its SHA-256, and how often it is there."""
        return Counter(sha256(path) for path in self.factory.vault_files() if not path.name.startswith("."))

    def fates(self) -> Counter[str]:
        return Counter(dict(self.factory.sql("SELECT fate, count(*) FROM ingest_events GROUP BY fate")))

    def scan_phone(self) -> None:
        self.phone.client.scan(FOLDER)

    def wait_filed(self, digests: set[str]) -> None:
        """Until these are in the vault, the inbox is empty, and Syncthing knows it."""
        wait_until(lambda: digests <= self.in_vault().keys(), LIMIT, "the photos are filed")
        wait_until(lambda: not [*self.factory.inbox.rglob("*.jpg")], LIMIT, "the inbox is empty")
        self.settle()

    def settle(self) -> None:
        """Looks through both folders, until both sides know what is on the phone and have nothing left to do."""
        for one in (self.syncthing, self.phone):
            one.client.scan(FOLDER)
        count = len(self.on_phone())
        wait_until(lambda: all(self._rests(one, count) for one in (self.syncthing, self.phone)), LIMIT, "they rest")

    def _rests(self, syncthing: RealSyncthing, count: int) -> bool:
        state = syncthing.state(FOLDER)
        return (state.state, state.need_files, state.global_files) == ("idle", 0, count)

    def restart_both(self) -> None:
        for one in (self.syncthing, self.phone):
            one.restart()
        wait_until(lambda: self.syncthing.is_connected(self.phone.id), LIMIT, "they are connected again")


@pytest.fixture(scope="module")
def site(migrated_cluster: Path) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="pf-e2e-") as name:
        os.chmod(name, 0o711)
        folder = Path(name)
        factory = Factory(folder / "factory", dict(SHORT_DELAYS))
        factory.cluster.parent.mkdir(parents=True)
        subprocess.run(["cp", "-a", str(migrated_cluster), str(factory.cluster)], check=True)
        with running(folder / "syncthing", "factory") as syncthing, running(folder / "phone", NAME) as phone:
            factory.environment |= {"SYNCTHING_URL": syncthing.url, "SYNCTHING_API_KEY": API_KEY}
            with factory.start("up") as up:
                up.wait_for("watching ")
                site = Site(factory, syncthing, phone, folder / "DCIM")
                pair(site)
                yield site


def phone_command(site: Site, *arguments: str) -> Result:
    result = site.factory.run("phone", *arguments)
    assert result.code == 0, result.err
    return result


def pair(site: Site) -> None:
    """The steps of docs/PHONE.md."""
    shown = phone_command(site, "--json").json()
    site.phone.add(shown["id"], shown["addresses"][0])
    wait_until(lambda: phone_command(site, "--json").json()["pending"], LIMIT, "the phone asks to connect")
    accepted = phone_command(site, "--accept", NAME)
    assert NAME in accepted.out
    assert FOLDER in accepted.out
    wait_until(site.phone.client.offered_folders, LIMIT, "the phone is offered the folder")
    (offer,) = site.phone.client.offered_folders()
    site.phone.share(offer.id, site.camera, offer.device_id, type="sendreceive")


def test_photos_are_filed_and_stay_on_the_phone(site: Site) -> None:
    names = [
        f"{folder}/IMG_{number:04}.jpg" for folder in ("Camera", "Camera/2024/ünï", "WhatsApp") for number in range(5)
    ]
    taken = {name: site.take(name, unique_jpeg(number)) for number, name in enumerate(names)}
    taken["Camera/large.jpg"] = site.take("Camera/large.jpg", unique_jpeg(99, size=30_000_000))
    before = site.on_phone()
    site.scan_phone()

    site.wait_filed(set(taken.values()))

    assert site.on_phone() == before
    filed = [path for path in site.factory.vault_files() if sha256(path) in set(taken.values())]
    assert len(filed) == len(taken)
    assert {path.stat().st_mtime for path in filed} == {1.6e9}
    fates = site.fates()
    site.restart_both()
    site.settle()
    assert site.on_phone() == before
    assert site.fates() == fates, "something came a second time"


def test_a_photo_that_is_edited_on_the_phone_is_another_original(site: Site) -> None:
    first = site.take("Edited/photo.jpg", unique_jpeg(200))
    site.scan_phone()
    site.wait_filed({first})

    second = site.take("Edited/photo.jpg", unique_jpeg(201, size=100_000))
    site.scan_phone()
    site.wait_filed({first, second})

    assert site.in_vault()[first] == site.in_vault()[second] == 1
    assert site.on_phone()["Edited/photo.jpg"] == second


def test_a_photo_that_is_renamed_on_the_phone_is_known_already(site: Site) -> None:
    digest = site.take("Renamed/before.jpg", unique_jpeg(300))
    site.scan_phone()
    site.wait_filed({digest})
    duplicates = site.fates()["duplicate"]

    (site.camera / "Renamed/before.jpg").rename(site.camera / "Renamed/after.jpg")
    site.scan_phone()
    wait_until(lambda: site.fates()["duplicate"] > duplicates, LIMIT, "it comes again and is dropped")
    site.wait_filed({digest})

    assert site.in_vault()[digest] == 1
    assert site.on_phone()["Renamed/after.jpg"] == digest


def test_a_photo_that_is_deleted_on_the_phone_stays_in_the_vault(site: Site) -> None:
    digest = site.take("Deleted/photo.jpg", unique_jpeg(400))
    site.scan_phone()
    site.wait_filed({digest})

    (site.camera / "Deleted/photo.jpg").unlink()
    (site.camera / "Deleted").rmdir()
    site.settle()

    assert site.in_vault()[digest] == 1


def test_a_photo_that_is_deleted_on_the_phone_before_it_is_filed_is_filed(site: Site) -> None:
    (librarian,) = site.factory.named("Src.Librarian.librarian", "python")[:1]
    os.kill(librarian, signal.SIGSTOP)
    try:
        digest = site.take("Early/photo.jpg", unique_jpeg(500))
        site.scan_phone()
        arrived = site.factory.inbox / "Early/photo.jpg"
        wait_until(arrived.exists, LIMIT, "it comes")
        (site.camera / "Early/photo.jpg").unlink()
        (site.camera / "Early").rmdir()
        site.settle()
        assert arrived.exists()
    finally:
        os.kill(librarian, signal.SIGCONT)
    site.wait_filed({digest})


def test_reverting_local_changes_brings_photos_again_and_costs_nothing(site: Site) -> None:
    digest = site.take("Reverted/photo.jpg", unique_jpeg(600))
    site.scan_phone()
    site.wait_filed({digest})
    before, vault, duplicates = site.on_phone(), site.in_vault(), site.fates()["duplicate"]

    site.syncthing.client.revert(FOLDER)
    wait_until(lambda: site.fates()["duplicate"] == duplicates + len(before), LIMIT, "all photos come again")
    site.wait_filed({digest})

    assert site.on_phone() == before
    assert site.in_vault() == vault


def test_the_command_shows_the_phone_and_warns_of_another_type(site: Site) -> None:
    shown = phone_command(site)
    assert site.syncthing.id in shown.out
    assert "▀" in shown.out  # the QR code
    assert NAME in shown.out
    assert "WARNING" not in shown.out

    site.syncthing.client.change_folder(FOLDER, {"type": "sendreceive", "paused": True})
    try:
        assert f"Syncthing's folder {FOLDER} is sendreceive, not receiveonly" in phone_command(site).out
        found = phone_command(site, "--json").json()
        assert found["folders"][0]["is_receive_only"] is False
        assert "is sendreceive, not receiveonly" in found["warnings"][0]
    finally:
        site.syncthing.client.change_folder(FOLDER, {"type": "receiveonly", "paused": False})


@pytest.mark.parametrize("wanted", ["nobody", "\x1b[2J", ""])
def test_accepting_nobody_is_one_line(site: Site, wanted: str) -> None:
    result = site.factory.run("phone", "--accept", wanted)
    assert result.code == 2
    assert result.one_line().startswith("factory: syncthing: no device ")
    assert "\x1b" not in result.err


def test_a_syncthing_that_is_away_is_one_line(factory: Factory) -> None:
    result = factory.run("phone", env={"SYNCTHING_URL": "http://127.0.0.1:9", "SYNCTHING_API_KEY": "key"})
    assert result.code == 2
    assert result.one_line().startswith("factory: syncthing: nothing answers at http://127.0.0.1:9")
