from __future__ import annotations

from Src.Factory.declaration import Command, Group

MIGRATE = Command(
    name="migrate",
    group=Group.LOOK_AFTER,
    help="Update the database's tables to this version. Services do that themselves when they start.",
    here="Src.Factory.ledger_server:bring_to_schema",
    stack=None,  # the stack's own, which restores a backup, and `migrate` of its compose file
    hidden=True,
)
