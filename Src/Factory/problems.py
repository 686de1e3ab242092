"""Problems that a user can do something about, as one line: what, where, what to do."""

from __future__ import annotations


class Problem(Exception):
    """Wrong usage or environment. The message is the line."""


_TOLD_BY_NAME = {
    "SettingsError": "settings",
    "SourceError": "import",
    "VaultTrouble": "vault",
    "InboxTrouble": "inbox",
    "AnotherLibrarian": "inbox",
    "LedgerUnavailable": "ledger",
    "LedgerTooNew": "ledger",
    "EmbeddedPostgresError": "database",
    "SyncthingError": "syncthing",
}


def one_line(error: BaseException) -> str | None:
    """The line for a problem; None where it is none of the user's but a defect of ours."""
    if isinstance(error, Problem):
        return f"factory: {error}"
    # By name: importing them all would make every command wait for SQLAlchemy.
    about = _TOLD_BY_NAME.get(type(error).__name__)
    return f"factory: {about}: {error}" if about is not None else None
