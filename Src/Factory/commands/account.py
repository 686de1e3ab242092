from __future__ import annotations

from Src.Factory.commands.safe import READ, WITHIN
from Src.Factory.declaration import JSON, Argument, Command, Group, HostPath, InContainer

ACCOUNT = Command(
    name="account",
    group=Group.LOOK_AFTER,
    help="May this disk or folder go? Accounts for every file on it, and copies nothing. Exit code 1: it must stay.",
    here="Src.Factory.receipts:run_account",
    stack=InContainer("librarian"),
    takes=(
        Argument("folder", "FOLDER", "The folder at the top of all that is to go.", path=HostPath()),
        READ,
        WITHIN,
        JSON,
    ),
)
