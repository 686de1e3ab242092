"""Copies elsewhere, and what of the vault is at each: since when, and when it was last read back from there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"

_INSTANT = sa.TIMESTAMP(timezone=True)
_UUID = postgresql.UUID(as_uuid=True)


def upgrade() -> None:
    op.create_table(
        "copies",
        sa.Column("id", _UUID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("is_encrypted", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("has_own_disk", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("made_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("ran_at", _INSTANT),
        sa.Column("run_result", postgresql.JSONB),
        sa.Column("dump_path", sa.Text),
        sa.Column("dump_hash", sa.String(64)),
        sa.Column("dumped_at", _INSTANT),
        sa.Column("dump_rows", postgresql.JSONB),
        sa.Column("drilled_at", _INSTANT),
        sa.Column("drill_result", postgresql.JSONB),
        sa.CheckConstraint("kind IN ('folder', 'sftp', 's3')", name="ck_copies_kind"),
        sa.CheckConstraint("dump_hash ~ '^[0-9a-f]{64}$'", name="ck_copies_dump_hash"),
    )
    op.create_index("uq_copies_name", "copies", [sa.text("lower(name)")], unique=True)
    op.create_table(
        "copied_files",
        sa.Column("copy_id", _UUID, sa.ForeignKey("copies.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("file_hash", sa.String(64), nullable=False),
        sa.Column("file_size", sa.BigInteger, nullable=False),
        sa.Column("original_hash", sa.String(64)),
        sa.Column("stamp", sa.Text, nullable=False),
        sa.Column("there_since", _INSTANT, nullable=False),
        sa.Column("read_back_at", _INSTANT, nullable=False),
        sa.CheckConstraint("file_hash ~ '^[0-9a-f]{64}$'", name="ck_copied_files_file_hash"),
        sa.CheckConstraint("original_hash ~ '^[0-9a-f]{64}$'", name="ck_copied_files_original_hash"),
    )
    op.create_index("ix_copied_files_file_hash", "copied_files", ["file_hash"])
    op.create_index("ix_copied_files_original_hash", "copied_files", ["original_hash", "copy_id"])


def downgrade() -> None:
    op.drop_table("copied_files")
    op.drop_table("copies")
