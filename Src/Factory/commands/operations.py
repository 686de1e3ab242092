from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Group, OnHost

OPERATIONS = Command(
    name="operations",
    group=Group.LOOK_AFTER,
    help="List long commands, how far they are and what stopped. With words: resume ID, cancel ID or discard ID.",
    here="Src.Factory.show_operations:run_operations",
    stack=OnHost("Src.Factory.stack.operations:run_operations"),
    takes=(
        Argument("words", "WHAT", "resume ID, cancel ID or discard ID; nothing lists them.", many=True, optional=True),
        JSON,
    ),
)
