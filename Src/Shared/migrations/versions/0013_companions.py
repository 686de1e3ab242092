"""Which photo a sidecar belongs to: what was used with one is never believed for another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"

_FATES = "'ingested', 'duplicate', 'restored', 'rebuilt', 'companion', 'not_media', 'failed', 'dead_letter'"
_STATES = "'failing', 'dead_letter', 'not_media', 'companion', 'sidecar', 'unreadable', 'link', 'special'"
_SHA256 = " ~ '^[0-9a-f]{64}$'"
_ORIGINAL = (
    "moved_from ~ '^Originals/[0-9]{4}/[0-9]{4}-[0-9]{2}-[0-9]{2}/[^/]+$' "
    "AND substr(moved_from, 11, 4) = substr(moved_from, 16, 4) AND moved_from !~ '/[.]{1,2}$'"
)


def upgrade() -> None:
    op.create_table(
        "companions",
        sa.Column("id", postgresql.UUID(as_uuid=True), primary_key=True),
        sa.Column("original_hash", sa.String(64), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("path_id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("original_path", sa.Text, nullable=False),
        sa.Column("companion_hash", sa.String(64), nullable=False),
        sa.Column("companion_size", sa.BigInteger, nullable=False),
        sa.Column("moved_from", sa.Text),
        sa.Column("recorded_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("kind IN ('xmp')", name="ck_companions_kind"),
        sa.CheckConstraint("original_hash" + _SHA256, name="ck_companions_original_hash"),
        sa.CheckConstraint("companion_hash" + _SHA256, name="ck_companions_companion_hash"),
        sa.CheckConstraint(_ORIGINAL, name="ck_companions_moved_from"),
    )
    op.create_index("uq_companions_path_id_companion_hash", "companions", ["path_id", "companion_hash"], unique=True)
    op.create_index("ix_companions_original_hash", "companions", ["original_hash"])
    op.create_index(
        "ix_companions_moved_from", "companions", ["id"], postgresql_where=sa.text("moved_from IS NOT NULL")
    )
    for name, table, rule in (
        ("ck_ingest_events_fate", "ingest_events", f"fate IN ({_FATES})"),
        ("ck_inbox_files_state", "inbox_files", f"state IN ({_STATES})"),
    ):
        op.drop_constraint(name, table)
        op.create_check_constraint(name, table, sa.text(rule))


def downgrade() -> None:
    raise NotImplementedError("an earlier version believes sidecars for any photo: it does not know these rows")
