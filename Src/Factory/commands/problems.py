from __future__ import annotations

from Src.Factory.declaration import JSON, Command, Flag, Group, InContainer, Option

PROBLEMS = Command(
    name="problems",
    group=Group.LOOK,
    help="List what needs a person: file, reason, what to do. Exit code 1: there is something, 3: photos are harmed.",
    here="Src.Factory.show_problems:show_problems",
    stack=InContainer("librarian"),
    takes=(
        JSON,
        Option("--file", "NAME", "File a file of the inbox that belongs to no photo here by itself.", "file"),
        Flag("--quiet", "Print nothing where there are none, as for cron.", "quiet"),
    ),
)
