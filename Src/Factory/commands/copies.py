from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Flag, Group, Option, Refused

COPIES = Command(
    name="copies",
    group=Group.LOOK_AFTER,
    help="Keep copies of everything elsewhere: each file is read back from there. Exit code 1: something is wrong.",
    here="Src.Factory.copies:run_copies",
    stack=Refused("copies are made without Docker so far; docs/CUSTODY.md says how"),
    takes=(
        Argument(
            "words",
            "add NAME TARGET|list|run NAME|drill NAME|remove NAME",
            "What to do; without it the copies are shown.",
            many=True,
            optional=True,
        ),
        Option("--limit", "RATE", "With run and drill: bytes a second at most, as 500K or 5M.", "limit"),
        Option("--day", "DATE", "With drill: that day, and none by chance.", "day"),
        Flag("--read", "With run: read back everything that is there, too.", "read"),
        Flag("--encrypt", "With add: encrypt all that goes there, by age.", "encrypt"),
        JSON,
    ),
)
