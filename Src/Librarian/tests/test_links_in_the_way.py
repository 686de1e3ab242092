"""A folder of the inbox that is swapped for a link, at any moment, by another user: no file outside is ever read as
the inbox's, filed, removed, renamed, or given another mode.

The file that stands outside has the same name as the one in the inbox, so nothing but the way to it tells them apart.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from Src.Librarian.clear.leaving import LeavingFiles
from Src.Librarian.file_watcher import InboxWatcher
from Src.Librarian.librarian import Librarian
from Src.Librarian.passage import IncomingFile, Inspected
from Src.Librarian.place import placing
from Src.Librarian.read.inspection import Inspector
from Src.Librarian.read.reader_pool import ReaderPool
from Src.Librarian.read.wire import Finding, HandedOver
from Src.Librarian.service import InboxService
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState
from Src.Shared.disk.top import Top
from Src.Shared.settings import Settings
from Src.Testing.patience import PATIENCE
from Src.Testing.promise import Source, assert_promise_kept, ledger_rows, sha256_of_file, vault_files
from Src.Testing.surroundings import WaitFor
from Src.Testing.swapping import NOBODY, exchange, swapping

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parent / "samples"
CANON = (SAMPLES / "Canon_40D.jpg").read_bytes()


class Scene:
    """An inbox with an album, and a tree outside of it that looks the same and is none of ours."""

    def __init__(self, settings: Settings, count: int = 1) -> None:
        self.settings = replace(
            settings, readers=1, stability_delay=0.05, min_file_age=0.0, scan_interval=0.2, rest_without_lease=0.05
        )
        self.album = settings.inbox / "album"
        self.album.mkdir(parents=True)
        self.aside = settings.data / "aside"
        self.outside = settings.data / "outside"
        self.outside.mkdir()
        self.sources: list[Source] = []
        for number in range(count):
            name = f"IMG_{number:04d}.jpg"
            (self.album / name).write_bytes(CANON + b"inside %06d" % number)
            self.sources.append(Source(f"album/{name}", sha256_of_file(self.album / name)))
            (self.outside / name).write_bytes(CANON + b"outside%06d" % number)
            os.chmod(self.outside / name, 0o664)
        (self.outside / "empty").mkdir()
        for path in (*self.outside.iterdir(), self.outside):
            os.utime(path, (1e9, 1e9))  # long at rest: it would be filed at once
        self.secrets = {sha256_of_file(path) for path in self.outside.iterdir() if path.is_file()}
        self._before = self.snapshot()

    def swap(self) -> None:
        """The album moves away, and a link to the other one takes its name."""
        if not self.aside.exists():
            self.album.rename(self.aside)
            self.album.symlink_to(self.outside)

    def swap_back(self) -> None:
        if self.aside.exists():
            self.album.unlink()
            self.aside.rename(self.album)

    def snapshot(self) -> dict[str, tuple[Any, ...]]:
        """All that a program could change of the tree outside; the ctime shows every change of a file or folder."""
        found: dict[str, tuple[Any, ...]] = {}
        for path in (self.outside, *sorted(self.outside.rglob("*"))):
            status = os.lstat(path)
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[str(path)] = (
                content, status.st_mode, status.st_uid, status.st_nlink, status.st_ino, status.st_mtime_ns,
                status.st_ctime_ns,
            )  # fmt: skip
        return found

    def assert_nothing_outside_was_touched(self) -> None:
        assert self.snapshot() == self._before
        assert not self.secrets & set(vault_files(self.settings).values())
        told = ledger_rows(self.settings, "SELECT file_hash FROM ingest_events")
        assert not self.secrets & {row["file_hash"] for row in told}

    def ingest(self) -> None:
        database = Database(self.settings)
        try:
            InboxService(self.settings, database, once=True).run()
        finally:
            database.close()

    def assert_promise_kept(self) -> None:
        assert_promise_kept(self.settings, self.sources)


@pytest.fixture
def scene(factory_settings: Settings) -> Scene:
    return Scene(factory_settings)


def _before(owner: Any, name: str, do: Callable[[], None]) -> Callable[[pytest.MonkeyPatch], None]:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = getattr(owner, name)

        def late(*arguments: Any, **more: Any) -> Any:
            do()
            return real(*arguments, **more)

        monkeypatch.setattr(owner, name, late)

    return patch


MOMENTS: dict[str, tuple[Any, str]] = {
    "it was seen": (InboxWatcher, "_complete_files"),
    "it was found complete": (ReaderPool, "put"),
    "it was read": (Librarian, "settle"),
    "it is to be placed": (placing, "unchanged"),
    "it is to be linked": (placing, "link_open_file"),
    "it is to be cleared": (LeavingFiles, "take"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_folder_swapped_for_a_link_leads_nowhere(scene: Scene, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _before(*MOMENTS[moment], scene.swap)(patch)
        scene.ingest()
        assert scene.album.is_symlink(), "the moment came"
        scene.ingest()  # and it stays a link
    scene.assert_nothing_outside_was_touched()
    scene.swap_back()
    scene.ingest()
    scene.assert_nothing_outside_was_touched()
    scene.assert_promise_kept()


@pytest.mark.parametrize("name", ["IMG_0000.jpg", "IMG_0000.jxl"])
def test_tags_and_sidecar_are_of_the_file_that_was_read(
    scene: Scene, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a link in the way only while tags are read, no later look at the path would tell."""
    sample = SAMPLES / ("Canon_40D.jpg" if name.endswith("jpg") else "JXL.jxl")
    shutil.copy(sample, scene.album / name)
    for tag in ("XMP:Rating=5", "XMP-photoshop:DateCreated=2001:01:01 01:01:01"):
        subprocess.run(
            ["exiftool", "-q", "-m", "-overwrite_original", f"-{tag}", scene.outside / "IMG_0000.jpg"], check=True
        )
    shutil.copy(scene.outside / "IMG_0000.jpg", scene.outside / "IMG_0000.jxl")
    subprocess.run(["exiftool", "-q", "-o", scene.outside / "IMG_0000.xmp", "-XMP:Rating=5"], check=True)
    subprocess.run(
        ["exiftool", "-q", "-m", "-tagsFromFile", scene.outside / "IMG_0000.xmp", scene.outside / "IMG_0000.xmp"],
        check=False,
    )
    path = str(scene.album / name)
    file = IncomingFile(path, f"album/{name}", FileState.of(os.lstat(path)), below=Top.of(scene.settings.inbox))
    inspector = Inspector(ZoneInfo("UTC"), PATIENCE)
    extractor = inspector.extractor
    expected = read(inspector, file)
    for way in ("extract_fast", "extract_by_exiftool"):
        monkeypatch.setattr(extractor, way, late(getattr(extractor, way), scene))
    found = read(inspector, file)
    extractor.close()
    assert isinstance(found, Inspected) and found == expected
    assert found.metadata.rating is None and found.metadata.captured_at != datetime(2001, 1, 1, 1, 1, 1)


def late(extract: Callable[..., Any], scene: Scene) -> Callable[..., Any]:
    """With the link in the way just while it works."""

    def extract_late(*arguments: Any, **options: Any) -> Any:
        scene.swap()
        try:
            return extract(*arguments, **options)
        finally:
            scene.swap_back()

    return extract_late


def read(inspector: Inspector, file: IncomingFile) -> Finding:
    """In a second request where the first hands it over."""
    (found,) = inspector.inspect([file], datetime(2030, 1, 1))
    if isinstance(found, HandedOver):
        (found,) = inspector.inspect([file], datetime(2030, 1, 1), known=[found.known])
    return found


def test_a_link_is_no_sidecar(scene: Scene) -> None:
    subprocess.run(["exiftool", "-q", "-o", scene.outside / "secret.xmp", "-XMP:Rating=5"], check=True)
    (scene.album / "IMG_0000.xmp").symlink_to(scene.outside / "secret.xmp")
    scene.ingest()
    assert [row["rating"] for row in ledger_rows(scene.settings, "SELECT rating FROM media_assets")] == [None]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("kept", ["linked", "copied"])
def test_another_user_who_swaps_as_fast_as_he_can(
    factory_settings: Settings, kept: str, other_filesystem: Path, wait_for: WaitFor
) -> None:
    """The Librarian is root, who may read, link, change and remove everything; the inbox is another user's."""
    settings = factory_settings if kept == "linked" else replace(factory_settings, storage=other_filesystem / "Storage")
    if kept == "copied":
        settings.storage.mkdir()
    scene = Scene(settings, 60)
    for path in (scene.settings.inbox, scene.album):
        os.chown(path, NOBODY, NOBODY)
    for folder in (scene.settings.data, *scene.settings.data.parents):
        os.chmod(folder, os.stat(folder).st_mode | 0o711)
    link = scene.settings.inbox / ".link"
    link.symlink_to(scene.outside)
    database = Database(scene.settings)
    service = InboxService(scene.settings, database)
    with swapping([(scene.album, link)], user=NOBODY) as swaps:
        serving = threading.Thread(target=service.run)
        serving.start()
        try:
            wait_for(lambda: _filed(scene) >= 10 and swaps() > 500, what="some are filed in spite of it")
        finally:
            service.stop()
            serving.join(PATIENCE)
    assert not serving.is_alive()
    database.close()
    scene.assert_nothing_outside_was_touched()
    if scene.album.is_symlink():
        exchange(scene.album, link)
    scene.ingest()
    scene.assert_nothing_outside_was_touched()
    scene.assert_promise_kept()


def _filed(scene: Scene) -> int:
    return len(ledger_rows(scene.settings, "SELECT 1 FROM media_assets"))
