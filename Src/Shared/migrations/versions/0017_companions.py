"""Companions are filed beside their originals, and originals have relations to each other.

A row of `companions` names where its file stands in the vault. It does so before the file gets there: whatever stands
at such a path is known, whenever a run is killed. A sidecar that was recorded before this version is still in the inbox
or at its source; what the inbox holds for that reason is read again, and filed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_KINDS = "'xmp', 'aae', 'thm', 'audio', 'srt', 'lrv', 'takeout'"
_RELATIONS = "'live_photo', 'raw_jpeg', 'edited'"
_SHA256 = " ~ '^[0-9a-f]{64}$'"


def _path_rule(column: str) -> str:
    return (
        f"{column} ~ '^Originals/[0-9]{{4}}/[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}/[^/]+$' "
        f"AND substr({column}, 11, 4) = substr({column}, 16, 4) AND {column} !~ '/[.]{{1,2}}$'"
    )


def upgrade() -> None:
    op.alter_column("companions", "original_hash", nullable=True)
    op.drop_constraint("ck_companions_kind", "companions")
    op.create_check_constraint("ck_companions_kind", "companions", sa.text(f"kind IN ({_KINDS})"))
    op.add_column("companions", sa.Column("final_path", sa.Text))
    op.add_column("companions", sa.Column("filed_at", sa.TIMESTAMP(timezone=True)))
    op.add_column("companions", sa.Column("left_path", sa.Text))
    for column in ("final_path", "left_path"):
        op.create_check_constraint(f"ck_companions_{column}", "companions", sa.text(_path_rule(column)))
    op.create_index(
        "uq_companions_final_path",
        "companions",
        ["final_path"],
        unique=True,
        postgresql_where=sa.text("final_path IS NOT NULL"),
    )
    op.create_index(
        "ix_companions_unfinished",
        "companions",
        ["id"],
        postgresql_where=sa.text("(final_path IS NOT NULL AND filed_at IS NULL) OR left_path IS NOT NULL"),
    )
    op.add_column("inbox_files", sa.Column("file_anyway", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute("DELETE FROM inbox_files WHERE state = 'companion'")
    op.create_table(
        "asset_relations",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("from_hash", sa.String(64), nullable=False),
        sa.Column("to_hash", sa.String(64), nullable=False),
        sa.Column("recorded_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("kind", "from_hash", "to_hash"),
        sa.CheckConstraint(f"kind IN ({_RELATIONS})", name="ck_asset_relations_kind"),
        sa.CheckConstraint("from_hash" + _SHA256, name="ck_asset_relations_from_hash"),
        sa.CheckConstraint("to_hash" + _SHA256, name="ck_asset_relations_to_hash"),
    )
    op.create_index("ix_asset_relations_to_hash", "asset_relations", ["to_hash"])


def downgrade() -> None:
    raise NotImplementedError("an earlier version knows nothing of companions that stand in the vault")
