from __future__ import annotations

from Src.Factory.declaration import Command, Group

RESTORED = Command(
    name="restored",
    group=Group.LOOK_AFTER,
    help="Note in the vault where its database is now; the stack's `restore` ends with it.",
    here="Src.Factory.ledger_server:restored",
    stack=None,
    hidden=True,
)
