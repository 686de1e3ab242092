from __future__ import annotations

from Src.Factory.declaration import JSON, Command, Flag, Group, OnHost

PASSWORD = Command(
    name="password",
    group=Group.LOOK_AFTER,
    help="Show the dashboard's password, and in the stack that of its Syncthing too.",
    here="Src.Factory.password:run_password",
    stack=OnHost("Src.Factory.stack.password:run_password"),
    takes=(
        Flag("--log-out-all", "Log every device out of the dashboard; no password is shown.", "log_out_all"),
        JSON,
    ),
)
