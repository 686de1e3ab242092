from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Group, InContainer

FIND = Command(
    name="find",
    group=Group.LOOK,
    help="Show what became of a file: everything that happened to files of that name. Exit code 1: nothing known, 3: a "
    "photo is not there as it was added.",
    here="Src.Factory.find:show_fates",
    stack=InContainer("librarian"),
    takes=(Argument("name", "NAME", "Part of a file's name; * and ? are wildcards."), JSON),
)
