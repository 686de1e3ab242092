"""An original of the vault, as the ledger has it, opened for reading and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from Src.Library.original_path import path_in_row
from Src.Shared.disk.beneath import open_beneath, open_folder, parent_beneath
from Src.Shared.disk.files import OPEN_FLAGS


@dataclass(frozen=True, slots=True)
class Original:
    """Of which original a picture is wanted: as `media_assets` has it."""

    file_hash: str
    final_path: str  # ledger text
    media_kind: str


def open_original(storage: Path, final_path: str) -> int:
    """Opens an original for reading, and only what is inside the vault: no link is followed on the way.

    `final_path` is ledger text. Raises OSError; an ERROR is logged where the path is none of an original.
    """
    path = path_in_row(final_path, f"of {final_path!r}")
    if path is None:
        raise PermissionError(errno.EPERM, "not in the vault", final_path)
    originals = open_folder(storage / "Originals")
    try:
        with parent_beneath(originals, path.partition("/")[2]) as (folder, name):
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise PermissionError(errno.EPERM, "not a regular file", final_path)
            fd = open_beneath(folder, name, OPEN_FLAGS)
    finally:
        os.close(originals)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise PermissionError(errno.EPERM, "not a regular file", final_path)
    return fd
