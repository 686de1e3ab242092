from __future__ import annotations

from Src.Factory.declaration import DRY_RUN, JSON, Command, Group, InContainer, Option

UNDO = Command(
    name="undo",
    group=Group.DECIDE,
    help="Take the last act back, or another one. What was changed since is left and counted: exit code 1.",
    here="Src.Factory.take_back:undo",
    stack=InContainer("librarian"),
    takes=(
        Option("--operation", "ID", "The act with this id, or this beginning of it; history shows ids.", "operation"),
        Option("--since", "TIME", "All acts since then, as '2026-11-29 18:00', 2026-11-29 or 18:00.", "since"),
        JSON,
        DRY_RUN,
    ),
)
