from __future__ import annotations

from Src.Factory.declaration import JSON, Argument, Command, Flag, Group, HostPath, InContainer

EXPORT = Command(
    name="export",
    group=Group.LOOK,
    help="Copy the originals that a selection means to a folder outside the factory, with a manifest. "
    "Exit code 1: there is none, or some could not be exported.",
    here="Src.Factory.export:run_export",
    stack=InContainer("librarian"),
    takes=(
        Argument("selection", "SELECTION", "Which originals, as 'year:2019 rating>=4' or '*': docs/SELECTION.md."),
        Argument(
            "destination", "DEST", "A folder that is there. Nothing in it is replaced.", path=HostPath(folder=True)
        ),
        Flag("--copy", "Copies, which are yours: the default.", "copy"),
        Flag("--link", "Hard links instead of copies: each is the original itself, read-only.", "link"),
        Flag("--with-metadata", "Write date, place, rating, title, description and tags into the copies.", "metadata"),
        Flag("--dry-run", "Print only what the selection means, how many originals, and how large.", "dry_run"),
        JSON,
    ),
)
