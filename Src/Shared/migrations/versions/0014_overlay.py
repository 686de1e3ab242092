"""The overlay: what people decide about originals, each decision as an event, and what is true by now beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"

_FIELDS = (
    "'rating', 'captured_at', 'location', 'title', 'description', 'hidden', 'rotation', 'tag', 'album', 'person', "
    "'removed'"
)
_STATUSES = "'pending', 'running', 'done', 'failed', 'undone'"
_UUID = postgresql.UUID(as_uuid=True)
_INSTANT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.add_column("media_assets", sa.Column("title", sa.Text))
    op.add_column("media_assets", sa.Column("description", sa.Text))
    op.add_column("media_assets", sa.Column("is_hidden", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("media_assets", sa.Column("rotation", sa.SmallInteger, nullable=False, server_default="0"))
    op.create_check_constraint("ck_media_assets_rotation", "media_assets", "rotation IN (0, 90, 180, 270)")
    op.create_index(
        "ix_media_assets_hidden", "media_assets", ["captured_at", "id"], postgresql_where=sa.text("is_hidden")
    )
    op.create_table(
        "asset_tags",
        sa.Column("asset_id", _UUID, primary_key=True),
        sa.Column("tag", sa.Text, primary_key=True),
    )
    op.create_index("ix_asset_tags_tag", "asset_tags", [sa.text("lower(tag)")])
    op.create_table(
        "albums",
        sa.Column("id", _UUID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("cover_hash", sa.String(64)),
        sa.Column("made_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("cover_hash ~ '^[0-9a-f]{64}$'", name="ck_albums_cover_hash"),
    )
    op.create_index("uq_albums_name", "albums", [sa.text("lower(name)")], unique=True)
    op.create_table(
        "album_items",
        sa.Column("album_id", _UUID, primary_key=True),
        sa.Column("asset_id", _UUID, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_album_items_asset_id", "album_items", ["asset_id"])
    op.create_index("ix_album_items_position", "album_items", ["album_id", "position"])
    op.create_table(
        "acts",
        sa.Column("id", _UUID, primary_key=True),
        sa.Column("happened_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("selection", sa.Text),
        sa.Column("parameters", postgresql.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("undoes", _UUID),
        sa.CheckConstraint(f"status IN ({_STATUSES})", name="ck_acts_status"),
    )
    op.create_index("ix_acts_happened_at", "acts", ["happened_at", "id"])
    op.create_index("ix_acts_open", "acts", ["id"], postgresql_where=sa.text("status IN ('pending', 'running')"))
    op.create_table(
        "overlay_events",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("id", _UUID, nullable=False),
        sa.Column("act_id", _UUID, nullable=False),
        sa.Column("happened_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("file_hash", sa.String(64)),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("before", postgresql.JSONB),
        sa.Column("after", postgresql.JSONB),
        sa.Column("undoes", _UUID),
        sa.Column("is_mirrored", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.CheckConstraint("file_hash ~ '^[0-9a-f]{64}$'", name="ck_overlay_events_file_hash"),
        sa.CheckConstraint(f"field IN ({_FIELDS})", name="ck_overlay_events_field"),
    )
    op.create_index("uq_overlay_events_id", "overlay_events", ["id"], unique=True)
    op.create_index("ix_overlay_events_file_hash", "overlay_events", ["file_hash", "seq"])
    op.create_index("ix_overlay_events_act_id", "overlay_events", ["act_id"])
    op.create_index(
        "ix_overlay_events_not_mirrored", "overlay_events", ["seq"], postgresql_where=sa.text("NOT is_mirrored")
    )


def downgrade() -> None:
    raise NotImplementedError("an earlier version does not know what people have decided: it would be lost")
