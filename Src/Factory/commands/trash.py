from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Flag, Group, InContainer

TRASH = Command(
    name="trash",
    group=Group.DECIDE,
    help="Show the trash, bring originals back from it, or empty it for good, which is asked twice.",
    here="Src.Factory.removing:run_trash",
    stack=InContainer("librarian"),
    takes=(
        Argument(
            "words",
            "list|restore SELECTION|empty [SELECTION]",
            "What to do; without it the trash is shown.",
            many=True,
            optional=True,
        ),
        Flag("--yes", "With empty: the first question is answered.", "yes"),
        Flag("--really", "With empty, in scripts: the second one too.", "really"),
        JSON,
        Flag("--dry-run", "Change nothing; print what would change.", "dry_run"),
    ),
)
