"""Sync: incoming files are on disk before anything leads to them."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor, wait
from contextlib import suppress
from pathlib import Path

from Src.Librarian.passage import IncomingFile
from Src.Shared.disk.files import NotARegularFile
from Src.Shared.disk.filesystem import syncs_by_syncfs
from Src.Shared.disk.syncing import fsync, fsync_path, syncfs
from Src.Shared.disk.top import open_regular_below, parent_below

logger = logging.getLogger(__name__)


def sync_incoming(files: Sequence[IncomingFile], threads: Executor, *, by_syncfs: bool) -> None:
    """Brings incoming files to disk, which whoever put them there may not have done.

    `by_syncfs`: with all that is dirty on their filesystem, where that is enough. A disk that refuses is only warned
    of: it must not keep the photos on it.
    """
    by_device: defaultdict[int, list[IncomingFile]] = defaultdict(list)
    for file in files:
        by_device[file.state.device].append(file)
    for together in by_device.values():
        try:
            if by_syncfs and _syncs_by_syncfs(together[0]):
                _sync_filesystem_of(together)
            else:
                jobs = [threads.submit(_fsync_incoming, file) for file in together]
                jobs += [threads.submit(_fsync_folder_of, file) for file in _one_of_each_folder(together)]
                wait(jobs)
                for job in jobs:
                    job.result()
        except OSError as error:
            logger.warning("%s cannot be synced: %s", os.path.dirname(together[0].path), error.strerror)


def _syncs_by_syncfs(file: IncomingFile) -> bool:
    try:
        with parent_below(file.top, file.path) as (folder, _):
            return syncs_by_syncfs(Path(f"/proc/self/fd/{folder}"))
    except (OSError, NotARegularFile):
        return True  # it has gone; another one leads to its filesystem


def _sync_filesystem_of(files: Sequence[IncomingFile]) -> None:
    """Of the first of them that can be opened."""
    for file in files:
        try:
            fd = open_regular_below(file.top, file.path)
        except (OSError, NotARegularFile):
            continue
        try:
            syncfs(fd)
        finally:
            os.close(fd)
        return


def _fsync_incoming(file: IncomingFile) -> None:
    with suppress(FileNotFoundError, NotARegularFile):
        fd = open_regular_below(file.top, file.path)
        try:
            fsync(fd)
        finally:
            os.close(fd)


def _one_of_each_folder(files: Sequence[IncomingFile]) -> list[IncomingFile]:
    return list({(file.top, os.path.dirname(file.path)): file for file in files}.values())


def _fsync_folder_of(file: IncomingFile) -> None:
    with suppress(FileNotFoundError, NotARegularFile), parent_below(file.top, file.path) as (folder, _):
        fsync_path(".", os.O_DIRECTORY, dir_fd=folder)
