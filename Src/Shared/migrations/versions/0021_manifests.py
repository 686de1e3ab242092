"""Which days' manifests are out of date: triggers mark a day when what stands in its folder changes.

A mark is a row of its own: nobody waits for it. The vault's row has the head of the chain with which all days were
written that are not marked; none: no day was.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_DAY = "substr({}, 16, 10)"
_NEW = "SELECT DISTINCT substr(final_path, 16, 10) FROM {} WHERE final_path IS NOT NULL"
# What a companion leaves stands there for a moment longer.
_CHANGED = {
    "media_assets": ("final_path", "file_hash"),
    "companions": ("final_path", "filed_at", "companion_hash", "standing_hash", "left_path", "moved_from"),
}


def upgrade() -> None:
    op.create_table(
        "manifest_marks",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("marked_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.add_column("vault", sa.Column("manifest_head", sa.String(64)))
    op.create_check_constraint("ck_vault_manifest_head", "vault", sa.text("manifest_head ~ '^[0-9a-f]{64}$'"))
    op.create_index("ix_media_assets_folder", "media_assets", [sa.text(_DAY.format("final_path"))])
    where = sa.text("final_path IS NOT NULL")
    op.create_index("ix_companions_folder", "companions", [sa.text(_DAY.format("final_path"))], postgresql_where=where)

    # What acts as the owner must find the ledger's tables and nobody else's.
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    as_owner = f"RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp"
    for event, rows in (("insert", "new_rows"), ("delete", "old_rows")):
        op.execute(
            f"CREATE FUNCTION mark_{event}() {as_owner} AS $$ BEGIN "
            f"INSERT INTO manifest_marks (day) {_NEW.format(rows)}; RETURN NULL; END $$"
        )
    for table, columns in _CHANGED.items():
        for event, rows in (("insert", "NEW TABLE AS new_rows"), ("delete", "OLD TABLE AS old_rows")):
            op.execute(
                f"CREATE TRIGGER mark_{event} AFTER {event} ON {table} REFERENCING {rows} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION mark_{event}()"
            )
        paths = [column for column in columns if column.endswith(("_path", "_from"))]
        places = ", ".join(f"({row}.{path})" for path in paths for row in ("OLD", "NEW"))
        op.execute(
            f"CREATE FUNCTION mark_{table}_update() {as_owner} AS $$ BEGIN INSERT INTO manifest_marks (day) "
            f"SELECT DISTINCT {_DAY.format('path')} FROM (VALUES {places}) AS of_row (path) WHERE path IS NOT NULL; "
            "RETURN NULL; END $$"
        )
        was, now = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
        # Most updates set a flag: of these, no function hears.
        op.execute(
            f"CREATE TRIGGER mark_update AFTER UPDATE ON {table} FOR EACH ROW WHEN (({was}) IS DISTINCT FROM ({now})) "
            f"EXECUTE FUNCTION mark_{table}_update()"
        )


def downgrade() -> None:
    for table in _CHANGED:
        for event in ("insert", "delete", "update"):
            op.execute(f"DROP TRIGGER mark_{event} ON {table}")
        op.execute(f"DROP FUNCTION mark_{table}_update()")
    for event in ("insert", "delete"):
        op.execute(f"DROP FUNCTION mark_{event}()")
    for table in _CHANGED:
        op.drop_index(f"ix_{table}_folder", table)
    op.drop_column("vault", "manifest_head")
    op.drop_table("manifest_marks")
