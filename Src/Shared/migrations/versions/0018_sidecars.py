"""XMP files beside originals say what people decided, and what other programs write into them is taken over.

An event knows whether those files say it; a companion's row knows what stands there, and what it said.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"

_FIELDS = "'rating', 'captured_at', 'location', 'title', 'description', 'tag'"
_SHA256 = " ~ '^[0-9a-f]{64}$'"


def upgrade() -> None:
    # A constant default rewrites no row (PostgreSQL 11), however many events there are.
    op.add_column("overlay_events", sa.Column("is_in_xmp", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_overlay_events_not_in_xmp",
        "overlay_events",
        ["seq"],
        postgresql_where=sa.text(f"NOT is_in_xmp AND file_hash IS NOT NULL AND field IN ({_FIELDS})"),
    )
    op.add_column("companions", sa.Column("standing_hash", sa.String(64)))
    op.add_column("companions", sa.Column("standing_size", sa.BigInteger))
    op.add_column("companions", sa.Column("standing_mtime_ns", sa.BigInteger))
    op.add_column("companions", sa.Column("coming_hash", sa.String(64)))
    op.add_column("companions", sa.Column("is_ours", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("companions", sa.Column("made_here", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("companions", sa.Column("says", JSONB))
    for column in ("standing_hash", "coming_hash"):
        op.create_check_constraint(f"ck_companions_{column}", "companions", sa.text(column + _SHA256))
    op.create_index("ix_companions_coming", "companions", ["id"], postgresql_where=sa.text("coming_hash IS NOT NULL"))


def downgrade() -> None:
    raise NotImplementedError("an earlier version would take what we wrote for what came in")
