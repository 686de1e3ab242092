"""Heartbeats of several instances of one service: each has a row of its own.

What was there is of services of which there was one at a time, instance 1. The dashboard's instances are named by their
machine from now on, so its old row would be of one that never comes back: it goes, its history stays.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for table in ("system_status", "system_status_history"):
        op.add_column(table, sa.Column("instance", sa.Text, server_default="1", nullable=False))
        op.add_column(table, sa.Column("host", sa.Text))
    op.execute(
        "ALTER TABLE system_status DROP CONSTRAINT system_status_pkey, "
        "ADD CONSTRAINT system_status_pkey PRIMARY KEY (service_name, instance)"
    )
    op.execute("DELETE FROM system_status WHERE service_name = 'dashboard'")

    # What acts as the owner must find the ledger's tables and nobody else's.
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    as_owner = f"SECURITY DEFINER SET search_path = {schema}, pg_temp"
    op.execute("DROP FUNCTION mark_silent(text, timestamptz, text)")
    # Only if it has not spoken meanwhile; `last_heartbeat` stays what it is.
    op.execute(
        f"""
        CREATE FUNCTION mark_silent(service text, one text, last_seen timestamptz, reason text) RETURNS void
        LANGUAGE sql {as_owner} AS $$
            WITH marked AS (
                UPDATE system_status SET status = 'ERROR', message = reason
                WHERE service_name = service AND instance = one AND last_heartbeat = last_seen
                    AND message IS DISTINCT FROM reason
                RETURNING service_name, instance, host, status, current_task, message
            )
            INSERT INTO system_status_history
                (service_name, instance, host, heartbeat_timestamp, status, current_task, message)
            SELECT service_name, instance, host, now(), status, current_task, message FROM marked
        $$
        """
    )
    # Never the last of its service: that one is missed until it is back, or a person deletes its row.
    op.execute(
        f"""
        CREATE FUNCTION forget_instance(service text, one text, last_seen timestamptz) RETURNS void
        LANGUAGE sql {as_owner} AS $$
            DELETE FROM system_status AS gone
            WHERE service_name = service AND instance = one AND last_heartbeat = last_seen
                AND EXISTS (
                    SELECT 1 FROM system_status AS other
                    WHERE other.service_name = service AND other.last_heartbeat > gone.last_heartbeat
                )
        $$
        """
    )
    for function in ("mark_silent(text, text, timestamptz, text)", "forget_instance(text, text, timestamptz)"):
        op.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")


def downgrade() -> None:
    raise NotImplementedError("an earlier version knows one row a service: which is to stay, nobody can say")
