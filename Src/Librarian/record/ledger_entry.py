"""What the ledger shall say of one incoming file: its fate, and the row of its original where there is a new one."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from Src.Librarian.passage import AssetRow, CompanionRow, EventRow, Fate, IncomingFile, Inspected, LedgerEntry
from Src.Library.held_files import path_id
from Src.Library.original_path import checked_hash, checked_path
from Src.Media.companion_names import CompanionKind
from Src.Media.metadata import Metadata
from Src.Shared.ledger_text import from_ledger, int8, plain_text, to_ledger
from Src.Shared.models import new_id

_INSTANTS = ("happened_at", "next_try_at", "ingested_at", "recorded_at")
_INT4 = 2**31 - 1


def event_row(
    file: IncomingFile,
    fate: Fate,
    *,
    sha256: str | None = None,
    final_path: str | None = None,
    message: str | None = None,
    attempts: int | None = None,
    next_try_at: datetime | None = None,
) -> EventRow:
    """The `ingest_events` row of a fate. `final_path` is relative to the storage root, as on disk."""
    return {
        "id": new_id(),
        "happened_at": datetime.now(UTC),
        "fate": fate,
        "source": file.source,
        "original_name": to_ledger(file.name),
        "original_path": to_ledger(file.original_path),
        "file_hash": sha256 or None,
        "file_size": file.state.size,
        "source_mtime_ns": int8(file.state.mtime_ns),
        "final_path": to_ledger(final_path) if final_path is not None else None,
        "message": plain_text(message) if message is not None else None,
        "attempts": attempts,
        "next_try_at": next_try_at,
    }


def asset_row(found: Inspected, final_path: str) -> AssetRow:
    """The `media_assets` row of an original at `final_path` (as on disk)."""
    file, kind, metadata = found.file, found.kind, found.metadata
    return {
        "id": new_id(),
        "file_hash": found.sha256,
        "file_size": file.state.size,
        "original_name": to_ledger(file.name),
        "original_path": to_ledger(file.original_path),
        "final_path": to_ledger(final_path),
        "media_kind": kind.name,
        "mime_type": kind.mime_type,
        "width": _small(metadata.width),
        "height": _small(metadata.height),
        "duration_seconds": metadata.duration_seconds,
        "captured_at": metadata.captured_at,
        "captured_at_offset": metadata.captured_at_offset,
        "date_source": metadata.date_source,
        "date_precision": metadata.date_precision,
        "orientation": metadata.orientation if metadata.orientation in range(1, 9) else None,
        "location": _location(metadata),
        "camera_make": _text(metadata.camera_make),
        "camera_model": _text(metadata.camera_model),
        "rating": metadata.rating if metadata.rating is not None and -1 <= metadata.rating <= 100 else None,
        "ingested_at": datetime.now(UTC),
        "has_errors": metadata.error is not None,
        "error_message": _text(metadata.error),
        "title": _text(metadata.words.title),
        "description": _text(metadata.words.description),
        "content_id": _text(metadata.shot.content_id),
        "burst_id": _text(metadata.shot.burst_id),
        "is_motion_photo": metadata.shot.is_motion_photo,
    }


def companion_row(
    original_hash: str | None,
    kind: CompanionKind,
    original_path: str,
    sha256: str,
    size: int,
    moved_from: str | None = None,
) -> CompanionRow:
    """The `companions` row of a file at `original_path`; `moved_from`: where its photo stood (both as on disk)."""
    return {
        "id": new_id(),
        "original_hash": original_hash,
        "kind": kind,
        "path_id": path_id(original_path),
        "original_path": to_ledger(original_path),
        "companion_hash": sha256,
        "companion_size": size,
        "moved_from": to_ledger(moved_from) if moved_from is not None else None,
        "recorded_at": datetime.now(UTC),
    }


def sidecar_path(file: IncomingFile, name: str) -> str:
    """The original path of the sidecar of that name beside a file."""
    return os.path.join(os.path.dirname(file.original_path), name)


def _sidecar_row(found: Inspected) -> CompanionRow | None:
    used = found.metadata.sidecar
    if used is None:
        return None
    return companion_row(found.sha256, "xmp", sidecar_path(found.file, used.name), used.sha256, used.size)


def ingested(found: Inspected, final_path: str) -> LedgerEntry:
    """A new original at `final_path` (as on disk)."""
    asset = asset_row(found, final_path)
    message = _renamed(asset["original_name"], asset["final_path"])
    event = event_row(found.file, "ingested", sha256=found.sha256, final_path=final_path, message=message)
    return LedgerEntry(event, asset, _sidecar_row(found), tags(found))


def restored(found: Inspected, final_path: str, damaged: str | None = None) -> LedgerEntry:
    """The same content as an original that lives no more, whose place it takes.

    `damaged`: what was wrong with what stood there, and where that is now; None: nothing stood there.
    """
    message = "the original had gone from the vault; this file took its place"
    if damaged is not None:
        message = f"took the place of the original, {damaged}"
    event = event_row(found.file, "restored", sha256=found.sha256, final_path=final_path, message=message)
    return LedgerEntry(event, asset_row(found, final_path))


def duplicate(file: IncomingFile, sha256: str, kept_path: str) -> LedgerEntry:
    """The same content as a living original at `kept_path` (as on disk)."""
    message = f"duplicate of {to_ledger(kept_path)}"
    return LedgerEntry(event_row(file, "duplicate", sha256=sha256, final_path=kept_path, message=message))


def unwanted(file: IncomingFile, sha256: str, why: str) -> LedgerEntry:
    """Content that a person has removed."""
    return LedgerEntry(event_row(file, "unwanted", sha256=sha256, message=why))


def placed_at(entry: LedgerEntry, final_path: str) -> LedgerEntry:
    """The entry with its original at another path (ledger text)."""
    assert entry.asset is not None
    message = entry.event["message"]
    if entry.event["fate"] == "ingested":
        message = _renamed(entry.event["original_name"], final_path)
    return replace(
        entry,
        event={**entry.event, "final_path": final_path, "message": message},
        asset={**entry.asset, "final_path": final_path},
    )


def turned(entry: LedgerEntry, fate: Fate, final_path: str | None, message: str) -> LedgerEntry:
    """The entry with another fate, found out later than it was written."""
    return replace(entry, event={**entry.event, "fate": fate, "final_path": final_path, "message": message})


def with_error(entry: LedgerEntry, message: str) -> LedgerEntry:
    """The entry with a row that says what is wrong with the original."""
    assert entry.asset is not None
    return replace(entry, asset={**entry.asset, "has_errors": True, "error_message": message})


def damaged_words(reason: str, kept_at: str) -> str:
    """What the ledger says of a damaged original that was moved aside."""
    return f"which was damaged: {reason}; what stood there is at {to_ledger(kept_at)}"


def _renamed(original_name: str, final_path: str) -> str | None:
    name = os.path.basename(final_path)
    return None if name == original_name else f"renamed to {name}"


def _location(metadata: Metadata) -> dict[str, float] | None:
    if metadata.latitude is None or metadata.longitude is None:
        return None
    return {"lat": metadata.latitude, "lon": metadata.longitude}


def _text(value: str | None) -> str | None:
    return plain_text(value) if value is not None else None


def tags(found: Inspected) -> tuple[str, ...]:
    """The words of an original, as its file and what it believes say."""
    return tuple(word for tag in found.metadata.words.tags if (word := plain_text(tag)))


def _small(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= _INT4 else None


def to_json(entry: LedgerEntry) -> dict[str, Any]:
    """The entry in plain JSON values, for the journal."""
    asset, companion = entry.asset and _plain(entry.asset), entry.companion and _plain(entry.companion)
    return {"event": _plain(entry.event), "asset": asset, "companion": companion, "tags": entry.tags}


def from_json(value: dict[str, Any]) -> LedgerEntry:
    """The reverse of `to_json`. Raises KeyError, ValueError or TypeError where the value is no entry."""
    event, asset = _rich(value["event"]), _rich(value["asset"]) if value["asset"] else None
    for row in (event, *([asset] if asset is not None else [])):  # what leads to the disk must be what it should
        if row is asset or row["final_path"] is not None:
            checked_path(from_ledger(row["final_path"]))
        if row is asset or row["file_hash"] is not None:
            checked_hash(row["file_hash"])
    companion = _rich(said) if (said := value.get("companion")) else None
    if companion is not None:
        for name in ("original_hash", "companion_hash"):
            checked_hash(companion[name])
    return LedgerEntry(
        cast(EventRow, event),
        cast(AssetRow, asset) if asset is not None else None,
        cast(CompanionRow, companion) if companion is not None else None,
        tuple(str(tag) for tag in value.get("tags", ())),
    )


def _plain(row: EventRow | AssetRow | CompanionRow) -> dict[str, Any]:
    return {
        key: value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, uuid.UUID) else value
        for key, value in row.items()
    }


_LATER_COLUMNS = {
    "date_precision": "second",
    **dict.fromkeys(("orientation", "title", "description", "content_id", "burst_id")),
    "is_motion_photo": False,
}


def _rich(row: dict[str, Any]) -> dict[str, Any]:
    # (journaled by a version that had no such columns)
    rich = {**_LATER_COLUMNS, **row} if "date_source" in row else dict(row)
    for key in ("id", "path_id"):
        if key in row:
            rich[key] = uuid.UUID(row[key])
    for key in (*_INSTANTS, "captured_at"):
        if row.get(key) is not None:
            rich[key] = datetime.fromisoformat(row[key])
    return rich
