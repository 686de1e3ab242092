"""For tests that write one file thousands of times."""

from __future__ import annotations

from pathlib import Path


def write_anew(path: Path, content: bytes) -> None:
    """Writes a file in place of one that may be there.

    It does not empty that one: ext4 would put the new content on the disk at once, which takes milliseconds.
    """
    path.unlink(missing_ok=True)
    path.write_bytes(content)
