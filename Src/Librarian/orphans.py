"""Orphans: files whose name was removed in the very moment in which a program opened them to write.

Between the last look at a duplicate and its removal there are two system calls. Who opens the file just there holds a
file without a name, and no system call gives it one again: what it leaves behind is copied back to where the file was.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from Src.Librarian.fingerprint import open_for_writing_elsewhere
from Src.Librarian.vault import name_in_one_step
from Src.Librarian.vault_folder import numbered_names

logger = logging.getLogger(__name__)

LONGEST = 8.0  # seconds that a writer is waited for; the end of the service waits for it too
_STEP = 0.02


def bring_back(fd: int, path: str) -> threading.Thread:
    """Waits, in a thread of its own, until nobody writes to the open orphan `fd`, and puts its content at `path`.

    Its descriptor is the thread's from here on. The lease on it is to be given back by who holds it: then the writer
    goes on.
    """
    thread = threading.Thread(target=_bring_back, args=(fd, path), name="orphan")
    thread.start()
    return thread


def _bring_back(fd: int, path: str) -> None:
    logger.info("%s: a program opened it while it was removed; what it writes is kept", path)
    try:
        end = time.monotonic() + LONGEST
        while open_for_writing_elsewhere(fd):
            if time.monotonic() > end:
                logger.warning("%s is still written to; what comes after this is not kept", path)
                break
            time.sleep(_STEP)
        _copy_back(fd, path)
    except OSError as error:
        logger.error("%s: what a program wrote while it was removed is lost: %s", path, error.strerror)
    finally:
        os.close(fd)


def _copy_back(fd: int, path: str) -> None:
    folder, name = os.path.split(path)
    status = os.fstat(fd)
    os.lseek(fd, 0, os.SEEK_SET)
    made, temporary = tempfile.mkstemp(prefix=".orphan-", dir=folder)  # hidden: nobody files it
    try:
        with open(fd, "rb", closefd=False) as orphan, open(made, "wb") as file:
            shutil.copyfileobj(orphan, file, 1 << 20)
            file.flush()
            os.fchmod(made, status.st_mode & 0o7777)
            with contextlib.suppress(PermissionError):
                os.fchown(made, status.st_uid, status.st_gid)
            os.utime(made, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(made)
        for candidate in numbered_names(name):
            with contextlib.suppress(FileExistsError):
                name_in_one_step(Path(temporary), os.path.join(folder, candidate))
                break
    finally:
        with contextlib.suppress(FileNotFoundError):  # it may have been renamed
            os.unlink(temporary)
