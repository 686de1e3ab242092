"""Thumbnails and previews of originals: made when first looked at, kept in `Storage/Derivatives/`, named by content.

Originals are only read. What cannot be shown is remembered as such, beside the pictures, and tried again after a
day: ExifTool may have been installed since, or this program updated.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from Src.Dashboard.picture_process import NoPicture, PictureProcess
from Src.Shared.ledger_text import from_ledger

WORKERS = 2
TRY_AGAIN_AFTER = 24 * 3600.0  # seconds
TRY_AGAIN_SOON = 60.0  # seconds, where the reason may pass: the vault is not mounted, ExifTool is missing
_MOST_REMEMBERED = 10_000

log = logging.getLogger(__name__)


class Size(Enum):
    """For what a picture is made: folder below `Derivatives`, pixels of its longer side, JPEG quality."""

    SMALL = ("Thumbnails", 400, 78)
    LARGE = ("Previews", 1600, 85)

    def __init__(self, folder: str, side: int, quality: int) -> None:
        self.folder, self.side, self.quality = folder, side, quality


@dataclass(frozen=True, slots=True)
class Original:
    """Of which original a picture is wanted: as `media_assets` has it."""

    file_hash: str
    final_path: str  # ledger text
    media_kind: str


class Thumbnails:
    """Pictures of the originals of one vault; thread-safe."""

    def __init__(self, storage: Path, workers: int = WORKERS) -> None:
        self._storage = storage
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="pictures")
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
        except OSError:
            return None
        return data or None  # empty: a power cut came between its name and its bytes

    def path(self, file_hash: str, size: Size) -> Path:
        """Where a picture is kept."""
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
            process = self._processes.mine = PictureProcess()
            self._all_processes.append(process)
        return process

    def _is_hopeless(self, file_hash: str, size: Size) -> bool:
        if time.monotonic() < self._hopeless.get((file_hash, size), 0.0):
            return True
        with contextlib.suppress(OSError):
            return time.time() - self._note(file_hash, size).stat().st_mtime < TRY_AGAIN_AFTER
        return False

    def _remember(self, original: Original, size: Size, reason: NoPicture) -> None:
        log.debug("no picture of %s: %s", original.final_path, reason)
        if reason.lasting:
            self._keep(self._note(original.file_hash, size), f"{reason}\n".encode())
        if len(self._hopeless) >= _MOST_REMEMBERED:
            self._hopeless.clear()
        wait = TRY_AGAIN_AFTER if reason.lasting else TRY_AGAIN_SOON
        self._hopeless[original.file_hash, size] = time.monotonic() + wait

    def _note(self, file_hash: str, size: Size) -> Path:
        return self.path(file_hash, size).with_suffix(".none")

    def _keep(self, path: Path, data: bytes) -> None:
        """Writes a file whole or not at all. Not synced: it can be made again."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=".making-")
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            if not self._told:  # the disk is full, or mounted read-only: pictures are made anew each time
                log.warning("thumbnails cannot be kept in %s: %s", path.parent, error.strerror)
            self._told = True


def open_original(storage: Path, final_path: str) -> int:
    """Opens an original for reading, and only what is inside the vault: no link is followed on the way.

    Raises OSError.
    """
    parts = from_ledger(final_path).split("/")
    if parts[0] != "Originals" or len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
        raise PermissionError(1, "not in the vault", final_path)
    folder = os.open(storage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: a FIFO must not hold us
        fd = os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise PermissionError(1, "not a regular file", final_path)
    return fd
