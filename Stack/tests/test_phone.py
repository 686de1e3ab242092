"""A phone and the factory, each with a real Syncthing: paired as docs/PHONE.md says, and what comes of photos."""

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
from Src.Testing.patience import wait_until
from Stack.tests.phone import LIMIT, TAKEN, Phone
from Stack.tests.photos import photos_in, sha256, unique_jpeg
from Stack.tests.real_factory import SHORT_DELAYS, Factory, Result

pytestmark = [pytest.mark.xdist_group("phone"), pytest.mark.timeout(1800)]

NAME = "Anna's phone"


@dataclass
class Site:
    """A factory that is up, with its Syncthing, and a phone that is connected."""

    factory: Factory
    syncthing: RealSyncthing
    phone: Phone

    def in_vault(self) -> Counter[str]:
        """Every original by its SHA-256, and how often it is there."""
        return Counter(sha256(path) for path in self.factory.vault_files() if not path.name.startswith("."))

    def fates(self) -> Counter[str]:
        return Counter(dict(self.factory.sql("SELECT fate, count(*) FROM ingest_events GROUP BY fate")))

    def wait_filed(self, *digests: str) -> None:
        """Until these are in the vault, the inbox is empty, and both Syncthings know it."""
        wait_until(lambda: set(digests) <= self.in_vault().keys(), LIMIT, "the photos are filed")
        wait_until(lambda: not photos_in(self.factory.inbox), LIMIT, "the inbox is empty")
        self.settle()

    def settle(self) -> None:
        self.phone.settle(self.syncthing.client)


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
                site = Site(factory, syncthing, Phone(phone, folder / "DCIM"))
                pair(site)
                yield site


def phone_command(site: Site, *arguments: str) -> Result:
    result = site.factory.run("phone", *arguments)
    assert result.code == 0, result.err
    return result


def pair(site: Site) -> None:
    """The steps of docs/PHONE.md."""
    shown = phone_command(site, "--json").json()
    site.phone.syncthing.add(shown["id"], shown["addresses"][0])
    wait_until(site.syncthing.client.pending_devices, LIMIT, "the phone asks to connect")
    accepted = phone_command(site, "--accept", NAME)
    assert NAME in accepted.out
    assert FOLDER in accepted.out
    site.phone.accept_folder()


def test_photos_are_filed_and_stay_on_the_phone(site: Site) -> None:
    names = [
        f"{folder}/IMG_{number:04}.jpg" for folder in ("Camera", "Camera/2024/ünï", "WhatsApp") for number in range(5)
    ]
    taken = {name: site.phone.take(name, unique_jpeg(number)) for number, name in enumerate(names)}
    taken["Camera/large.jpg"] = site.phone.take("Camera/large.jpg", unique_jpeg(99, size=30_000_000))
    before = site.phone.photos()
    site.phone.scan()

    site.wait_filed(*taken.values())

    assert site.phone.photos() == before
    filed = [path for path in site.factory.vault_files() if sha256(path) in set(taken.values())]
    assert len(filed) == len(taken)
    assert {path.stat().st_mtime for path in filed} == {TAKEN}
    fates = site.fates()
    for one in (site.syncthing, site.phone.syncthing):
        one.restart()
    wait_until(lambda: site.syncthing.is_connected(site.phone.syncthing.id), LIMIT, "they are connected again")
    site.settle()
    assert site.phone.photos() == before
    assert site.fates() == fates, "something came a second time"


def test_a_photo_that_is_edited_on_the_phone_is_another_original(site: Site) -> None:
    first = site.phone.take("Edited/photo.jpg", unique_jpeg(200))
    site.phone.scan()
    site.wait_filed(first)

    second = site.phone.take("Edited/photo.jpg", unique_jpeg(201, size=100_000))
    site.phone.scan()
    site.wait_filed(first, second)

    assert site.in_vault()[first] == site.in_vault()[second] == 1
    assert site.phone.photos()["Edited/photo.jpg"] == second


def test_a_photo_that_is_renamed_on_the_phone_is_known_already(site: Site) -> None:
    digest = site.phone.take("Renamed/before.jpg", unique_jpeg(300))
    site.phone.scan()
    site.wait_filed(digest)
    duplicates = site.fates()["duplicate"]

    (site.phone.camera / "Renamed/before.jpg").rename(site.phone.camera / "Renamed/after.jpg")
    site.phone.scan()
    wait_until(lambda: site.fates()["duplicate"] > duplicates, LIMIT, "it comes again and is dropped")
    site.wait_filed(digest)

    assert site.in_vault()[digest] == 1
    assert site.phone.photos()["Renamed/after.jpg"] == digest


def test_a_photo_that_is_deleted_on_the_phone_stays_in_the_vault(site: Site) -> None:
    digest = site.phone.take("Deleted/photo.jpg", unique_jpeg(400))
    site.phone.scan()
    site.wait_filed(digest)

    site.phone.delete("Deleted/photo.jpg")
    site.settle()

    assert site.in_vault()[digest] == 1


def test_a_photo_that_is_deleted_on_the_phone_before_it_is_filed_is_filed(site: Site) -> None:
    (librarian,) = site.factory.named("-m Src.Librarian ", "python")[:1]
    os.kill(librarian, signal.SIGSTOP)
    try:
        digest = site.phone.take("Early/photo.jpg", unique_jpeg(500))
        site.phone.scan()
        arrived = site.factory.inbox / "Early/photo.jpg"
        wait_until(arrived.exists, LIMIT, "it comes")
        site.phone.delete("Early/photo.jpg")
        site.settle()
        assert arrived.exists()
    finally:
        os.kill(librarian, signal.SIGCONT)
    site.wait_filed(digest)


def test_reverting_local_changes_brings_photos_again_and_costs_nothing(site: Site) -> None:
    digest = site.phone.take("Reverted/photo.jpg", unique_jpeg(600))
    site.phone.scan()
    site.wait_filed(digest)
    before, vault, duplicates = site.phone.photos(), site.in_vault(), site.fates()["duplicate"]

    site.syncthing.client.revert(FOLDER)
    # One that is filed before Syncthing has written down that it came, comes twice.
    wait_until(lambda: site.fates()["duplicate"] >= duplicates + len(before), LIMIT, "all photos come again")
    site.wait_filed(digest)

    assert site.phone.photos() == before
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
