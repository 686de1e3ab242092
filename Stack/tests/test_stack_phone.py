"""A phone and the real stack: paired by the documented steps, and what happens to photos on both sides then."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from Src.Shared.syncthing.client import Syncthing, SyncthingError
from Src.Shared.syncthing.inbox_folders import FOLDER, differences
from Src.Shared.syncthing.tests.real_syncthing import running
from Src.Testing.patience import wait_until
from Stack.tests.phone import TAKEN, Phone
from Stack.tests.photos import photos_in, sha256, unique_jpeg
from Stack.tests.real_factory import FACTORY
from Stack.tests.stack import LIMIT, PROJECT, Stack

pytestmark = pytest.mark.stack

NAME = "Anna's phone"
LARGE = 200_000_000


@dataclass
class Site:
    """The stack and a phone that is connected with it."""

    stack: Stack
    syncthing: Syncthing  # the stack's
    phone: Phone

    def fates(self) -> list[list[str]]:
        return self.stack.sql("SELECT fate, count(*) FROM ingest_events GROUP BY fate ORDER BY fate")

    def originals(self, *digests: str) -> dict[str, Path]:
        """Waits until all of these are filed, and tells where each is."""
        listed = ", ".join(f"'{digest}'" for digest in digests)
        question = f"SELECT file_hash, final_path FROM media_assets WHERE file_hash IN ({listed})"

        def complete() -> list[list[str]]:
            rows = self.stack.sql(question)
            return rows if len(rows) == len(digests) else []

        rows = wait_until(complete, LIMIT, "the photos are in the ledger")
        return {digest: self.stack.storage / final_path for digest, final_path in rows}

    def wait_filed(self, *digests: str) -> dict[str, Path]:
        """The same; and the inbox is empty, and both Syncthings know it."""
        originals = self.originals(*digests)
        wait_until(lambda: not photos_in(self.stack.inbox), LIMIT, "the inbox is empty")
        self.settle()
        return originals

    def settle(self) -> None:
        self.phone.settle(self.syncthing)


@pytest.fixture(scope="module")
def site(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("phone")
    key = stack.secret("service_monitor", "syncthing_api_key")
    with closing(Syncthing(stack.syncthing, key, LIMIT)) as syncthing, running(folder / "phone", NAME) as phone:
        wait_until(
            lambda: [one for one in syncthing.config_folders() if one["id"] == FOLDER], LIMIT, "it is provisioned"
        )
        site = Site(stack, syncthing, Phone(phone, folder / "DCIM"))
        pair(site)
        yield site


def command(*arguments: str) -> str:
    """`./factory phone` on the host; what it prints."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
    ours = kept | {"FACTORY_NAME": PROJECT}  # other tests' stacks may run in this checkout too
    done = subprocess.run(
        [FACTORY, "phone", *arguments], env=ours, cwd="/", capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command("--json"))
    return found


def pair(site: Site) -> None:
    """The steps of docs/PHONE.md."""
    site.phone.syncthing.add(shown()["id"], f"tcp://127.0.0.1:{site.stack.environment['SYNC_PORT']}")
    wait_until(site.syncthing.pending_devices, LIMIT, "the phone asks to connect")
    assert [one["name"] for one in shown()["pending"]] == [NAME]
    assert NAME in command("--accept", NAME)
    site.phone.accept_folder()


def holds(path: Path, digest: str) -> bool:
    """Whether this is there. (While Syncthing replaces a file there is none for a moment.)"""
    try:
        return sha256(path) == digest
    except FileNotFoundError:
        return False


def test_the_stack_provisions_its_syncthing(site: Site) -> None:
    folder = next(one for one in site.syncthing.config_folders() if one["id"] == FOLDER)
    assert differences(folder) == {}
    assert folder["path"] == "/data/Photos_Inbox"
    assert site.syncthing.config_options()["urAccepted"] == -1
    assert site.syncthing.config_gui()["password"].startswith("$2")
    found = shown()
    assert found["warnings"] == []
    assert [one["name"] for one in found["devices"]] == [NAME]


def test_fifty_photos_are_filed_and_stay_on_the_phone(site: Site) -> None:
    folders = ("Camera", "Camera/2024/ünï", "WhatsApp Images", "Pictures/Screenshots", "Camera/100APPLE")
    names = [f"{folders[number % 5]}/IMG_{number // 5:04}.jpg" for number in range(49)]
    taken = {name: site.phone.take(name, unique_jpeg(number)) for number, name in enumerate(names)}
    taken["Camera/video-like.jpg"] = site.phone.take("Camera/video-like.jpg", unique_jpeg(99, size=LARGE))
    site.phone.scan()

    originals = site.wait_filed(*taken.values())

    assert site.phone.photos() == taken
    for digest, original in originals.items():
        assert sha256(original) == digest
        status = original.stat()
        assert (status.st_uid, status.st_gid, status.st_mtime) == (*site.stack.owner, TAKEN)
    fates = site.fates()
    site.stack.compose("restart", "syncthing")
    site.stack.wait_healthy("syncthing")
    site.phone.syncthing.restart()
    wait_until(
        lambda: site.syncthing.connections()[site.phone.syncthing.id].connected, LIMIT, "they are connected again"
    )
    site.settle()
    assert site.phone.photos() == taken
    assert site.fates() == fates, "something came a second time"


def test_a_photo_that_is_edited_on_the_phone_is_another_original(site: Site) -> None:
    first = site.phone.take("Edited/photo.jpg", unique_jpeg(200))
    site.phone.scan()
    site.wait_filed(first)
    second = site.phone.take("Edited/photo.jpg", unique_jpeg(201, size=100_000))
    site.phone.scan()
    originals = site.wait_filed(first, second)

    assert {digest: sha256(path) for digest, path in originals.items()} == {first: first, second: second}
    assert site.phone.photos()["Edited/photo.jpg"] == second


def test_a_photo_that_is_deleted_on_the_phone_stays_in_the_vault(site: Site) -> None:
    digest = site.phone.take("Deleted/photo.jpg", unique_jpeg(400))
    site.phone.scan()
    original = site.wait_filed(digest)[digest]
    site.phone.delete("Deleted/photo.jpg")
    site.settle()
    assert sha256(original) == digest


def test_what_changes_on_the_phone_while_the_librarian_is_away_is_filed_later(site: Site) -> None:
    site.stack.compose("stop", "librarian")
    first, deleted = site.phone.take("Late/1.jpg", unique_jpeg(500)), site.phone.take("Late/2.jpg", unique_jpeg(501))
    site.phone.scan()
    for name in ("Late/1.jpg", "Late/2.jpg"):
        wait_until((site.stack.inbox / name).exists, LIMIT, "it comes")
    second = site.phone.take("Late/1.jpg", unique_jpeg(502, size=100_000))  # by its size Syncthing sees it
    site.phone.delete("Late/2.jpg")
    site.phone.scan()
    wait_until(lambda: holds(site.stack.inbox / "Late/1.jpg", second), LIMIT, "the edited one comes")
    site.stack.compose("start", "librarian")
    site.wait_filed(first, second, deleted)
    site.stack.wait_healthy("librarian")


def test_a_folder_that_is_turned_to_another_type_is_reported_and_turned_back(site: Site) -> None:
    """The last one: what a phone would lose by it would not come back."""
    site.phone.syncthing.stop()
    site.syncthing.change_folder(FOLDER, {"type": "sendreceive"})
    told = """SELECT 1 FROM system_status_history WHERE service_name = 'syncthing' AND status = 'ERROR'
              AND message LIKE '%turned to send%'"""
    wait_until(lambda: site.stack.sql(told), LIMIT, "the monitor reports it")
    wait_until(lambda: site.syncthing.folder_state(FOLDER).is_receive_only, LIMIT, "it is turned back")
    well = "SELECT status FROM system_status WHERE service_name = 'syncthing'"
    wait_until(lambda: site.stack.sql(well) == [["OK"]], LIMIT, "all is well again")


def test_the_gui_lets_nobody_in_without_the_password(site: Site) -> None:
    for key in ("", "wrong", hashlib.sha256(b"").hexdigest()):
        with (
            closing(Syncthing(site.stack.syncthing, key, LIMIT)) as stranger,
            pytest.raises(SyncthingError, match="refuses us"),
        ):
            stranger.config_gui()
