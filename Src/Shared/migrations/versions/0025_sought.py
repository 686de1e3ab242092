"""Indexes for what people look for in the gallery: cameras, kinds, stars, names, titles.

Two of them hold all that is needed to count by days, hidden or not. Names of cameras are whatever a file says, and an
index entry has a limit: longer ones have an index of their own, which says that there are some.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_INDEXES = {
    "model": "(camera_model, captured_at) INCLUDE (is_hidden) WHERE length(camera_model) <= 100",
    "make": "(camera_make) WHERE length(camera_make) <= 100",
    "long_camera": "(id) WHERE length(camera_model) > 100 OR length(camera_make) > 100",
    "kind": "(media_kind, captured_at) INCLUDE (is_hidden)",
    "rated": "(captured_at, id) WHERE rating > 0",
    "described": "(captured_at, id) WHERE title IS NOT NULL OR description IS NOT NULL",
    "name": "(lower(original_name) text_pattern_ops)",
    "vault_name": "(lower(substr(final_path, 27)) text_pattern_ops)",
}


def upgrade() -> None:
    for name, index in _INDEXES.items():
        op.execute(sa.text(f"CREATE INDEX ix_media_assets_{name} ON media_assets {index}"))


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(f"ix_media_assets_{name}", "media_assets")
