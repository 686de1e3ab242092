"""What the dashboard asks of long operations, and an index of the favourites.

`ask_of_operation` is a request: the dashboard may write nothing else of an operation. It changes only the run that was
seen, and only one that is under way or has failed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    op.execute(
        f"""
        CREATE FUNCTION ask_of_operation(operation uuid, seen_status text, seen_runs integer, wish text)
        RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
            WITH seen AS (
                SELECT id FROM operations WHERE id = operation AND status = seen_status AND runs = seen_runs FOR UPDATE
            ), cancelled AS (
                UPDATE operations AS o SET asked = 'cancel' FROM seen
                WHERE o.id = seen.id AND wish = 'cancel' AND o.status IN ('pending', 'running', 'paused')
                RETURNING o.id
            ), discarded AS (
                UPDATE operations AS o
                SET status = 'cancelled', message = coalesce(o.message, 'discarded'), ended_at = now() FROM seen
                WHERE o.id = seen.id AND wish = 'discard' AND o.status IN ('pending', 'running', 'paused', 'failed')
                RETURNING o.id
            )
            SELECT EXISTS (SELECT FROM cancelled UNION ALL SELECT FROM discarded)
        $$
        """
    )
    op.execute("REVOKE EXECUTE ON FUNCTION ask_of_operation(uuid, text, integer, text) FROM PUBLIC")
    op.create_index(
        "ix_media_assets_favourites", "media_assets", ["captured_at", "id"], postgresql_where=sa.text("rating = 5")
    )


def downgrade() -> None:
    op.drop_index("ix_media_assets_favourites", "media_assets")
    op.execute("DROP FUNCTION ask_of_operation(uuid, text, integer, text)")
