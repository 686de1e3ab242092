"""Names in the inbox that are never content: hidden files, half-done transfers, what systems leave lying about."""

from __future__ import annotations

import fnmatch
import re

_IGNORED = (
    ".*",  # hidden; also Syncthing's .syncthing.*.tmp, .stfolder, .stversions, .stignore, and .DS_Store, ._*
    "~syncthing~*.tmp",
    "Thumbs.db",
    "desktop.ini",
    "@eaDir",
    "*.part",
    "*.crdownload",
    "*.tmp",
)
_is_ignored = re.compile("|".join(fnmatch.translate(pattern.lower()) for pattern in _IGNORED)).match


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name is left alone. Conflict copies (`*.sync-conflict-*`) are content."""
    return _is_ignored(name.lower()) is not None


def is_ignored_path(relative: str) -> bool:
    """Whether any part of a path relative to the inbox is ignored."""
    return any(is_ignored(part) for part in relative.split("/"))
