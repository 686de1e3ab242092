from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Group, InContainer, Option

HISTORY = Command(
    name="history",
    group=Group.LOOK,
    help="What was decided about originals: when, by whom, what was before and after. Exit code 1: there is none.",
    here="Src.Factory.show_history:show_history",
    stack=InContainer("librarian"),
    takes=(
        Argument("name", "NAME", "A name, or any selection: docs/SELECTION.md."),
        Option(
            "--at", "DATE", "Print instead what was true then, as 2026-11-29 (its end) or '2026-11-29 18:00'.", "at"
        ),
        JSON,
    ),
)
