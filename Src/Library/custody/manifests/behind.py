"""How far the manifests are behind, as the ledger says."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from Src.Shared.ledger_way import Ask
from Src.Shared.words import counted

_WAITING = """
    SELECT count(DISTINCT day), min(marked_at), count(*) FILTER (WHERE marked_at < now() - interval '2 minutes'),
        (SELECT manifest_head FROM vault), EXISTS (SELECT FROM media_assets),
        EXISTS (SELECT FROM system_status WHERE service_name = 'librarian' AND status <> 'ERROR'
            AND last_heartbeat > now() - 3 * interval_seconds * interval '1 second')
    FROM manifest_marks
"""  # a minute, and one in which many days are written


class Behind(NamedTuple):
    days: int  # that are not written yet
    since: datetime | None
    is_late: bool
    head: str | None  # of the chain; None: there is none yet
    are_originals: bool
    is_librarian_up: bool = False

    def as_json(self) -> dict[str, Any]:
        return {"head": self.head, "days_behind": self.days, "behind_since": self.since}

    def words(self) -> str | None:
        """The sentence where they have been behind for a while; None where all is well."""
        if self.is_librarian_up and (self.is_late or (self.head is None and self.are_originals)):
            return (
                f"the signed lists of the photos are being written into Storage/Manifests: those of "
                f"{counted(self.days, 'day')} wait; what keeps the librarian from it, it says here"
            )
        if self.head is None and self.are_originals:
            return "no signed list of the photos was ever written: ./factory up writes them into Storage/Manifests"
        if not self.is_late or self.since is None:
            return None
        return (
            f"the signed lists of {counted(self.days, 'day')} have been out of date since "
            f"{self.since:%Y-%m-%d %H:%M} UTC: ./factory up writes them into Storage/Manifests, if that is writable"
        )


def manifests_behind(ask: Ask) -> Behind:
    [(days, since, late, head, are_originals, is_librarian_up)] = ask(_WAITING, {})
    return Behind(days, since, bool(late), head, are_originals, is_librarian_up)
