from __future__ import annotations

from Src.Factory.declaration import JSON, Command, Flag, Group, InContainer

REBUILD = Command(
    name="rebuild",
    group=Group.LOOK_AFTER,
    help="Make the database anew from the vault, compared with the old one, which is kept. No photo is changed.",
    here="Src.Factory.rebuild:run_rebuild",
    stack=InContainer("librarian"),
    takes=(
        Flag("--missing", "Only file what stands in the vault without a row.", "missing"),
        Flag("--undo", "Bring back what the last rebuild has replaced.", "undo"),
        Flag("--trust-cache", "Do not read files that have not changed since they were last right.", "trust_cache"),
        Flag("--dry-run", "Only show what would be changed.", "dry_run"),
        JSON,
    ),
)
