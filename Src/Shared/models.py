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
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
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
FATES = ("ingested", "duplicate", "restored", "rebuilt", "unwanted", "companion", "not_media", "failed", "dead_letter")
SOURCES = ("inbox", "import", "vault")
FINDINGS = ("gone", "not_a_file", "size", "content", "unreadable", "writable")
INBOX_STATES = ("failing", "dead_letter", "not_media", "companion", "sidecar", "unreadable", "link", "special")
COMPANION_KINDS = ("xmp", "aae", "thm", "audio", "srt", "lrv", "takeout")
RELATIONS = ("live_photo", "raw_jpeg", "edited")
SEALED = ("fate", "decision", "note")

ACT_STATUSES = ("pending", "running", "done", "failed", "undone")
OVERLAY_FIELDS = (
    *("rating", "captured_at", "location", "title", "description", "hidden", "rotation"),
    *("tag", "album", "person", "removed"),
)
XMP_FIELDS = ("rating", "captured_at", "location", "title", "description", "tag")  # that XMP files say
ROTATIONS = (0, 90, 180, 270)
COPY_KINDS = ("folder", "sftp", "s3")
OPERATION_STATUSES = ("pending", "running", "paused", "completed", "failed", "cancelled")

INSTANT = TIMESTAMP(timezone=True)


def new_id() -> uuid.UUID:
    """A UUID version 7 (RFC 9562, 5.7): ordered by time, so that rows of one batch lie together in the index.

    Made here and not by the database, because a row may have to wait in the journal.
    """
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return uuid.UUID(int=value)


# What leads to the disk has the shape that it must have. In PostgreSQL's expressions `$` is the very end of a text.
_SHA256 = "file_hash ~ '^[0-9a-f]{64}$'"
_ORIGINAL = (
    "final_path ~ '^Originals/[0-9]{4}/[0-9]{4}-[0-9]{2}-[0-9]{2}/[^/]+$' "
    "AND substr(final_path, 11, 4) = substr(final_path, 16, 4) AND final_path !~ '/[.]{1,2}$'"
)

# An original's, or one in the trash.
_PLACE = (
    f"({_ORIGINAL}) OR ({_ORIGINAL.replace('Originals', 'Trash').replace('11, 4', '7, 4').replace('16, 4', '12, 4')})"
)
_TRASHED = _PLACE.partition(" OR ")[2]


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


# Decisions that the XMP files beside originals do not say yet.
NOT_IN_XMP = f"NOT is_in_xmp AND file_hash IS NOT NULL AND {_one_of('field', XMP_FIELDS)}"

# Whose date is a guess: nothing in the file says it, or not exactly.
GUESSED_DATE = "date_source IN ('filename', 'mtime', 'arrival') OR date_precision IN ('month', 'year')"

# A file may say that its camera has a name without end, and an index entry has a limit. These are few, if any.
LONG_CAMERA = "length(camera_model) > 100 OR length(camera_make) > 100"


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
    date_precision: Mapped[str] = mapped_column(Text, server_default=text("'second'"))
    orientation: Mapped[int | None] = mapped_column(SmallInteger)  # how a viewer must turn it, as EXIF numbers it
    title: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    is_hidden: Mapped[bool] = mapped_column(Boolean, server_default=false())
    rotation: Mapped[int] = mapped_column(SmallInteger, server_default="0")  # degrees clockwise, after `orientation`
    content_id: Mapped[str | None] = mapped_column(Text)  # Apple's: a Live Photo and its film have the same
    burst_id: Mapped[str | None] = mapped_column(Text)  # the same for all photos of one burst
    is_motion_photo: Mapped[bool] = mapped_column(Boolean, server_default=false())  # a film is in the same file

    __table_args__ = (
        CheckConstraint(_SHA256, name="ck_media_assets_file_hash"),
        CheckConstraint(_ORIGINAL, name="ck_media_assets_final_path"),
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
        Index("ix_media_assets_guessed", "captured_at", "id", postgresql_where=text(GUESSED_DATE)),
        CheckConstraint("date_precision IN ('second', 'day', 'month', 'year')", name="ck_media_assets_date_precision"),
        Index("ix_media_assets_folder", literal_column("substr(final_path, 16, 10)").label("day")),
        Index("ix_media_assets_hidden", "captured_at", "id", postgresql_where=text("is_hidden")),
        CheckConstraint(f"rotation IN {ROTATIONS}", name="ck_media_assets_rotation"),
        Index("ix_media_assets_favourites", "captured_at", "id", postgresql_where=text("rating = 5")),
        *(
            Index(f"ix_media_assets_{column}", column, postgresql_where=text(f"{column} IS NOT NULL"))
            for column in ("content_id", "burst_id")
        ),
        # What people look for. To count by days, nothing but these two is read.
        Index(
            "ix_media_assets_model",
            "camera_model",
            "captured_at",
            postgresql_include=["is_hidden"],
            postgresql_where=text("length(camera_model) <= 100"),
        ),
        Index("ix_media_assets_kind", "media_kind", "captured_at", postgresql_include=["is_hidden"]),
        Index("ix_media_assets_make", "camera_make", postgresql_where=text("length(camera_make) <= 100")),
        Index("ix_media_assets_long_camera", "id", postgresql_where=text(LONG_CAMERA)),
        Index("ix_media_assets_rated", "captured_at", "id", postgresql_where=text("rating > 0")),
        Index(
            "ix_media_assets_described",
            "captured_at",
            "id",
            postgresql_where=text("title IS NOT NULL OR description IS NOT NULL"),
        ),
        *(
            Index(
                f"ix_media_assets_{name}",
                literal_column(f"lower({of})").label("name"),
                postgresql_ops={"name": "text_pattern_ops"},
            )
            for name, of in (("name", "original_name"), ("vault_name", "substr(final_path, 27)"))
        ),
    )


class AssetTag(Base):
    """A word for an original: what its file says, and what people add."""

    __tablename__ = "asset_tags"

    asset_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)  # of media_assets
    tag: Mapped[str] = mapped_column(Text, primary_key=True)

    __table_args__ = (Index("ix_asset_tags_tag", literal_column("lower(tag)").label("tag")),)


class Album(Base):
    """A collection that a person has made."""

    __tablename__ = "albums"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(Text)
    cover_hash: Mapped[str | None] = mapped_column(String(64))  # file_hash of media_assets; None: its first original
    made_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())

    __table_args__ = (
        CheckConstraint(_SHA256.replace("file_hash", "cover_hash"), name="ck_albums_cover_hash"),
        Index("uq_albums_name", literal_column("lower(name)").label("name"), unique=True),
    )


class AlbumItem(Base):
    """An original in an album, and where in it."""

    __tablename__ = "album_items"

    album_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)  # of albums
    asset_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)  # of media_assets
    position: Mapped[int] = mapped_column(BigInteger)  # ascending, with gaps

    __table_args__ = (
        Index("ix_album_items_asset_id", "asset_id"),
        Index("ix_album_items_position", "album_id", "position"),
    )


class Act(Base):
    """What a person has done to originals, or wants to be done: who, what, and with which words."""

    __tablename__ = "acts"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=new_id)
    happened_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    who: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)  # the command's name: rate, tag, redate, undo, ...
    selection: Mapped[str | None] = mapped_column(Text)  # as it was written; what it meant is in the events
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    status: Mapped[str] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    undoes: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))  # the act that this one took back

    __table_args__ = (
        CheckConstraint(_one_of("status", ACT_STATUSES), name="ck_acts_status"),
        Index("ix_acts_happened_at", "happened_at", "id"),
        Index("ix_acts_open", "id", postgresql_where=text("status IN ('pending', 'running')")),
    )


class OverlayEvent(Base):
    """One decision about one original: what was, and what is from then on. Rows are only ever added.

    Identity is the content's hash: a ledger that is made anew gives originals other ids.
    """

    __tablename__ = "overlay_events"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)  # the order of decisions
    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), default=new_id)
    act_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))  # of acts
    happened_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    who: Mapped[str] = mapped_column(Text)
    file_hash: Mapped[str | None] = mapped_column(String(64))  # None: about an album itself
    field: Mapped[str] = mapped_column(Text)
    before: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    undoes: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))  # the event that this one took back
    is_mirrored: Mapped[bool] = mapped_column(Boolean, server_default=false())  # it stands beside the vault too
    is_in_xmp: Mapped[bool] = mapped_column(Boolean, server_default=false())  # the original's XMP files say it

    __table_args__ = (
        CheckConstraint(_SHA256, name="ck_overlay_events_file_hash"),
        CheckConstraint(_one_of("field", OVERLAY_FIELDS), name="ck_overlay_events_field"),
        Index("uq_overlay_events_id", "id", unique=True),
        Index("ix_overlay_events_file_hash", "file_hash", "seq"),
        Index("ix_overlay_events_act_id", "act_id"),
        Index("ix_overlay_events_not_mirrored", "seq", postgresql_where=text("NOT is_mirrored")),
        Index("ix_overlay_events_not_in_xmp", "seq", postgresql_where=text(NOT_IN_XMP)),
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
    source: Mapped[str] = mapped_column(Text)  # inbox or import; vault: it stood there without a row
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
        CheckConstraint(_SHA256, name="ck_ingest_events_file_hash"),
        CheckConstraint(_ORIGINAL, name="ck_ingest_events_final_path"),
        CheckConstraint(_one_of("fate", FATES), name="ck_ingest_events_fate"),
        CheckConstraint(_one_of("source", SOURCES), name="ck_ingest_events_source"),
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


class Companion(Base):
    """A file that belongs to one original, and stands beside it: no other original takes anything from it."""

    __tablename__ = "companions"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=new_id)
    original_hash: Mapped[str | None] = mapped_column(String(64))  # file_hash of media_assets; None: filed without one
    kind: Mapped[str] = mapped_column(Text)
    path_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))  # of original_path
    original_path: Mapped[str] = mapped_column(Text)  # relative to the inbox; absolute where it was imported
    companion_hash: Mapped[str] = mapped_column(String(64))  # SHA-256 of what came in, lower-case hex
    companion_size: Mapped[int] = mapped_column(BigInteger)
    moved_from: Mapped[str | None] = mapped_column(Text)  # where its photo stood, until nothing stands there any more
    recorded_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    final_path: Mapped[str | None] = mapped_column(Text)  # where it stands, or, without filed_at, is about to
    filed_at: Mapped[datetime | None] = mapped_column(INSTANT)
    left_path: Mapped[str | None] = mapped_column(Text)  # where it stood, until nothing of it stands there any more
    standing_hash: Mapped[str | None] = mapped_column(String(64))  # of an XMP file, as it was last seen; None: never
    standing_size: Mapped[int | None] = mapped_column(BigInteger)
    standing_mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    coming_hash: Mapped[str | None] = mapped_column(String(64))  # of what we are about to write there
    is_ours: Mapped[bool] = mapped_column(Boolean, server_default=false())  # what stands there, we wrote
    made_here: Mapped[bool] = mapped_column(Boolean, server_default=false())  # it never came in: it was written here
    says: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # what it said when last seen

    __table_args__ = (
        CheckConstraint(_one_of("kind", COMPANION_KINDS), name="ck_companions_kind"),
        CheckConstraint(_SHA256.replace("file_hash", "original_hash"), name="ck_companions_original_hash"),
        CheckConstraint(_SHA256.replace("file_hash", "companion_hash"), name="ck_companions_companion_hash"),
        CheckConstraint(_ORIGINAL, name="ck_companions_final_path"),
        CheckConstraint(_ORIGINAL.replace("final_path", "left_path"), name="ck_companions_left_path"),
        *(
            CheckConstraint(_SHA256.replace("file_hash", name), name=f"ck_companions_{name}")
            for name in ("standing_hash", "coming_hash")
        ),
        Index("ix_companions_coming", "id", postgresql_where=text("coming_hash IS NOT NULL")),
        CheckConstraint(_ORIGINAL.replace("final_path", "moved_from"), name="ck_companions_moved_from"),
        Index("uq_companions_path_id_companion_hash", "path_id", "companion_hash", unique=True),
        Index("uq_companions_final_path", "final_path", unique=True, postgresql_where=text("final_path IS NOT NULL")),
        Index(
            "ix_companions_folder",
            literal_column("substr(final_path, 16, 10)").label("day"),
            postgresql_where=text("final_path IS NOT NULL"),
        ),
        Index("ix_companions_original_hash", "original_hash"),
        Index("ix_companions_moved_from", "id", postgresql_where=text("moved_from IS NOT NULL")),
        Index(
            "ix_companions_unfinished",
            "id",
            postgresql_where=text("(final_path IS NOT NULL AND filed_at IS NULL) OR left_path IS NOT NULL"),
        ),
    )


class AssetRelation(Base):
    """What two originals have to do with each other. An edited copy, a film of a Live Photo, … points to the other."""

    __tablename__ = "asset_relations"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    from_hash: Mapped[str] = mapped_column(String(64), primary_key=True)  # file_hash of media_assets
    to_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())

    __table_args__ = (
        CheckConstraint(_one_of("kind", RELATIONS), name="ck_asset_relations_kind"),
        CheckConstraint(_SHA256.replace("file_hash", "from_hash"), name="ck_asset_relations_from_hash"),
        CheckConstraint(_SHA256.replace("file_hash", "to_hash"), name="ck_asset_relations_to_hash"),
        Index("ix_asset_relations_to_hash", "to_hash"),
    )


class VaultRow(Base):
    """The one vault that this ledger belongs to; at most one row. None: the ledger was never used with a vault."""

    __tablename__ = "vault"

    is_only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=true())
    vault_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))  # the same is in the vault's marker
    ledger_kind: Mapped[str] = mapped_column(Text)  # embedded, stack, external HOST:PORT/NAME
    bound_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    rebuilding_since: Mapped[datetime | None] = mapped_column(INSTANT)  # until then nothing is filed
    looked_at: Mapped[datetime | None] = mapped_column(INSTANT)  # when the last look at all originals ended
    looked_originals: Mapped[int | None] = mapped_column(BigInteger)
    manifest_head: Mapped[str | None] = mapped_column(String(64))  # of the chain; None: no manifest was ever written

    __table_args__ = (
        CheckConstraint("is_only_row", name="ck_vault_only_row"),
        CheckConstraint(_SHA256.replace("file_hash", "manifest_head"), name="ck_vault_manifest_head"),
    )


class ManifestMark(Base):
    """A day whose manifests are out of date. Written by triggers on `media_assets` and `companions`."""

    __tablename__ = "manifest_marks"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    day: Mapped[str] = mapped_column(Text)  # the name of its folder
    marked_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())


class EventSeal(Base):
    """The seal of one event: a hash of it and of the seal before. Rows are only ever added."""

    __tablename__ = "event_seals"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)  # 1, 2, 3, ...
    event: Mapped[str] = mapped_column(Text)  # fate: of ingest_events; decision: of overlay_events; note: of seal_notes
    event_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    written_at: Mapped[datetime | None] = mapped_column(INSTANT)  # None: before there were seals
    event_hash: Mapped[bytes] = mapped_column(LargeBinary)  # SHA-256 of its canonical line; zeros: it was gone by then
    seal: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        CheckConstraint("number > 0", name="ck_event_seals_number"),
        CheckConstraint(_one_of("event", SEALED), name="ck_event_seals_event"),
        CheckConstraint("length(event_hash) = 32 AND length(seal) = 32", name="ck_event_seals_hashes"),
        Index("uq_event_seals_event_id", "event_id", unique=True),
    )


class SealHead(Base):
    """Up to which number was sealed at once; that seal stands in the signed list of its day."""

    __tablename__ = "seal_heads"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)  # in event_seals
    seal: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_at: Mapped[datetime] = mapped_column(INSTANT)
    is_signed: Mapped[bool] = mapped_column(Boolean, server_default=false())  # the list says it

    __table_args__ = (
        CheckConstraint("length(seal) = 32", name="ck_seal_heads_seal"),
        Index("ix_seal_heads_not_signed", "number", postgresql_where=text("NOT is_signed")),
    )


class SealNote(Base):
    """What the sealer, or a person, says about the seals themselves; sealed too. Rows are only ever added."""

    __tablename__ = "seal_notes"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=new_id)
    happened_at: Mapped[datetime] = mapped_column(INSTANT)
    who: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)  # began, accepted
    lost_number: Mapped[int | None] = mapped_column(BigInteger)  # the last signed one that this ledger does not have
    lost_seal: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str] = mapped_column(Text)
    signature: Mapped[str | None] = mapped_column(Text)  # accepted: by the key of the signed lists

    __table_args__ = (
        CheckConstraint(_one_of("kind", ("began", "accepted")), name="ck_seal_notes_kind"),
        CheckConstraint(_SHA256.replace("file_hash", "lost_seal"), name="ck_seal_notes_lost_seal"),
    )


class UnsealedEvent(Base):
    """An event that waits for its seal. Written by triggers on `ingest_events` and `overlay_events`."""

    __tablename__ = "unsealed_events"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event: Mapped[str] = mapped_column(Text)
    event_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    written_at: Mapped[datetime | None] = mapped_column(INSTANT)

    __table_args__ = (CheckConstraint(_one_of("event", SEALED[:2]), name="ck_unsealed_events_event"),)


class Copy(Base):
    """A copy of the vault elsewhere. `Src/Library/custody/copies/` alone reads and writes it."""

    __tablename__ = "copies"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=new_id)  # also in its marker
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)  # where it was last; nothing secret
    is_encrypted: Mapped[bool] = mapped_column(Boolean, server_default=false())
    has_own_disk: Mapped[bool] = mapped_column(Boolean, server_default=false())  # none of the vault's, as it was known
    made_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    ran_at: Mapped[datetime | None] = mapped_column(INSTANT)
    run_result: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    dump_path: Mapped[str | None] = mapped_column(Text)  # of the newest dump there that was read back
    dump_hash: Mapped[str | None] = mapped_column(String(64))
    dumped_at: Mapped[datetime | None] = mapped_column(INSTANT)
    dump_rows: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # by table
    drilled_at: Mapped[datetime | None] = mapped_column(INSTANT)
    drill_result: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    __table_args__ = (
        CheckConstraint(_one_of("kind", COPY_KINDS), name="ck_copies_kind"),
        CheckConstraint(_SHA256.replace("file_hash", "dump_hash"), name="ck_copies_dump_hash"),
        Index("uq_copies_name", literal_column("lower(name)").label("name"), unique=True),
    )


class CopiedFile(Base):
    """A file at a copy: all of its bytes were read back from there, and were right."""

    __tablename__ = "copied_files"

    copy_id: Mapped[uuid.UUID] = mapped_column(
        UUID(as_uuid=True), ForeignKey("copies.id", ondelete="CASCADE"), primary_key=True
    )
    path: Mapped[str] = mapped_column(Text, primary_key=True)  # relative to the copy
    file_hash: Mapped[str] = mapped_column(String(64))  # of its content, before it was encrypted
    file_size: Mapped[int] = mapped_column(BigInteger)
    original_hash: Mapped[str | None] = mapped_column(String(64))  # its own: an original; another: it belongs to that
    stamp: Mapped[str] = mapped_column(Text)  # of the file there: another one, and it is read anew
    there_since: Mapped[datetime] = mapped_column(INSTANT)
    read_back_at: Mapped[datetime] = mapped_column(INSTANT)

    __table_args__ = (
        CheckConstraint(_SHA256, name="ck_copied_files_file_hash"),
        CheckConstraint(_SHA256.replace("file_hash", "original_hash"), name="ck_copied_files_original_hash"),
        Index("ix_copied_files_file_hash", "file_hash"),
        Index("ix_copied_files_original_hash", "original_hash", "copy_id"),
    )


class OriginalFinding(Base):
    """What is wrong with the file of an original, as it was last looked at."""

    __tablename__ = "original_findings"

    asset_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)  # of media_assets
    finding: Mapped[str] = mapped_column(Text)
    final_path: Mapped[str] = mapped_column(Text)
    message: Mapped[str] = mapped_column(Text)
    first_seen_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    last_seen_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())

    __table_args__ = (CheckConstraint(_one_of("finding", FINDINGS), name="ck_original_findings_finding"),)


class OriginalLook(Base):
    """The time of an original's file when its bytes were last known to be right: a change shows that somebody wrote."""

    __tablename__ = "original_looks"

    asset_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)  # of media_assets
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    ingested_at: Mapped[datetime] = mapped_column(INSTANT)  # of media_assets: another file may take the place


class FileMove(Base):
    """A file of the vault or the trash that is about to go elsewhere. The row is there before the file moves.

    It goes in the transaction that changes the rows of what was moved: what is left here, a killed run has begun.
    """

    __tablename__ = "file_moves"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=new_id)
    act_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))  # of acts
    file_hash: Mapped[str] = mapped_column(String(64))  # of the original
    file_size: Mapped[int] = mapped_column(BigInteger)  # of the file that moves
    companion_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))  # it stands beside the original
    from_path: Mapped[str] = mapped_column(Text)
    to_path: Mapped[str | None] = mapped_column(Text)  # None: from the trash for good

    __table_args__ = (
        CheckConstraint(_SHA256, name="ck_file_moves_file_hash"),
        CheckConstraint(_PLACE.replace("final_path", "from_path"), name="ck_file_moves_from_path"),
        CheckConstraint(_PLACE.replace("final_path", "to_path"), name="ck_file_moves_to_path"),
        CheckConstraint("to_path IS NOT NULL OR starts_with(from_path, 'Trash/')", name="ck_file_moves_for_good"),
    )


class LeftPath(Base):
    """A path of the vault at which an original stood. Nothing else ever gets it (promise 1)."""

    __tablename__ = "left_paths"

    final_path: Mapped[str] = mapped_column(Text, primary_key=True)
    file_hash: Mapped[str] = mapped_column(String(64))  # of what stood there; it may come back
    act_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))  # the last that moved it from there

    __table_args__ = (
        CheckConstraint(_SHA256, name="ck_left_paths_file_hash"),
        CheckConstraint(_ORIGINAL, name="ck_left_paths_final_path"),
        Index("ix_left_paths_act_id", "act_id"),
    )


class TrashItem(Base):
    """An original that a person has removed, and that can come back as it was."""

    __tablename__ = "trash"

    file_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    file_size: Mapped[int] = mapped_column(BigInteger)
    original_name: Mapped[str] = mapped_column(Text)
    trash_path: Mapped[str] = mapped_column(Text)  # relative to the storage root
    removed_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    removed_by: Mapped[str] = mapped_column(Text)
    act_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))  # of acts
    asset: Mapped[dict[str, Any]] = mapped_column(JSONB)  # the whole row of media_assets
    belongings: Mapped[dict[str, Any]] = mapped_column(JSONB)  # by table: the rows that had its id
    companions: Mapped[dict[str, Any]] = mapped_column(JSONB)  # by id: where in the trash each stands

    __table_args__ = (
        CheckConstraint(_SHA256, name="ck_trash_file_hash"),
        CheckConstraint(_TRASHED.replace("final_path", "trash_path"), name="ck_trash_trash_path"),
        Index("uq_trash_trash_path", "trash_path", unique=True),
        Index("ix_trash_removed_at", "removed_at"),
    )


class Tombstone(Base):
    """What a person has removed for good: no bytes of it are left here, and it does not come back by itself."""

    __tablename__ = "tombstones"

    file_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    file_size: Mapped[int] = mapped_column(BigInteger)
    original_name: Mapped[str] = mapped_column(Text)
    final_path: Mapped[str] = mapped_column(Text)  # where it stood in the vault
    removed_at: Mapped[datetime] = mapped_column(INSTANT)
    removed_by: Mapped[str] = mapped_column(Text)
    emptied_at: Mapped[datetime] = mapped_column(INSTANT, server_default=func.now())
    emptied_by: Mapped[str] = mapped_column(Text)
    act_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))  # the one that emptied the trash

    __table_args__ = (
        CheckConstraint(_SHA256, name="ck_tombstones_file_hash"),
        CheckConstraint(_ORIGINAL, name="ck_tombstones_final_path"),
    )


class InboxFile(Base):
    """What stays in the inbox, or in an imported folder, and why.

    A file that will be tried again, is a dead letter, or is not media; and what nobody can file as it is.
    """

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
    file_anyway: Mapped[bool] = mapped_column(Boolean, server_default=false())  # a sidecar: a person said so

    __table_args__ = (
        CheckConstraint(_one_of("state", INBOX_STATES), name="ck_inbox_files_state"),
        Index("ix_inbox_files_next_try_at", "next_try_at", postgresql_where=text("state = 'failing'")),
    )


class SystemStatus(Base):
    """The latest heartbeat of each instance of a service."""

    __tablename__ = "system_status"

    service_name: Mapped[str] = mapped_column(Text, primary_key=True)
    last_heartbeat: Mapped[datetime] = mapped_column(INSTANT)
    status: Mapped[str] = mapped_column(Text)
    current_task: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)  # the reason of a WARNING or ERROR
    interval_seconds: Mapped[float] = mapped_column(Float)  # three of them without a heartbeat mean silence
    details: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    instance: Mapped[str] = mapped_column(Text, primary_key=True, server_default=text("'1'"))  # see instance.py
    host: Mapped[str | None] = mapped_column(Text)  # the machine that it runs on

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
    instance: Mapped[str] = mapped_column(Text, server_default=text("'1'"))
    host: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_system_status_history_service", "service_name", "heartbeat_timestamp"),
        Index("ix_system_status_history_timestamp", "heartbeat_timestamp"),
    )


class Account(Base):
    """Somebody who may log in. Today there is one, the owner."""

    __tablename__ = "accounts"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    password_hash: Mapped[str] = mapped_column(Text)  # argon2id, PHC string format
    changed_at: Mapped[datetime] = mapped_column(INSTANT)  # of the password


class AccountSession(Base):
    """One device on which somebody is logged in."""

    __tablename__ = "account_sessions"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(String(64))  # SHA-256 of the token that only the browser has
    account: Mapped[str] = mapped_column(Text, ForeignKey("accounts.name", ondelete="CASCADE"))
    device: Mapped[str] = mapped_column(Text)  # the browser's own words about itself
    address: Mapped[str] = mapped_column(Text)  # from where it logged in
    begun_at: Mapped[datetime] = mapped_column(INSTANT)
    seen_at: Mapped[datetime] = mapped_column(INSTANT)

    __table_args__ = (
        Index("uq_account_sessions_token_hash", "token_hash", unique=True),
        Index("ix_account_sessions_account", "account"),
    )


class Operation(Base):
    """A long piece of work: how far it has come, and where it stopped. Kept for 30 days after its end."""

    __tablename__ = "operations"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(Text)  # import, rebuild, look, …
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    who: Mapped[str] = mapped_column(Text)  # the user, or the service
    is_scheduled: Mapped[bool] = mapped_column(Boolean)  # nobody waits for it: it gives way
    status: Mapped[str] = mapped_column(Text)
    done: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int | None] = mapped_column(BigInteger)  # None: not counted
    current_item: Mapped[str | None] = mapped_column(Text)  # ledger text
    checkpoint: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    per_second: Mapped[float | None] = mapped_column(Float)
    errors: Mapped[int] = mapped_column(BigInteger)
    message: Mapped[str | None] = mapped_column(Text)
    asked: Mapped[str | None] = mapped_column(Text)  # of the process that runs it
    runs: Mapped[int] = mapped_column(Integer)  # 2: it was resumed once
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(INSTANT)
    started_at: Mapped[datetime | None] = mapped_column(INSTANT)
    heartbeat_at: Mapped[datetime] = mapped_column(INSTANT)
    ended_at: Mapped[datetime | None] = mapped_column(INSTANT)

    __table_args__ = (
        CheckConstraint(_one_of("status", OPERATION_STATUSES), name="ck_operations_status"),
        CheckConstraint("asked IN ('cancel')", name="ck_operations_asked"),
        Index("ix_operations_heartbeat_at", "heartbeat_at"),
    )


class HashCacheEntry(Base):
    """The hash of a file that need not be read again while it is as it was. Losing it only costs time."""

    __tablename__ = "hash_cache"

    path_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)  # of original_path
    original_path: Mapped[str] = mapped_column(Text)
    filesystem: Mapped[str] = mapped_column(Text)  # its UUID; empty: nobody says
    inode: Mapped[int | None] = mapped_column(BigInteger)  # None: inodes and ctime say nothing on this filesystem
    file_size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    ctime_ns: Mapped[int | None] = mapped_column(BigInteger)
    file_hash: Mapped[str] = mapped_column(String(64))
    seen_at: Mapped[datetime] = mapped_column(INSTANT)  # when an entry was last of use, to within a day

    __table_args__ = (
        CheckConstraint(_SHA256, name="ck_hash_cache_file_hash"),
        CheckConstraint("(inode IS NULL) = (ctime_ns IS NULL)", name="ck_hash_cache_key"),
        Index("ix_hash_cache_seen_at", "seen_at"),
    )
