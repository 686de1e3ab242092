"""Acts that touch files: what is about to move, where originals stood, the trash, and what is gone for good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"

_FATES = "'ingested', 'duplicate', 'restored', 'rebuilt', 'unwanted', 'companion', 'not_media', 'failed', 'dead_letter'"
_UUID = postgresql.UUID(as_uuid=True)
_INSTANT = sa.TIMESTAMP(timezone=True)
_SHA256 = "file_hash ~ '^[0-9a-f]{64}$'"


def _original(column: str) -> str:
    return (
        f"{column} ~ '^Originals/[0-9]{{4}}/[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}/[^/]+$' "
        f"AND substr({column}, 11, 4) = substr({column}, 16, 4) AND {column} !~ '/[.]{{1,2}}$'"
    )


def _trashed(column: str) -> str:
    return (
        f"{column} ~ '^Trash/[0-9]{{4}}/[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}/[^/]+$' "
        f"AND substr({column}, 7, 4) = substr({column}, 12, 4) AND {column} !~ '/[.]{{1,2}}$'"
    )


def _place(column: str) -> str:
    return f"({_original(column)}) OR ({_trashed(column)})"


def upgrade() -> None:
    op.create_table(
        "file_moves",
        sa.Column("id", _UUID, primary_key=True),
        sa.Column("act_id", _UUID, nullable=False),
        sa.Column("file_hash", sa.String(64), nullable=False),
        sa.Column("file_size", sa.BigInteger, nullable=False),
        sa.Column("companion_id", _UUID),
        sa.Column("from_path", sa.Text, nullable=False),
        sa.Column("to_path", sa.Text),
        sa.CheckConstraint(_SHA256, name="ck_file_moves_file_hash"),
        sa.CheckConstraint(_place("from_path"), name="ck_file_moves_from_path"),
        sa.CheckConstraint(_place("to_path"), name="ck_file_moves_to_path"),
        sa.CheckConstraint("to_path IS NOT NULL OR starts_with(from_path, 'Trash/')", name="ck_file_moves_for_good"),
    )
    op.create_table(
        "left_paths",
        sa.Column("final_path", sa.Text, primary_key=True),
        sa.Column("file_hash", sa.String(64), nullable=False),
        sa.Column("act_id", _UUID, nullable=False),
        sa.CheckConstraint(_SHA256, name="ck_left_paths_file_hash"),
        sa.CheckConstraint(_original("final_path"), name="ck_left_paths_final_path"),
    )
    op.create_index("ix_left_paths_act_id", "left_paths", ["act_id"])
    op.create_table(
        "trash",
        sa.Column("file_hash", sa.String(64), primary_key=True),
        sa.Column("file_size", sa.BigInteger, nullable=False),
        sa.Column("original_name", sa.Text, nullable=False),
        sa.Column("trash_path", sa.Text, nullable=False),
        sa.Column("removed_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("removed_by", sa.Text, nullable=False),
        sa.Column("act_id", _UUID, nullable=False),
        sa.Column("asset", postgresql.JSONB, nullable=False),
        sa.Column("belongings", postgresql.JSONB, nullable=False),
        sa.Column("companions", postgresql.JSONB, nullable=False),
        sa.CheckConstraint(_SHA256, name="ck_trash_file_hash"),
        sa.CheckConstraint(_trashed("trash_path"), name="ck_trash_trash_path"),
    )
    op.create_index("uq_trash_trash_path", "trash", ["trash_path"], unique=True)
    op.create_index("ix_trash_removed_at", "trash", ["removed_at"])
    op.create_table(
        "tombstones",
        sa.Column("file_hash", sa.String(64), primary_key=True),
        sa.Column("file_size", sa.BigInteger, nullable=False),
        sa.Column("original_name", sa.Text, nullable=False),
        sa.Column("final_path", sa.Text, nullable=False),
        sa.Column("removed_at", _INSTANT, nullable=False),
        sa.Column("removed_by", sa.Text, nullable=False),
        sa.Column("emptied_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("emptied_by", sa.Text, nullable=False),
        sa.Column("act_id", _UUID, nullable=False),
        sa.CheckConstraint(_SHA256, name="ck_tombstones_file_hash"),
        sa.CheckConstraint(_original("final_path"), name="ck_tombstones_final_path"),
    )
    # No service may delete an original's row: only ask for it, and only where the whole row is in the trash.
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    op.execute(
        f"""
        CREATE FUNCTION take_from_library(hashes text[]) RETURNS bigint
        LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
            WITH gone AS (
                DELETE FROM media_assets AS a USING trash AS t
                WHERE a.file_hash = t.file_hash AND a.file_hash = ANY (hashes) RETURNING a.id
            )
            SELECT count(*) FROM gone
        $$
        """
    )
    op.execute("REVOKE EXECUTE ON FUNCTION take_from_library(text[]) FROM PUBLIC")
    op.drop_constraint("ck_ingest_events_fate", "ingest_events")
    op.create_check_constraint("ck_ingest_events_fate", "ingest_events", sa.text(f"fate IN ({_FATES})"))


def downgrade() -> None:
    raise NotImplementedError("an earlier version does not know what is in the trash: it would add it again")
