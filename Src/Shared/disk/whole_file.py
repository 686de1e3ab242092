"""A file that is there whole or not at all, whatever happens while it is written.

Two write in an open folder, since another may change the path to it: the vault's marker and the plates of the stack.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from Src.Shared.disk.syncing import fsync_folder


def write_whole(
    path: Path, content: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None, durable: bool = True
) -> None:
    """Writes a file durably and gives it its name in one step, in place of one that has the name.

    A reader sees the old content or the new one, never a part; nobody else may read it before it has its mode. `owner`:
    user and group. Not `durable`: after a crash of the machine it may be empty, as what can be made again may be.
    Raises OSError; where it does so before the name is given, the old file is as it was.
    """
    fd, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}-", dir=path.parent)
    try:
        with open(fd, "wb") as file:
            if owner is not None:
                os.fchown(fd, *owner)
            with contextlib.suppress(
                PermissionError
            ):  # where the mount decides; as it was made, it is its owner's only
                os.fchmod(fd, mode)
            file.write(content)
            file.flush()
            if durable:
                os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if durable:
        fsync_folder(path.parent)
