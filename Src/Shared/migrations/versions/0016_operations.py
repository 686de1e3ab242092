"""What long commands have done and where they stopped, and the hashes of files that have not changed since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"

_INSTANT = sa.TIMESTAMP(timezone=True)
_UUID = postgresql.UUID(as_uuid=True)


def upgrade() -> None:
    op.create_table(
        "operations",
        sa.Column("id", _UUID, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("parameters", postgresql.JSONB, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("is_scheduled", sa.Boolean, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger),
        sa.Column("current_item", sa.Text),
        sa.Column("checkpoint", postgresql.JSONB),
        sa.Column("per_second", sa.Float),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("asked", sa.Text),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("started_at", _INSTANT),
        sa.Column("heartbeat_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'paused', 'completed', 'failed', 'cancelled')",
            name="ck_operations_status",
        ),
        sa.CheckConstraint("asked IN ('cancel')", name="ck_operations_asked"),
    )
    op.create_index("ix_operations_heartbeat_at", "operations", ["heartbeat_at"])
    op.create_table(
        "hash_cache",
        sa.Column("path_id", _UUID, primary_key=True),
        sa.Column("original_path", sa.Text, nullable=False),
        sa.Column("filesystem", sa.Text, nullable=False),
        sa.Column("inode", sa.BigInteger),
        sa.Column("file_size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("ctime_ns", sa.BigInteger),
        sa.Column("file_hash", sa.String(64), nullable=False),
        sa.Column("seen_at", _INSTANT, nullable=False),
        sa.CheckConstraint("file_hash ~ '^[0-9a-f]{64}$'", name="ck_hash_cache_file_hash"),
        sa.CheckConstraint("(inode IS NULL) = (ctime_ns IS NULL)", name="ck_hash_cache_key"),
    )
    op.create_index("ix_hash_cache_seen_at", "hash_cache", ["seen_at"])


def downgrade() -> None:
    op.drop_table("hash_cache")
    op.drop_table("operations")
