"""Thumbnails and previews of originals: made when first looked at, kept in `Storage/Derivatives/`, named by content.

Originals are only read. What cannot be shown is remembered as such, beside the pictures, and tried again after a
day: ExifTool may have been installed since, or this program updated.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from pathlib import Path

from Src.Library.original import Original, open_original
from Src.Library.original_path import NotAnOriginal, checked_hash
from Src.Media.pictures.process import NoPicture, PictureProcess
from Src.Shared.disk.making import SHARED, make_folder
from Src.Shared.disk.whole_file import write_whole

THREADS = 2
TRY_AGAIN_AFTER = 24 * 3600.0  # seconds
TRY_AGAIN_SOON = 60.0  # seconds, where the reason may pass: the vault is not mounted, ExifTool is missing
_MOST_REMEMBERED = 10_000

logger = logging.getLogger(__name__)


class Size(Enum):
    """For what a picture is made: folder below `Derivatives`, pixels of its longer side, JPEG quality."""

    SMALL = ("Thumbnails", 400, 78)
    LARGE = ("Previews", 1600, 85)

    def __init__(self, folder: str, side: int, quality: int) -> None:
        self.folder, self.side, self.quality = folder, side, quality


class Thumbnails:
    """Pictures of the originals of one vault; thread-safe."""

    def __init__(
        self, storage: Path, threads: int = THREADS, *, group: int | None = None, trust_any_exiftool: bool = False
    ) -> None:
        """`group`: to whom the folders that are made go."""
        self._storage = storage
        self._group = group
        self._trust_any_exiftool = trust_any_exiftool
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pictures")
        self._processes = threading.local()
        self._all_processes: list[PictureProcess] = []
        self._mutex = threading.Lock()
        self._under_way: dict[tuple[str, Size], Future[bytes | None]] = {}
        self._hopeless: dict[tuple[str, Size], float] = {}  # until when not to try again
        self._told = False

    def picture(self, original: Original, size: Size) -> Future[bytes | None]:
        """A JPEG of an original; None where there is none to be had."""
        key = (original.file_hash, size)
        with self._mutex:
            future = self._under_way.get(key)
            if future is not None:
                return future
            future = self._under_way[key] = self._pool.submit(self._picture, original, size)
        future.add_done_callback(lambda _: self._forget(key))  # which may be called here and now, and needs the mutex
        return future

    def kept(self, file_hash: str, size: Size) -> bytes | None:
        """A picture that was made before, without making it."""
        try:
            data = self.path(file_hash, size).read_bytes()
        except (OSError, NotAnOriginal):
            return None
        return data or None  # empty: a power cut came between its name and its bytes

    def path(self, file_hash: str, size: Size) -> Path:
        """Where a picture is kept. Raises NotAnOriginal where the hash is none: it would lead elsewhere."""
        checked_hash(file_hash)
        return self._storage / "Derivatives" / size.folder / file_hash[:2] / f"{file_hash}.jpg"

    def close(self) -> None:
        """Ends the processes; what is under way is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in self._all_processes:
            process.close()

    def _forget(self, key: tuple[str, Size]) -> None:
        with self._mutex:
            self._under_way.pop(key, None)

    def _picture(self, original: Original, size: Size) -> bytes | None:
        try:
            checked_hash(original.file_hash)
        except NotAnOriginal as problem:
            logger.error("the database's row of %r is not believed: %s", original.final_path, problem)
            return None
        data = self.kept(original.file_hash, size)
        if data is not None or self._is_hopeless(original.file_hash, size):
            return data
        try:
            fd = open_original(self._storage, original.final_path)
            try:
                data = self._process().make(fd, original.media_kind, size.side, size.quality)
            finally:
                os.close(fd)
        except OSError as error:
            self._remember(original, size, NoPicture(f"it cannot be opened ({error.strerror})", lasting=False))
        except NoPicture as reason:
            self._remember(original, size, reason)
        else:
            self._keep(self.path(original.file_hash, size), data)
        return data

    def _process(self) -> PictureProcess:
        """One for each thread of the pool."""
        process: PictureProcess | None = getattr(self._processes, "mine", None)
        if process is None:
            process = self._processes.mine = PictureProcess(trust_any_exiftool=self._trust_any_exiftool)
            self._all_processes.append(process)
        return process

    def _is_hopeless(self, file_hash: str, size: Size) -> bool:
        if time.monotonic() < self._hopeless.get((file_hash, size), 0.0):
            return True
        with contextlib.suppress(OSError):
            return time.time() - self._note(file_hash, size).stat().st_mtime < TRY_AGAIN_AFTER
        return False

    def _remember(self, original: Original, size: Size, reason: NoPicture) -> None:
        logger.debug("no picture of %s: %s", original.final_path, reason)
        if reason.lasting:
            self._keep(self._note(original.file_hash, size), f"{reason}\n".encode())
        if len(self._hopeless) >= _MOST_REMEMBERED:
            self._hopeless.clear()
        wait = TRY_AGAIN_AFTER if reason.lasting else TRY_AGAIN_SOON
        self._hopeless[original.file_hash, size] = time.monotonic() + wait

    def _note(self, file_hash: str, size: Size) -> Path:
        return self.path(file_hash, size).with_suffix(".none")

    def _keep(self, path: Path, data: bytes) -> None:
        """Keeps a picture, or the note that there is none; where that fails, says so once."""
        try:
            make_folder(path.parent, SHARED, self._group, below=self._storage / "Derivatives")
            write_whole(path, data, durable=False)  # it can be made again
        except OSError as error:
            if not self._told:  # the disk is full, or mounted read-only: pictures are made anew each time
                logger.warning("thumbnails cannot be kept in %s: %s", path.parent, error.strerror)
            self._told = True
