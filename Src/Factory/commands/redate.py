from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Flag, Group, InContainer, Option

REDATE = Command(
    name="redate",
    group=Group.DECIDE,
    help="Correct when originals were taken; they move to the folders of their days. Exit code 1: some stay, or none.",
    here="Src.Factory.redate:run_redate",
    stack=InContainer("librarian"),
    takes=(
        Argument(
            "selection", "SELECTION", "Which originals, as 'camera:canon* year:2019..2021' or '*': docs/SELECTION.md."
        ),
        Option("--shift", "+-[D:]H:MM[:SS]", "By how much, as -7:12 or +1:00:00:00 (a day).", "shift"),
        Option("--set", "WHEN", "To when, as 2019, 2019-07-04 or '2019-07-04 12:30:00'.", "set_to"),
        Option("--every", "SECONDS", "With --set: each is so much later than the one before.", "every"),
        JSON,
        Flag("--dry-run", "Change nothing; print what would change.", "dry_run"),
    ),
)
