"""The vault that the ledger belongs to, what looks at all originals have found, and the fate `rebuilt`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP, UUID

revision = "0009"
down_revision = "0008"

INSTANT = TIMESTAMP(timezone=True)
FATES = "fate IN ('ingested', 'duplicate', 'restored', 'rebuilt', 'not_media', 'failed', 'dead_letter')"
FINDINGS = "finding IN ('gone', 'not_a_file', 'size', 'content', 'unreadable', 'writable')"


def upgrade() -> None:
    op.create_table(
        "vault",
        sa.Column("is_only_row", sa.Boolean, server_default=sa.true(), primary_key=True),
        sa.Column("vault_id", UUID(as_uuid=True), nullable=False),
        sa.Column("ledger_kind", sa.Text, nullable=False),
        sa.Column("bound_at", INSTANT, server_default=sa.func.now(), nullable=False),
        sa.Column("rebuilding_since", INSTANT),
        sa.Column("looked_at", INSTANT),
        sa.Column("looked_originals", sa.BigInteger),
        sa.CheckConstraint("is_only_row", name="ck_vault_only_row"),
    )
    op.create_table(
        "original_findings",
        sa.Column("asset_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("finding", sa.Text, nullable=False),
        sa.Column("final_path", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("first_seen_at", INSTANT, server_default=sa.func.now(), nullable=False),
        sa.Column("last_seen_at", INSTANT, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(FINDINGS, name="ck_original_findings_finding"),
    )
    op.create_table(
        "original_looks",
        sa.Column("asset_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("ingested_at", INSTANT, nullable=False),
    )
    for name, rule in (("fate", FATES), ("source", "source IN ('inbox', 'import', 'vault')")):
        op.drop_constraint(f"ck_ingest_events_{name}", "ingest_events", type_="check")
        op.create_check_constraint(f"ck_ingest_events_{name}", "ingest_events", rule)


def downgrade() -> None:
    raise NotImplementedError("a ledger without its vault's id is taken for any vault's; restore a backup instead")
