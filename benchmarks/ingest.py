"""How fast is `./factory ingest`, measured against the floor: reading, hashing and header-reading the same files.

    .venv/bin/python -m benchmarks.ingest [--files 2000] [--size 2000000] [--rounds 3] [--folder DIR]

Start-up is told apart from the cost per file by ingesting two amounts. All figures are ratios within one run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

from PIL import Image

from benchmarks.photos import make_photos, warm

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--size", type=int, default=2_000_000, help="bytes per photo")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--storage", type=Path, help="a folder on another filesystem for the vault: copying")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measure(Path(folder), options.files, options.size, options.rounds, options.storage)
    what = f"{options.files} photos of {options.size / 1e6:g} MB"
    print(f"{what}, {os.cpu_count()} cores, median of {options.rounds} rounds")
    for name, value in figures.items():
        print(f"  {name:<44}{value:>12,.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


def measure(folder: Path, files: int, size: int, rounds: int, storage: Path | None) -> dict[str, float]:
    """Figures by name; times are milliseconds of wall clock per file."""
    photos = folder / "photos"
    make_photos(photos, files, size)
    small = files // 5
    floors, slopes, starts = [], [], []
    for number in range(rounds):
        warm(photos)
        floors.append(floor(photos))
        whole = ingest(folder, photos, files, storage)
        part = ingest(folder, photos, small, storage)
        slopes.append((whole - part) / (files - small))
        starts.append(part - small * slopes[-1])
        print(f"  round {number + 1}: floor {1 / floors[-1]:,.0f}/s, ingest {1 / slopes[-1]:,.0f}/s", file=sys.stderr)
    return {
        "floor, files/s": 1 / median(floors),
        "ingest beyond start-up, files/s": 1 / median(slopes),
        "cost per file of ingest / floor": median(slope / base for slope, base in zip(slopes, floors, strict=True)),
        "lowest of the rounds": min(slope / base for slope, base in zip(slopes, floors, strict=True)),
        "highest of the rounds": max(slope / base for slope, base in zip(slopes, floors, strict=True)),
        "start-up and stop, s": median(starts),
    }


def floor(photos: Path) -> float:
    """Seconds per file to read, hash and header-read on all cores."""
    paths = sorted(str(path) for path in photos.iterdir())
    with ProcessPoolExecutor() as pool:
        list(pool.map(read_all, [[]] * 8))  # the workers are up
        began = time.perf_counter()
        list(pool.map(read_all, [paths[at : at + 16] for at in range(0, len(paths), 16)]))
        return (time.perf_counter() - began) / len(paths)


def read_all(paths: list[str]) -> None:
    """What cannot be done without: one read, SHA-256, and the header's EXIF."""
    buffer = bytearray(1024 * 1024)
    for path in paths:
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                digest.update(memoryview(buffer)[:count])
        with Image.open(path) as image:
            image.getexif().get_ifd(0x8769)


def ingest(
    folder: Path,
    photos: Path,
    count: int,
    storage: Path | None,
    before: Callable[[dict[str, str]], None] | None = None,
) -> float:
    """Seconds of one `./factory ingest` of `count` photos; afterwards the photos are back.

    `before` is called with the factory's environment once its ledger is there.
    """
    data = folder / "factory"
    inbox, vault = data / "Photos_Inbox", (storage or data) / "Storage"
    inbox.mkdir(parents=True)
    for path in sorted(photos.iterdir())[:count]:
        path.rename(inbox / path.name)
    environment = dict(
        os.environ, FACTORY_DATA=str(data), STORAGE_PATH=str(vault), STABILITY_DELAY="0.1", MIN_FILE_AGE="0.1"
    )
    subprocess.run([ROOT / "factory", "status"], env=environment, check=True, capture_output=True)  # makes the ledger
    if before is not None:
        before(environment)
    os.sync()
    began = time.perf_counter()
    done = subprocess.run(
        [ROOT / "factory", "ingest", "--json"], env=environment, check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    report = json.loads(done.stdout)
    assert report["new"] == count, report
    for path in (vault / "Originals").rglob("*.jpg"):
        shutil.move(path, photos / path.name)
    shutil.rmtree(data)
    shutil.rmtree(vault, ignore_errors=True)
    return seconds


if __name__ == "__main__":
    main()
