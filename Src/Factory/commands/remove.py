from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Flag, Group, InContainer

REMOVE = Command(
    name="remove",
    group=Group.DECIDE,
    help="Move originals to the trash. Exit code 1: some stay, or the selection means none.",
    here="Src.Factory.removing:run_remove",
    stack=InContainer("librarian"),
    takes=(
        Argument(
            "selection", "SELECTION", "Which originals, as 'camera:canon* year:2019..2021' or '*': docs/SELECTION.md."
        ),
        JSON,
        Flag("--dry-run", "Change nothing; print what would change.", "dry_run"),
    ),
)
