"""Does root serve an inbox that others write to?

No file outside is reached through such an inbox, whatever is put into it. But root reads, files and removes there with
all rights, and gets leases on everybody's files; the inbox's own user can do with less.
"""

from __future__ import annotations

import os
import stat
from itertools import islice
from pathlib import Path

EXPOSED = (
    "the Librarian runs as root, and others may write to its inbox: let it run as the user who owns the inbox "
    "(PUID and PGID in .env, or start ./factory as that user)"
)
_MOST = 1000  # folders that are looked at


def root_serves_others(inbox: Path) -> bool:
    """Whether this process is root's, and anybody else may write to the inbox or to a folder right in it."""
    if os.geteuid() != 0:
        return False
    try:
        if _others_write(os.stat(inbox)):
            return True
        with os.scandir(inbox) as entries:
            folders = (entry for entry in entries if entry.is_dir(follow_symlinks=False))
            return any(_others_write(folder.stat(follow_symlinks=False)) for folder in islice(folders, _MOST))
    except OSError:  # whoever needs the inbox says so
        return False


def _others_write(status: os.stat_result) -> bool:
    """(Where a folder has an access list, its mask stands where the group's rights are.)"""
    return status.st_uid != 0 or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
