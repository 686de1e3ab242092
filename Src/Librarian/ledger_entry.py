"""What the ledger shall say of one incoming file: its fate, and the row of its original where there is a new one."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from Src.Librarian.incoming import IncomingFile
from Src.Librarian.media_kind import Kind
from Src.Librarian.metadata_extractor import Metadata
from Src.Shared.ledger_text import plain_text, to_ledger
from Src.Shared.models import new_id

Fate = Literal["ingested", "duplicate", "restored", "not_media", "failed", "dead_letter"]
Row = dict[str, Any]

_INSTANTS = ("happened_at", "next_try_at", "ingested_at")
_INT4 = 2**31 - 1
_INT8 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An `ingest_events` row, and the `media_assets` row that belongs to it.

    For the fate `restored`, `asset` is the row as it should read now; it exists already under the same hash.
    """

    event: Row
    asset: Row | None = None

    def placed_at(self, final_path: str) -> LedgerEntry:
        """The same with the original at another path (ledger text)."""
        assert self.asset is not None
        message = self.event["message"]
        if self.event["fate"] == "ingested":
            message = _renamed(self.event["original_name"], final_path)
        return LedgerEntry(
            {**self.event, "final_path": final_path, "message": message},
            {**self.asset, "final_path": final_path},
        )

    def turned(self, fate: Fate, final_path: str, message: str) -> LedgerEntry:
        """The same event with another fate, settled later than it was written."""
        return replace(self, event={**self.event, "fate": fate, "final_path": final_path, "message": message})

    def to_json(self) -> Row:
        """Plain JSON values, for the journal."""
        return {"event": _plain(self.event), "asset": self.asset and _plain(self.asset)}

    @classmethod
    def from_json(cls, value: Row) -> LedgerEntry:
        """The reverse of `to_json`. Raises KeyError, ValueError or TypeError where it is none."""
        return cls(_rich(value["event"]), _rich(value["asset"]) if value["asset"] else None)


def event_row(
    file: IncomingFile,
    fate: Fate,
    *,
    sha256: str | None = None,
    final_path: str | None = None,
    message: str | None = None,
    attempts: int | None = None,
    next_try_at: datetime | None = None,
) -> Row:
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


def asset_row(file: IncomingFile, sha256: str, kind: Kind, metadata: Metadata, final_path: str) -> Row:
    """The `media_assets` row of an original at `final_path` (as on disk)."""
    located = metadata.latitude is not None and metadata.longitude is not None
    return {
        "id": new_id(),
        "file_hash": sha256,
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
        "location": {"lat": metadata.latitude, "lon": metadata.longitude} if located else None,
        "camera_make": _text(metadata.camera_make),
        "camera_model": _text(metadata.camera_model),
        "rating": metadata.rating if metadata.rating is not None and -1 <= metadata.rating <= 100 else None,
        "ingested_at": datetime.now(UTC),
        "has_errors": metadata.error is not None,
        "error_message": _text(metadata.error),
    }


def ingested(file: IncomingFile, sha256: str, kind: Kind, metadata: Metadata, final_path: str) -> LedgerEntry:
    """A new original."""
    asset = asset_row(file, sha256, kind, metadata, final_path)
    message = _renamed(to_ledger(file.name), asset["final_path"])
    return LedgerEntry(event_row(file, "ingested", sha256=sha256, final_path=final_path, message=message), asset)


def restored(file: IncomingFile, sha256: str, kind: Kind, metadata: Metadata, final_path: str) -> LedgerEntry:
    """The same content as an original that has gone from the vault, whose place it takes."""
    message = "the original had gone from the vault; this file took its place"
    event = event_row(file, "restored", sha256=sha256, final_path=final_path, message=message)
    return LedgerEntry(event, asset_row(file, sha256, kind, metadata, final_path))


def duplicate(file: IncomingFile, sha256: str, kept_path: str) -> LedgerEntry:
    """The same content as a living original at `kept_path` (as on disk)."""
    message = f"duplicate of {to_ledger(kept_path)}"
    return LedgerEntry(event_row(file, "duplicate", sha256=sha256, final_path=kept_path, message=message))


def int8(value: int) -> int:
    """The nearest number that the ledger can hold: a file's time in nanoseconds may be beyond it."""
    return max(-_INT8, min(value, _INT8))


def _renamed(original_name: str, final_path: str) -> str | None:
    name = os.path.basename(final_path)
    return None if name == original_name else f"renamed to {name}"


def _text(value: str | None) -> str | None:
    return plain_text(value) if value is not None else None


def _small(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= _INT4 else None


def _plain(row: Row) -> Row:
    return {
        key: value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, uuid.UUID) else value
        for key, value in row.items()
    }


def _rich(row: Row) -> Row:
    rich = dict(row)
    rich["id"] = uuid.UUID(row["id"])
    for key in (*_INSTANTS, "captured_at"):
        if row.get(key) is not None:
            rich[key] = datetime.fromisoformat(row[key])
    return rich
