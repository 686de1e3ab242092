"""Accounts and their sessions: a log-out ends a session on the server, and devices can be listed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP, UUID

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    )
    op.create_table(
        "account_sessions",
        sa.Column("id", UUID(as_uuid=True), primary_key=True),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name", ondelete="CASCADE"), nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("begun_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("seen_at", TIMESTAMP(timezone=True), nullable=False),
    )
    op.create_index("uq_account_sessions_token_hash", "account_sessions", ["token_hash"], unique=True)
    op.create_index("ix_account_sessions_account", "account_sessions", ["account"])
