"""The bench to measure on: folders to work in, photos, ledgers, and factories that use them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ledger import VAULT_ID, fill
from benchmarks.photos import make_photos, sync
from benchmarks.usage import CpuMeter, memory, repeatedly
from Src.Library.vault import Vault
from Src.Media.readers import readings
from Src.Media.readers.readings import Readings
from Src.Shared.vault_marker import Marker, change_marker
from Stack.tests.real_factory import ROOT, Factory

_LIMIT = 600.0  # seconds for the librarian to do what is waited for


@dataclass(frozen=True)
class Run:
    """One `./factory ingest` that has ended."""

    seconds: float
    cpu: dict[str, float]  # seconds by user
    memory: float  # MB at most, where that was asked for
    readings: Readings  # who has read the files


class Bench:
    """Keeps what more than one case needs. `other`: a folder on another filesystem."""

    def __init__(self, folder: Path, other: Path | None = None) -> None:
        self.folder = folder
        self.other = other
        self._photos: tuple[int, list[Path]] = (0, [])

    def photos(self, files: int, size: int) -> list[Path]:
        """Photos that are all different. Those of the size asked for last are kept."""
        kept_size, photos = self._photos
        if kept_size != size or len(photos) < files:
            folder = self.folder / "photos"
            shutil.rmtree(folder, ignore_errors=True)
            make_photos(folder, files, size)
            photos = sorted(folder.iterdir())
            self._photos = size, photos
        return photos[:files]

    def ledger(self, rows: int) -> Path:
        """A ledger with so many originals, made once; to be copied."""
        kept = self.folder / f"ledger-{rows}"
        if not kept.exists():
            with self._folder_of_factory({}) as factory:
                done = factory.run("status")
                assert done.code == 0, done.err
                if rows:
                    fill(factory, rows)
                (factory.data / "factory-db-data").rename(kept)
        return kept

    @contextmanager
    def factory(self, environment: Mapping[str, str] | None = None, *, rows: int = 0) -> Iterator[Factory]:
        """A new factory with an empty inbox and vault, and delays that cost no time."""
        ledger = self.ledger(rows)
        with self._folder_of_factory(environment or {}) as factory:
            # As it is on disk, with its owner: an embedded server has an account of its own.
            subprocess.run(["cp", "-a", ledger, factory.data / "factory-db-data"], check=True)
            Vault(factory.storage).create()
            if rows:  # else a ledger of originals that are not there would be taken for another vault's
                change_marker(factory.originals, lambda _: Marker(VAULT_ID, "embedded", True))
            yield factory

    @contextmanager
    def _folder_of_factory(self, environment: Mapping[str, str]) -> Iterator[Factory]:
        short = {"STABILITY_DELAY": "0.1", "MIN_FILE_AGE": "0.1", "LOG_LEVEL": "WARNING"}
        factory = Factory(self.folder / "factory", {**short, **environment})
        factory.inbox.mkdir(parents=True)
        try:
            yield factory
        finally:
            shutil.rmtree(factory.data)
            shutil.rmtree(factory.storage, ignore_errors=True)


def ingest(factory: Factory, files: Sequence[Path], *, watch_memory: bool = False, as_: str = "new") -> Run:
    """Lets `./factory ingest` file these, which stay where they are: the inbox gets copies, as from people.

    All photos and films of them must count in its report as `as_`.
    """
    for file in files:
        shutil.copyfile(file, factory.inbox / file.name)
    sync(factory.data)
    most = 0.0
    with open(factory.data / "ingest.err", "w+", encoding="utf-8") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            factory.command("ingest", "--json"), env=factory.env(), stdout=subprocess.PIPE, stderr=said, text=True
        )
        meter = CpuMeter(process.pid, factory.cluster)

        def look() -> None:
            nonlocal most
            meter.look()
            if watch_memory:
                most = max(most, memory(process.pid))

        with repeatedly(look):
            answer, _ = process.communicate()
            seconds = time.perf_counter() - began
        said.seek(0)
        assert process.returncode == 0, said.read()
    report = json.loads(answer)
    assert report[as_] + report["companions"] + report["not_media"] == len(files), report
    return Run(seconds, meter.look(), most, readings.from_json([report["readings"]]))


@contextmanager
def librarian(factory: Factory, until: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """The Librarian as a service, from when a condition is fulfilled."""
    process = subprocess.Popen(
        [sys.executable, "-m", "Src.Librarian"], env=factory.env({"PYTHONPATH": str(ROOT)}), cwd=ROOT
    )
    try:
        end = time.monotonic() + _LIMIT
        while not until():
            assert process.poll() is None, "the librarian has ended"
            assert time.monotonic() < end, f"not within {_LIMIT:g} s"
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        process.wait()
