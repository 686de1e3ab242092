"""What happens to a file of a vault that should not."""

from __future__ import annotations

import os
from pathlib import Path


def flip_a_bit(path: Path) -> None:
    """As a disk does it: the time stays as it was."""
    status = path.stat()
    path.chmod(0o640)
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    path.chmod(0o440)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def a_link(path: Path) -> None:
    kept = path.parent.parent.parent.parent / "kept"
    path.rename(kept)
    path.symlink_to(kept)
