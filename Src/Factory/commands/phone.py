from __future__ import annotations

from Src.Factory.declaration import JSON, Command, Group, OnHost, Option

PHONE = Command(
    name="phone",
    group=Group.BRING_IN,
    help="Show how to connect a phone, whose photos then come by themselves, and which devices ask to connect.",
    here="Src.Factory.phone:show_phone",
    stack=OnHost("Src.Factory.stack.phone:show_phone"),
    takes=(Option("--accept", "NAME", "Let the device in that is called so (or its ID).", "wanted"), JSON),
)
