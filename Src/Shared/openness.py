"""What others on this machine may do and probably should not: said, and never changed, as it is a person's choice."""

from __future__ import annotations

import os
import stat


def open_inbox(inbox: str | os.PathLike[str]) -> str | None:
    """A sentence, where everybody may put photos into the inbox."""
    if not _mode(inbox) & stat.S_IWOTH:
        return None
    return (
        f"everybody on this machine may write into the inbox {os.fspath(inbox)}: chmod o-w, or give it to a group "
        "(FACTORY_GROUP)"
    )


def readable_settings(env_file: str | os.PathLike[str]) -> str | None:
    """A sentence, where others may read `.env`, which may hold passwords."""
    if not _mode(env_file) & stat.S_IROTH:
        return None
    return f"everybody on this machine may read {os.fspath(env_file)}, where passwords may be: chmod o-r it"


def _mode(path: str | os.PathLike[str]) -> int:
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0
