from __future__ import annotations

from Src.Factory.declaration import DRY_RUN, JSON, Argument, Command, Group, InContainer

ALBUM = Command(
    name="album",
    group=Group.DECIDE,
    help="Show the albums or one; add or remove originals, move them in it, choose its cover. The first one makes it.",
    here="Src.Factory.albums:album",
    stack=InContainer("librarian"),
    takes=(
        Argument("name", "NAME", "The album, whatever the capitals; without it all albums are shown.", optional=True),
        Argument("action", "add|remove|first|last|cover", "What to do; without it the album is shown.", optional=True),
        Argument("selection", "SELECTION", "Which originals: docs/SELECTION.md.", optional=True),
        JSON,
        DRY_RUN,
    ),
)
