from __future__ import annotations

from Src.Factory.declaration import JSON, Command, Group, InContainer

DOCTOR = Command(
    name="doctor",
    group=Group.LOOK_AFTER,
    help="Check this machine: what each finding means, and how to fix it. Exit code 1: warnings, 3: errors.",
    here="Src.Factory.doctor:show_doctor",
    stack=InContainer("librarian"),
    takes=(JSON,),
)
