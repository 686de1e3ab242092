"""What nobody can file has a state of its own in `inbox_files`: unreadable, a link, or something that is no file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"

_STATE = "ck_inbox_files_state"


def upgrade() -> None:
    op.drop_constraint(_STATE, "inbox_files")
    op.create_check_constraint(
        _STATE,
        "inbox_files",
        sa.text("state IN ('failing', 'dead_letter', 'not_media', 'unreadable', 'link', 'special')"),
    )


def downgrade() -> None:
    op.execute("DELETE FROM inbox_files WHERE state NOT IN ('failing', 'dead_letter', 'not_media')")
    op.drop_constraint(_STATE, "inbox_files")
    op.create_check_constraint(_STATE, "inbox_files", sa.text("state IN ('failing', 'dead_letter', 'not_media')"))
