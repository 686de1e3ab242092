"""What a service may do in the ledger by asking for it, and the rows that are its own.

Rights themselves are not here: `Src/Shared/postgres/rights.py` gives them, whenever they are missing.

- Counters are kept by the triggers alone: these act as the ledger's owner, whoever writes an original.
- `ask_for_retry` and `mark_silent` are requests: the dashboard makes failed files due (what an import could not file is
  forgotten: only the next import looks there again), and can change nothing else of them; the monitor marks who is
  silent, and can write nobody else's heartbeat.
- A heartbeat is written by whose it is (`own_services`, kept by `rights.py`). The owner sees no policies.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    # What acts as the owner must find the ledger's tables and nobody else's.
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    as_owner = f"SECURITY DEFINER SET search_path = {schema}, pg_temp"
    for event in ("insert", "delete", "update", "truncate"):
        op.execute(f"ALTER FUNCTION count_{event}() {as_owner}")
    op.execute(
        f"""
        CREATE FUNCTION ask_for_retry() RETURNS bigint LANGUAGE sql {as_owner} AS $$
            WITH forgotten AS (
                DELETE FROM inbox_files
                WHERE state IN ('unreadable', 'link', 'special') AND starts_with(original_path, '/')
            ), asked AS (
                UPDATE inbox_files SET state = 'failing', attempts = 0, next_try_at = now(), updated_at = now()
                WHERE state IN ('failing', 'dead_letter') RETURNING path_id
            )
            SELECT count(*) FROM asked
        $$
        """
    )
    # Only if it has not spoken meanwhile; `last_heartbeat` stays what it is.
    op.execute(
        f"""
        CREATE FUNCTION mark_silent(service text, last_seen timestamptz, reason text) RETURNS void
        LANGUAGE sql {as_owner} AS $$
            WITH marked AS (
                UPDATE system_status SET status = 'ERROR', message = reason
                WHERE service_name = service AND last_heartbeat = last_seen AND message IS DISTINCT FROM reason
                RETURNING service_name, status, current_task, message
            )
            INSERT INTO system_status_history (service_name, heartbeat_timestamp, status, current_task, message)
            SELECT service_name, now(), status, current_task, message FROM marked
        $$
        """
    )
    for function in ("ask_for_retry()", "mark_silent(text, timestamptz, text)"):
        op.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")

    op.execute("CREATE FUNCTION own_services() RETURNS text[] LANGUAGE sql STABLE AS $$SELECT ARRAY[]::text[]$$")
    own = "service_name = ANY (own_services())"
    # Retention, and nothing younger. A changed row is never let through: the right to update is for FOR UPDATE.
    old = "heartbeat_timestamp < now() - interval '1 day'"
    for table, policies in {
        "system_status": {
            "SELECT": "USING (true)",
            "INSERT": f"WITH CHECK ({own})",
            "UPDATE": f"USING ({own})",
            "DELETE": f"USING ({own})",
        },
        "system_status_history": {
            "SELECT": "USING (true)",
            "INSERT": f"WITH CHECK ({own})",
            "UPDATE": f"USING ({old}) WITH CHECK (false)",
            "DELETE": f"USING ({old})",
        },
    }.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        for command, condition in policies.items():
            op.execute(f"CREATE POLICY heartbeats_{command.lower()} ON {table} FOR {command} {condition}")


def downgrade() -> None:
    raise NotImplementedError("an earlier version does without: nothing is to be taken back")
