from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Flag, Group, HostPath, OnHost

RESTORE = Command(
    name="restore",
    group=Group.LOOK_AFTER,
    help="Replace the database by a backup: all of it, or nothing where anything fails.",
    here="Src.Factory.ledger_server:restore",
    stack=OnHost("Src.Factory.stack.ledger:restore"),
    takes=(
        Argument("file", "FILE", "- for stdin.", path=HostPath()),
        Flag("--force", "Even where the database holds originals.", "force"),
        JSON,
    ),
)
