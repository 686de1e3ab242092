from __future__ import annotations

from Src.Factory.declaration import JSON, Command, Flag, Group, InContainer

REBUILD = Command(
    name="rebuild",
    group=Group.LOOK_AFTER,
    help="Add originals that the database does not know, as after its loss. No photo is changed.",
    here="Src.Factory.rebuild:run_rebuild",
    stack=InContainer("librarian"),
    takes=(
        Flag("--missing", "File what stands in the vault without a row.", "missing"),
        Flag("--dry-run", "Only show what would be added.", "dry_run"),
        JSON,
    ),
)
