"""How many events wait for their seal, as the ledger says."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from Src.Shared.ledger_way import Ask
from Src.Shared.words import counted

_ASKED = """
    SELECT (SELECT count(*) FROM unsealed_events), (SELECT min(written_at) FROM unsealed_events),
        EXISTS (SELECT FROM unsealed_events WHERE written_at < now() - interval '2 minutes'),
        (SELECT max(number) FROM event_seals),
        (SELECT encode(seal, 'hex') FROM event_seals ORDER BY number DESC LIMIT 1),
        (SELECT number FROM seal_heads AS h WHERE is_signed AND EXISTS (
            SELECT FROM event_seals AS s WHERE s.number = h.number AND s.seal = h.seal) ORDER BY number DESC LIMIT 1),
        EXISTS (SELECT FROM system_status WHERE service_name = 'librarian' AND status <> 'ERROR'
            AND last_heartbeat > now() - 3 * interval_seconds * interval '1 second')
"""


class Waiting(NamedTuple):
    events: int
    since: datetime | None  # of those that came since there are seals
    is_late: bool
    sealed: int | None  # None: nothing is sealed yet
    head: str | None  # the last seal
    signed: int | None  # up to which number a signed list has it
    is_librarian_up: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "sealed": self.sealed or 0,
            "head": self.head,
            "signed": self.signed or 0,
            "waiting": self.events,
            "waiting_since": self.since,
        }

    def words(self) -> str | None:
        """The sentence where they have waited for a while; None where all is well."""
        if not self.is_late or self.since is None:
            return None
        what = f"{counted(self.events, 'event')} (what became of a file, or was decided) wait for their seal"
        if self.is_librarian_up:
            return f"{what}; what keeps the librarian from it, it says here"
        return (
            f"{what} since {self.since:%Y-%m-%d %H:%M} UTC: ./factory up seals them, if Storage/Manifests is writable"
        )


def events_waiting(ask: Ask) -> Waiting:
    [row] = ask(_ASKED, {})
    return Waiting(*row)
