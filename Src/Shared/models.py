"""The ledger's tables. `docs/DATABASE_SCHEMA.md` describes them, and Alembic alone changes them.

Paths and names are ledger text (see `ledger_text.py`): what is not UTF-8 on disk is stored escaped.
"""

from __future__ import annotations

import os
import time
import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    Float,
    Identity,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    false,
    func,
    literal_column,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ASSET_STAGES = ("geocoded", "thumbnailed", "backed_up")
SERVICE_STATUSES = ("OK", "WARNING", "ERROR")
FATES = ("ingested", "duplicate", "restored", "not_media", "failed", "dead_letter")
INBOX_STATES = ("failing", "dead_letter", "not_media")

INSTANT = TIMESTAMP(timezone=True)


def new_id() -> uuid.UUID:
    """A UUID version 7 (RFC 9562, 5.7): ordered by time, so that rows of one batch lie together in the index.

    Made here and not by the database, because a row may have to wait in the journal.
    """
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return uuid.UUID(int=value)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


class Base(DeclarativeBase):
    """Common base of the ledger's tables."""


class MediaAsset(Base):
    """One original in the vault."""

    __tablename__ = "media_assets"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=new_id)
    file_hash: Mapped[str] = mapped_column(String(64))  # SHA-256, lower-case hex
    file_size: Mapped[int] = mapped_column(BigInteger)
    original_name: Mapped[str] = mapped_column(Text)
    original_path: Mapped[str] = mapped_column(Text)  # relative to the inbox; absolute where it was imported
    final_path: Mapped[str] = mapped_column(Text)  # relative to the storage root
    media_kind: Mapped[str] = mapped_column(Text)  # by content: JPEG, HEIC, MP4, ... (ExifTool's FileType)
    mime_type: Mapped[str] = mapped_column(Text)
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    duration_seconds: Mapped[float | None] = mapped_column(Float)
    captured_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=False))  # wall clock where it was taken
    captured_at_offset: Mapped[int | None] = mapped_column(SmallInteger)  # minutes east of UTC
    date_source: Mapped[str] = mapped_column(Text)
    location: Mapped[dict[str, float] | None] = mapped_column(JSONB(none_as_null=True))  # {"lat", "lon"}
    camera_make: Mapped[str | None] = mapped_column(Text)
    camera_model: Mapped[str | None] = mapped_column(Text)
    rating: Mapped[int | None] = mapped_column(SmallInteger)
    is_curated: Mapped[bool] = mapped_column(Boolean, server_default=false())
    is_ingested: Mapped[bool] = mapped_column(Boolean, server_default=true())
    ingested_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    is_geocoded: Mapped[bool] = mapped_column(Boolean, server_default=false())
    geocoded_at: Mapped[datetime | None] = mapped_column(INSTANT)
    is_thumbnailed: Mapped[bool] = mapped_column(Boolean, server_default=false())
    thumbnailed_at: Mapped[datetime | None] = mapped_column(INSTANT)
    is_backed_up: Mapped[bool] = mapped_column(Boolean, server_default=false())
    backed_up_at: Mapped[datetime | None] = mapped_column(INSTANT)
    has_errors: Mapped[bool] = mapped_column(Boolean, server_default=false())
    error_message: Mapped[str | None] = mapped_column(Text)
    verified_at: Mapped[datetime | None] = mapped_column(INSTANT)

    __table_args__ = (
        Index("uq_media_assets_file_hash", "file_hash", unique=True),
        Index("uq_media_assets_final_path", "final_path", unique=True),
        Index("ix_media_assets_captured_at", "captured_at"),
        Index("ix_media_assets_ingested_at", "ingested_at"),
        # A queue costs what is left to do, not what there is.
        *(
            Index(f"ix_media_assets_not_{stage}", "id", postgresql_where=text(f"NOT is_{stage}"))
            for stage in ASSET_STAGES
        ),
        Index("ix_media_assets_errors", "id", postgresql_where=text("has_errors")),
    )


class LibraryDay(Base):
    """Counter: the originals of one day. This and the next three are kept by triggers on `media_assets`."""

    __tablename__ = "library_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)  # of captured_at
    originals: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)


class LibraryFacet(Base):
    """Counter: the originals of one day, kind and camera."""

    __tablename__ = "library_facets"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    media_kind: Mapped[str] = mapped_column(Text, primary_key=True)
    camera: Mapped[str] = mapped_column(Text, primary_key=True)  # the first 100 characters of the model; "": unknown
    originals: Mapped[int] = mapped_column(BigInteger)


class LibraryPlace(Base):
    """Counter: the originals of one day taken within about 100 m."""

    __tablename__ = "library_places"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    lat_millidegrees: Mapped[int] = mapped_column(Integer, primary_key=True)
    lon_millidegrees: Mapped[int] = mapped_column(Integer, primary_key=True)
    originals: Mapped[int] = mapped_column(BigInteger)


class IngestHour(Base):
    """Counter: the originals that came in during one hour, by UTC."""

    __tablename__ = "ingest_hours"

    hour: Mapped[datetime] = mapped_column(INSTANT, primary_key=True)
    originals: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)


class IngestEvent(Base):
    """One fate of one incoming file (promise 5). Rows are only ever added."""

    __tablename__ = "ingest_events"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=new_id)
    happened_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    fate: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)  # inbox or import
    original_name: Mapped[str] = mapped_column(Text)
    original_path: Mapped[str] = mapped_column(Text)
    file_hash: Mapped[str | None] = mapped_column(String(64))
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    source_mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    final_path: Mapped[str | None] = mapped_column(Text)  # where its content is kept now
    message: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int | None] = mapped_column(Integer)
    next_try_at: Mapped[datetime | None] = mapped_column(INSTANT)

    __table_args__ = (
        CheckConstraint(_one_of("fate", FATES), name="ck_ingest_events_fate"),
        CheckConstraint(_one_of("source", ("inbox", "import")), name="ck_ingest_events_source"),
        Index("ix_ingest_events_happened_at", "happened_at"),
        Index("ix_ingest_events_file_hash", "file_hash"),
        # Hash, because a path may be longer than a b-tree entry.
        Index("ix_ingest_events_original_path", "original_path", postgresql_using="hash"),
        Index(
            "ix_ingest_events_name",
            literal_column("lower(original_name)").label("name"),
            postgresql_ops={"name": "text_pattern_ops"},
        ),
    )


class InboxFile(Base):
    """A file that stays in the inbox, and why: it will be tried again, is a dead letter, or is not media."""

    __tablename__ = "inbox_files"

    path_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)  # of original_path
    original_path: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    file_size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    inode: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    last_error: Mapped[str | None] = mapped_column(Text)
    next_try_at: Mapped[datetime | None] = mapped_column(INSTANT)
    first_seen_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())

    __table_args__ = (
        CheckConstraint(_one_of("state", INBOX_STATES), name="ck_inbox_files_state"),
        Index("ix_inbox_files_next_try_at", "next_try_at", postgresql_where=text("state = 'failing'")),
    )


class SystemStatus(Base):
    """The latest heartbeat of each service."""

    __tablename__ = "system_status"

    service_name: Mapped[str] = mapped_column(Text, primary_key=True)
    last_heartbeat: Mapped[datetime] = mapped_column(INSTANT)
    status: Mapped[str] = mapped_column(Text)
    current_task: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)  # the reason of a WARNING or ERROR
    interval_seconds: Mapped[float] = mapped_column(Float)  # three of them without a heartbeat mean silence
    details: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    __table_args__ = (CheckConstraint(_one_of("status", SERVICE_STATUSES), name="ck_system_status_status"),)


class SystemStatusHistory(Base):
    """Every heartbeat, kept for `RETENTION_DAYS`."""

    __tablename__ = "system_status_history"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    service_name: Mapped[str] = mapped_column(Text)
    heartbeat_timestamp: Mapped[datetime] = mapped_column(INSTANT)
    status: Mapped[str] = mapped_column(Text)
    current_task: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_system_status_history_service", "service_name", "heartbeat_timestamp"),
        Index("ix_system_status_history_timestamp", "heartbeat_timestamp"),
    )
