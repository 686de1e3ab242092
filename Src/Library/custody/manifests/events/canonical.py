"""The bytes that are sealed: an event as one line of JSON, and a seal as the hash of one line of text.

docs/CUSTODY.md has both for people who write another checker, and `check_certificate.py` is one. They never change:
what is sealed is checked by them for ever. A column that comes later is none of these events'.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

NOTHING = bytes(32)  # before the first seal; and the hash of an event that was gone before it was sealed

_MOMENT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


def moment(column: str) -> str:
    """SQL: an instant as text, UTC, to the microsecond: another text for each, those that no clock shows too."""
    shown = f"to_char({column} AT TIME ZONE 'UTC', '{_MOMENT}')"
    return (
        f"CASE WHEN NOT isfinite({column}) THEN CAST({column} AS text) "
        f"WHEN extract(year FROM {column} AT TIME ZONE 'UTC') < 1 THEN {shown} || ' BC' ELSE {shown} END"
    )


# By kind: the table, and what of a row is sealed, in that order. (`is_mirrored`, `is_in_xmp` are no part of an event.)
_TABLES = {"fate": "ingest_events", "decision": "overlay_events", "note": "seal_notes"}
_SEALED: dict[str, dict[str, str]] = {
    "fate": {
        "id": "CAST(id AS text)",
        "happened_at": moment("happened_at"),
        **{name: name for name in ("fate", "source", "original_name", "original_path", "file_hash", "file_size")},
        **{name: name for name in ("source_mtime_ns", "final_path", "message", "attempts")},
        "next_try_at": moment("next_try_at"),
    },
    "decision": {
        "seq": "seq",
        "id": "CAST(id AS text)",
        "act_id": "CAST(act_id AS text)",
        "happened_at": moment("happened_at"),
        **{name: name for name in ("who", "file_hash", "field")},
        "before": "CAST(before AS text)",
        "after": "CAST(after AS text)",
        "undoes": "CAST(undoes AS text)",
    },
    "note": {
        "id": "CAST(id AS text)",
        "happened_at": moment("happened_at"),
        **{name: name for name in ("who", "kind", "lost_number", "lost_seal", "message", "signature")},
    },
}
TABLES: Mapping[str, str] = _TABLES
_ASKED = {
    kind: text(
        f"SELECT id AS row_id, {', '.join(f'{sql} AS {name}_' for name, sql in columns.items())} "
        f"FROM {_TABLES[kind]} WHERE id = ANY (:ids)"
    )
    for kind, columns in _SEALED.items()
}


def lines_of(session: Session, events: Sequence[tuple[str, uuid.UUID]]) -> dict[uuid.UUID, str]:
    """By id: the canonical line of each event (its kind and id) that is there."""
    found: dict[uuid.UUID, str] = {}
    for kind, columns in _SEALED.items():
        ids = [event_id for one, event_id in events if one == kind]
        if ids:
            for row_id, *values in session.execute(_ASKED[kind], {"ids": ids}):
                found[row_id] = line(kind, dict(zip(columns, values, strict=True)))
    return found


def line(kind: str, fields: Mapping[str, Any]) -> str:
    """Without its newline."""
    return json.dumps({"event": kind, **fields}, ensure_ascii=True, separators=(",", ":"))


def event_hash(canonical: str | None) -> bytes:
    """`None`: the event is gone."""
    return NOTHING if canonical is None else hashlib.sha256(canonical.encode() + b"\n").digest()


def seal(previous: bytes, number: int, written_at: str | None, hash_of_event: bytes) -> bytes:
    """`written_at`: as `moment` writes it."""
    said = f"{previous.hex()} {number} {written_at or '-'} {hash_of_event.hex()}\n"
    return hashlib.sha256(said.encode()).digest()
