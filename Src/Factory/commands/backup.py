from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Flag, Group, HostPath, OnHost

BACKUP = Command(
    name="backup",
    group=Group.LOOK_AFTER,
    help="Write a backup of the database, and test it by restoring it into a scratch one. Photos are not in it.",
    here="Src.Factory.ledger_server:backup",
    stack=OnHost("Src.Factory.stack.ledger:backup"),
    takes=(
        Argument("file", "FILE", "- for stdout.", path=HostPath(written=True)),
        Flag("--force", "Replace FILE where it exists.", "force"),
        JSON,
    ),
)
