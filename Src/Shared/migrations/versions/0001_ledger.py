"""The ledger: originals, the fate of every incoming file, what stays in the inbox, heartbeats."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID

revision = "0001"
down_revision = None

INSTANT = TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "media_assets",
        sa.Column("id", UUID(as_uuid=True), primary_key=True),
        sa.Column("file_hash", sa.String(64), nullable=False),
        sa.Column("file_size", sa.BigInteger, nullable=False),
        sa.Column("original_name", sa.Text, nullable=False),
        sa.Column("original_path", sa.Text, nullable=False),
        sa.Column("final_path", sa.Text, nullable=False),
        sa.Column("media_kind", sa.Text, nullable=False),
        sa.Column("mime_type", sa.Text, nullable=False),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("duration_seconds", sa.Float),
        sa.Column("captured_at", TIMESTAMP(timezone=False), nullable=False),
        sa.Column("captured_at_offset", sa.SmallInteger),
        sa.Column("date_source", sa.Text, nullable=False),
        sa.Column("location", JSONB),
        sa.Column("camera_make", sa.Text),
        sa.Column("camera_model", sa.Text),
        sa.Column("rating", sa.SmallInteger),
        sa.Column("is_curated", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("is_ingested", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.Column("ingested_at", INSTANT, server_default=sa.func.now(), nullable=False),
        sa.Column("is_geocoded", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("geocoded_at", INSTANT),
        sa.Column("is_thumbnailed", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("thumbnailed_at", INSTANT),
        sa.Column("is_backed_up", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("backed_up_at", INSTANT),
        sa.Column("has_errors", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("error_message", sa.Text),
        sa.Column("verified_at", INSTANT),
    )
    op.create_index("uq_media_assets_file_hash", "media_assets", ["file_hash"], unique=True)
    op.create_index("uq_media_assets_final_path", "media_assets", ["final_path"], unique=True)
    op.create_index("ix_media_assets_captured_at", "media_assets", ["captured_at"])
    op.create_index("ix_media_assets_ingested_at", "media_assets", ["ingested_at"])
    for stage in ("geocoded", "thumbnailed", "backed_up"):
        todo = sa.text(f"NOT is_{stage}")
        op.create_index(f"ix_media_assets_not_{stage}", "media_assets", ["id"], postgresql_where=todo)
    op.create_index("ix_media_assets_errors", "media_assets", ["id"], postgresql_where=sa.text("has_errors"))

    op.create_table(
        "ingest_events",
        sa.Column("id", UUID(as_uuid=True), primary_key=True),
        sa.Column("happened_at", INSTANT, server_default=sa.func.now(), nullable=False),
        sa.Column("fate", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("original_name", sa.Text, nullable=False),
        sa.Column("original_path", sa.Text, nullable=False),
        sa.Column("file_hash", sa.String(64)),
        sa.Column("file_size", sa.BigInteger),
        sa.Column("source_mtime_ns", sa.BigInteger),
        sa.Column("final_path", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("attempts", sa.Integer),
        sa.Column("next_try_at", INSTANT),
        sa.CheckConstraint(
            "fate IN ('ingested', 'duplicate', 'restored', 'not_media', 'failed', 'dead_letter')",
            name="ck_ingest_events_fate",
        ),
        sa.CheckConstraint("source IN ('inbox', 'import')", name="ck_ingest_events_source"),
    )
    op.create_index("ix_ingest_events_happened_at", "ingest_events", ["happened_at"])
    op.create_index("ix_ingest_events_file_hash", "ingest_events", ["file_hash"])
    op.create_index("ix_ingest_events_original_path", "ingest_events", ["original_path"], postgresql_using="hash")

    op.create_table(
        "inbox_files",
        sa.Column("path_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("original_path", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("file_size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("inode", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("next_try_at", INSTANT),
        sa.Column("first_seen_at", INSTANT, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", INSTANT, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("state IN ('failing', 'dead_letter', 'not_media')", name="ck_inbox_files_state"),
    )
    op.create_index(
        "ix_inbox_files_next_try_at",
        "inbox_files",
        ["next_try_at"],
        postgresql_where=sa.text("state = 'failing'"),
    )

    op.create_table(
        "system_status",
        sa.Column("service_name", sa.Text, primary_key=True),
        sa.Column("last_heartbeat", INSTANT, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("current_task", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("interval_seconds", sa.Float, nullable=False),
        sa.Column("details", JSONB),
        sa.CheckConstraint("status IN ('OK', 'WARNING', 'ERROR')", name="ck_system_status_status"),
    )

    op.create_table(
        "system_status_history",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("service_name", sa.Text, nullable=False),
        sa.Column("heartbeat_timestamp", INSTANT, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("current_task", sa.Text),
        sa.Column("message", sa.Text),
    )
    op.create_index(
        "ix_system_status_history_service", "system_status_history", ["service_name", "heartbeat_timestamp"]
    )
    op.create_index("ix_system_status_history_timestamp", "system_status_history", ["heartbeat_timestamp"])


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the ledger; to be rid of it, drop the database")
