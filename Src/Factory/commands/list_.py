from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Flag, Group, InContainer

LIST = Command(
    name="list",
    group=Group.LOOK,
    help="List the originals that a selection means, one JSON object a line. Exit code 1: there is none.",
    here="Src.Factory.list_originals:list_originals",
    stack=InContainer("librarian"),
    takes=(
        Argument(
            "selection", "SELECTION", "Which originals, as 'camera:canon* year:2019..2021' or '*': docs/SELECTION.md."
        ),
        JSON,
        Flag("--dry-run", "Print only what the selection means, and how many originals.", "dry_run"),
    ),
)
