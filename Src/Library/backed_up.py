"""Which originals are at a copy, by the ledger's rows of copies (`Src/Library/custody/copies`), and their flags."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

# When a row was read back of which nobody knows whether it is still true: of a ledger that came from a backup.
UNKNOWN = "to_timestamp(0)"
_FLAGS = (
    "UPDATE media_assets AS a SET is_backed_up = e.is_there, "
    "backed_up_at = CASE WHEN e.is_there THEN coalesce(a.backed_up_at, now()) END "
    "FROM (SELECT m.id, {is_there} AS is_there FROM media_assets AS m{where}) AS e "
    "WHERE e.id = a.id AND a.is_backed_up <> e.is_there"
)


def at_a_copy(sha256: str) -> str:
    """SQL for whether an original is at any copy; `sha256`: SQL for its hash."""
    return (
        f"EXISTS (SELECT FROM copied_files WHERE copied_files.original_hash = {sha256} "
        f"AND copied_files.file_hash = {sha256} AND copied_files.read_back_at > {UNKNOWN})"
    )


def set_flags(session: Session, hashes: Sequence[str]) -> None:
    """The flags of these originals, as the copies have it."""
    if hashes:
        where = " WHERE m.file_hash = ANY (CAST(:hashes AS text[]))"
        session.execute(text(_FLAGS.format(is_there=at_a_copy("m.file_hash"), where=where)), {"hashes": list(hashes)})


def set_all_flags(session: Session) -> None:
    """The flags of all originals, as the copies have it."""
    session.execute(text(_FLAGS.format(is_there=at_a_copy("m.file_hash"), where="")))
