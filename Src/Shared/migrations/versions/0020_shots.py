"""Which Live Photo and which burst an original is of, and whether a film is in it, as its file says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("media_assets", sa.Column("content_id", sa.Text))
    op.add_column("media_assets", sa.Column("burst_id", sa.Text))
    op.add_column("media_assets", sa.Column("is_motion_photo", sa.Boolean, nullable=False, server_default=sa.false()))
    for column in ("content_id", "burst_id"):
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"ix_media_assets_{column}", "media_assets", [column], postgresql_where=where)


def downgrade() -> None:
    for column in ("is_motion_photo", "burst_id", "content_id"):
        op.drop_column("media_assets", column)
