"""Constraints: a path is one of an original (`Originals/YYYY/YYYY-MM-DD/NAME`), a hash is a SHA-256.

Whatever reads them from the ledger checks them again: a constraint can be dropped, and a row be older than it. Rows
that break them already stay as they are, and are reported: for new and changed rows the constraint holds all the same.
"""

from __future__ import annotations

import logging

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"

SHA256 = "file_hash ~ '^[0-9a-f]{64}$'"
# The year's folder is that of the day. In PostgreSQL's expressions `$` is the very end, and [^/] any other character.
PATH = (
    "final_path ~ '^Originals/[0-9]{4}/[0-9]{4}-[0-9]{2}-[0-9]{2}/[^/]+$' "
    "AND substr(final_path, 11, 4) = substr(final_path, 16, 4) AND final_path !~ '/[.]{1,2}$'"
)
CONSTRAINTS = {
    f"ck_{table}_{column}": (table, condition)
    for table in ("media_assets", "ingest_events")
    for column, condition in (("file_hash", SHA256), ("final_path", PATH))
}
_SHOWN = 20

log = logging.getLogger(__name__)


def upgrade() -> None:
    connection = op.get_bind()
    for name, (table, condition) in CONSTRAINTS.items():
        op.create_check_constraint(name, table, sa.text(condition), postgresql_not_valid=True)
        breaking = connection.execute(sa.text(f"SELECT id FROM {table} WHERE NOT ({condition}) LIMIT {_SHOWN}"))
        if rows := [str(row) for row in breaking.scalars()]:
            log.error("the ledger's %s has rows that break %s, and are not believed: %s", table, name, ", ".join(rows))
        else:
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    for name, (table, _) in CONSTRAINTS.items():
        op.drop_constraint(name, table)
