from __future__ import annotations

from Src.Factory.declaration import Command, Group, Refused

UP = Command(
    name="up",
    group=Group.RUN,
    help="Run the factory here, without Docker, until Ctrl-C.",
    here="Src.Factory.runner:run_services",
    stack=Refused("the stack of this folder runs, which is the factory: docker compose down ends it"),
)
