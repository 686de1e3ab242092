from __future__ import annotations

from Src.Factory.declaration import JSON, Command, Flag, Group, OnHost

STATUS = Command(
    name="status",
    group=Group.LOOK,
    help="Show services, originals, inbox, database and disks. Exit code 1: a warning, 3: an error, also of a service "
    "that does not run.",
    here="Src.Factory.show_status:show_status",
    stack=OnHost("Src.Factory.stack.status:show_status"),
    takes=(
        JSON,
        Flag("--quiet", "Print only what is wrong, as for cron.", "quiet"),
        Flag("--readers", "Show instead for which files ExifTool was asked, and why.", "readers"),
    ),
)
