"""Which ExifTool is here, and whether it may read what strangers made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache

# 12.37 and older ran a command that stood in a file's name (CVE-2022-23935), older ones also what stood in a file.
OLDEST_SAFE = (12, 38)


@dataclass(frozen=True, slots=True)
class ExifToolProgram:
    """The ExifTool of this machine."""

    version: str | None  # None: it is missing, or does not say
    problem: str | None  # why it is not used, or None: what, and what to do
    missing_modules: frozenset[str] = frozenset()  # of Perl, that it would use where they were installed

    @property
    def is_used(self) -> bool:
        return self.problem is None


def exiftool_here(*, trust_any_version: bool) -> ExifToolProgram:
    """Looks for ExifTool; cheap, for it is asked for its version only when the file has changed."""
    path = shutil.which("exiftool")
    if path is None:
        return ExifToolProgram(None, "ExifTool is missing: dates, places and cameras of many kinds cannot be read")
    try:
        status = os.stat(path)
    except OSError:
        return ExifToolProgram(None, "ExifTool is missing: dates, places and cameras of many kinds cannot be read")
    version, missing = _asked(path, status.st_mtime_ns, status.st_ino)
    if trust_any_version or version is None:  # one that does not start now may do so later: the readers will see
        return ExifToolProgram(version, None, missing)
    return ExifToolProgram(version, refusal_of(version), missing)


def refusal_of(version: str) -> str | None:
    """Why an ExifTool of this version is not used; None: it is."""
    parts = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if parts >= OLDEST_SAFE:
        return None
    return (
        f"ExifTool {version} is not used, because a file's name could make it run a command: install "
        f"{OLDEST_SAFE[0]}.{OLDEST_SAFE[1]} or newer, or set EXIFTOOL_UNSAFE=1 where your distribution has fixed it"
    )


@lru_cache(maxsize=4)
def _asked(path: str, _mtime_ns: int, _inode: int) -> tuple[str | None, frozenset[str]]:
    """Its version, and the Perl modules that it misses. It starts once for both: that takes a tenth of a second."""
    try:
        done = subprocess.run(
            [path, "-config", "", "-ver", "-v"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None, frozenset()
    # Old ones answer with the number alone.
    said = re.match(r"\s*(?:ExifTool version )?(\d+\.\d+\S*)\s*(?:\n|$)", done.stdout)
    missing = re.findall(r"^\s+(\S+)\s+\(not installed\)", done.stdout, re.MULTILINE)
    return said and said[1], frozenset(missing)
