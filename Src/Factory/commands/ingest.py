from __future__ import annotations

from Src.Factory.declaration import JSON, Command, Group, InContainer

INGEST = Command(
    name="ingest",
    group=Group.BRING_IN,
    help="Work once through the inbox, then exit.",
    here="Src.Factory.batch:run_ingest",
    stack=InContainer("librarian"),
    takes=(JSON,),
)
