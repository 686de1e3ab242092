from __future__ import annotations

from Src.Factory.declaration import JSON, Command, Group, InContainer

RETRY = Command(
    name="retry",
    group=Group.BRING_IN,
    help="Try failed files again, also those that failed for good.",
    here="Src.Factory.batch:run_retry",
    stack=InContainer("librarian"),
    takes=(JSON,),
)
