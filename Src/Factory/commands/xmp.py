from __future__ import annotations

from Src.Factory.declaration import DRY_RUN, JSON, Command, Group, InContainer

XMP = Command(
    name="xmp",
    group=Group.DECIDE,
    help="Write decisions into XMP files, and take over what other programs wrote there, now. Exit code 1: some stay.",
    here="Src.Factory.xmp:xmp",
    stack=InContainer("librarian"),
    takes=(JSON, DRY_RUN),
)
