"""How exact a capture date is, and how a viewer must turn an original."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    # Of what was filed before this only the source tells whether it is a guess.
    op.add_column("media_assets", sa.Column("date_precision", sa.Text, server_default="second", nullable=False))
    op.add_column("media_assets", sa.Column("orientation", sa.SmallInteger))
    op.create_check_constraint(
        "ck_media_assets_date_precision", "media_assets", "date_precision IN ('second', 'day', 'month', 'year')"
    )
    guessed = "date_source IN ('filename', 'mtime', 'arrival') OR date_precision IN ('month', 'year')"
    op.create_index("ix_media_assets_guessed", "media_assets", ["captured_at", "id"], postgresql_where=sa.text(guessed))


def downgrade() -> None:
    op.drop_column("media_assets", "orientation")
    op.drop_column("media_assets", "date_precision")
