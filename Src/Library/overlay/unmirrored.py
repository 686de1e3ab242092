"""What stands in the ledger only: decisions that should stand beside the vault too."""

from __future__ import annotations

from Src.Shared.ledger_way import Ask
from Src.Shared.words import counted

_WAITING = """
    SELECT count(*), min(happened_at) FROM overlay_events
    WHERE NOT is_mirrored AND happened_at < now() - interval '1 minute'
"""  # a minute in which the Librarian has surely written them


def unmirrored_words(ask: Ask) -> str | None:
    """The sentence where decisions have not stood beside the vault for a while; None where all is well."""
    [(number, first)] = ask(_WAITING, {})
    if not number:
        return None
    return (
        f"{counted(number, 'decision')} of people, the first of {first:%Y-%m-%d %H:%M} UTC, in the database only: "
        "./factory up writes them into Storage/Overlay, if that is writable"
    )
