from __future__ import annotations

from Src.Factory.declaration import Command, Flag, Group, InContainer

DUPLICATES = Command(
    name="duplicates",
    group=Group.LOOK,
    help="Which incoming files were dropped as duplicates, and of which original. Exit code 1: none.",
    here="Src.Factory.show_duplicates:show_duplicates",
    stack=InContainer("librarian"),
    takes=(Flag("--json", "Print one JSON object a line.", "as_json"),),
)
