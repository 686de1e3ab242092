from __future__ import annotations

from Src.Factory.declaration import JSON, BesideStack, Command, Flag, Group, Refused

IMAGES = Command(
    name="images",
    group=Group.LOOK_AFTER,
    help="Show the images of others that the stack uses; --pin fixes them by their digests.",
    here=Refused("there is no Docker here (no `docker` on PATH)"),
    stack=BesideStack("Src.Factory.stack.images:show_images"),
    takes=(Flag("--pin", "Pull them, and write their digests to docker-compose.override.yml.", "pin"), JSON),
    reads_settings=False,
)
