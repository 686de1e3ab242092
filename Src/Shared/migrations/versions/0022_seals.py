"""Sealed events: each fate and each decision gets the hash of the one before, in the order in which they were written.

A trigger puts each new event into a queue, which only ever grows at its end: nobody waits, and what is committed late
is sealed late, whatever its id. Events that are there already are in the queue from the beginning, without the time at
which they were written, which nobody knows. Who seals comes later: here no row of an event is changed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"

_INSTANT = sa.TIMESTAMP(timezone=True)
_UUID = postgresql.UUID(as_uuid=True)
_KINDS = "'fate', 'decision', 'note'"
_QUEUED = {"ingest_events": ("fate", "id"), "overlay_events": ("decision", "seq")}  # and in which order


def upgrade() -> None:
    op.create_table(
        "event_seals",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("event_id", _UUID, nullable=False),
        sa.Column("written_at", _INSTANT),
        sa.Column("event_hash", sa.LargeBinary, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("number > 0", name="ck_event_seals_number"),
        sa.CheckConstraint(f"event IN ({_KINDS})", name="ck_event_seals_event"),
        sa.CheckConstraint("length(event_hash) = 32 AND length(seal) = 32", name="ck_event_seals_hashes"),
    )
    op.create_index("uq_event_seals_event_id", "event_seals", ["event_id"], unique=True)
    op.create_table(
        "seal_heads",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
        sa.Column("sealed_at", _INSTANT, nullable=False),
        sa.Column("is_signed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.CheckConstraint("length(seal) = 32", name="ck_seal_heads_seal"),
    )
    op.create_index("ix_seal_heads_not_signed", "seal_heads", ["number"], postgresql_where=sa.text("NOT is_signed"))
    op.create_table(
        "seal_notes",
        sa.Column("id", _UUID, primary_key=True),
        sa.Column("happened_at", _INSTANT, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("lost_number", sa.BigInteger),
        sa.Column("lost_seal", sa.String(64)),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("signature", sa.Text),
        sa.CheckConstraint("kind IN ('began', 'accepted')", name="ck_seal_notes_kind"),
        sa.CheckConstraint("lost_seal ~ '^[0-9a-f]{64}$'", name="ck_seal_notes_lost_seal"),
    )
    op.create_table(
        "unsealed_events",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("event_id", _UUID, nullable=False),
        sa.Column("written_at", _INSTANT),
        sa.CheckConstraint("event IN ('fate', 'decision')", name="ck_unsealed_events_event"),
    )

    # What acts as the owner must find the ledger's tables and nobody else's.
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    # From here nobody writes into the two until the commit: so no event is in neither, and the queue has their order.
    op.execute(f"LOCK TABLE {', '.join(_QUEUED)} IN SHARE ROW EXCLUSIVE MODE")
    for table, (event, order) in _QUEUED.items():
        op.execute(
            f"CREATE FUNCTION queue_{event}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
            f"SET search_path = {schema}, pg_temp AS $$ BEGIN "
            "INSERT INTO unsealed_events (event, event_id, written_at) "
            f"SELECT '{event}', id, clock_timestamp() FROM new_rows ORDER BY {order}; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER queue_event AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows "
            f"FOR EACH STATEMENT EXECUTE FUNCTION queue_{event}()"
        )
    op.execute(
        "INSERT INTO unsealed_events (event, event_id) SELECT event, id FROM ("
        "SELECT 'fate' AS event, id, happened_at, 0 AS seq FROM ingest_events "
        "UNION ALL SELECT 'decision', id, happened_at, seq FROM overlay_events) AS known ORDER BY happened_at, seq, id"
    )


def downgrade() -> None:
    for table, (event, _) in _QUEUED.items():
        op.execute(f"DROP TRIGGER queue_event ON {table}")
        op.execute(f"DROP FUNCTION queue_{event}()")
    for table in ("unsealed_events", "seal_notes", "seal_heads", "event_seals"):
        op.drop_table(table)
