"""What cannot be done without: reading, hashing and header-reading every file, and copying it where that must be."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from benchmarks.photos import sync

_EXIF = 0x8769


class Floor(NamedTuple):
    """What a file takes at least, in seconds."""

    seconds: float  # that pass
    cpu: float  # of all cores together


def floor(files: Sequence[Path]) -> Floor:
    """Reads, hashes and header-reads files on all cores."""
    paths = [str(file) for file in files]
    used = _cpu_of_children()
    with ProcessPoolExecutor() as pool:
        list(pool.map(read_all, [[]] * 8))  # the processes are up
        began = time.perf_counter()
        list(pool.map(read_all, [paths[at : at + 16] for at in range(0, len(paths), 16)]))
        seconds = time.perf_counter() - began
    return Floor(seconds / len(paths), (_cpu_of_children() - used) / len(paths))


def _cpu_of_children() -> float:
    """Seconds that processes which have ended used."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def read_all(paths: Sequence[str]) -> None:
    """One read, SHA-256, and what Pillow can tell of the header."""
    buffer = bytearray(1024 * 1024)
    with warnings.catch_warnings(action="ignore"):
        for path in paths:
            digest = hashlib.sha256()
            with open(path, "rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    digest.update(memoryview(buffer)[:count])
            read_header(path)


def read_header(path: str) -> None:
    """An attempt: videos, raw photos and broken files are not for Pillow, which says so in many ways."""
    try:
        with Image.open(path) as image:
            image.getexif().get_ifd(_EXIF)
    except Exception:
        return


def copy(files: Sequence[Path], target: Path, processes: int) -> float:
    """Seconds a file for `cp` to bring them to a folder, and to the disk there, by so many processes at once."""
    target.mkdir()
    names = b"\0".join(os.fsencode(file) for file in files)
    # A process gets many files, so that its start costs nothing; but no more than there are for each.
    most = min(256, -(-len(files) // processes))
    command = ["xargs", "-0", f"-P{processes}", f"-n{most}", "cp", "-t", str(target)]
    try:
        began = time.perf_counter()
        subprocess.run(command, input=names, check=True)
        sync(target)  # as ingest does, once a batch
        return (time.perf_counter() - began) / len(files)
    finally:
        shutil.rmtree(target)
