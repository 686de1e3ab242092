"""`password` against the stack: the passwords of its pages."""

from __future__ import annotations

import json

from Src.Factory.problems import Problem
from Src.Factory.stack.containers import SECRETS, Stack, ask_docker
from Src.Factory.stack.execution import address_of, run
from Src.Shared.errors import ExitCode

_PASSWORDS = (  # whose, user, service, file, service and port of its address
    ("dashboard", None, "dashboard", "dashboard_password", ("gate", "8501/tcp")),
    ("syncthing", "factory", "syncthing", "syncthing_gui_password", ("syncthing", "8384/tcp")),
)


def run_password(stack: Stack, *, log_out_all: bool, as_json: bool) -> int:
    """Shows the passwords, or logs every device out of the dashboard; the exit code. Raises Problem."""
    if log_out_all:
        run(stack.get("dashboard"), "python", "-m", "Src.Accounts", *["--json"] * as_json)
    found = {}
    for whose, user, service, file, (door, port) in _PASSWORDS:
        if service == "syncthing" and not stack.has(service):  # the host has its own
            continue
        password = ask_docker("exec", stack.get(service).id, "cat", f"{SECRETS}/{file}").strip()
        if not password:
            raise Problem(f"password: {whose}: {SECRETS}/{file} cannot be read in its container")
        published = stack.get(door).published(port)
        address = published and f"http://{address_of(published[0])}:{published[1]}/"
        found[whose] = {"address": address, "user": user, "password": password}
    if as_json:
        print(json.dumps(found))
        return ExitCode.WELL
    for whose, one in found.items():
        words = (one["address"], f"user {one['user']}" if one["user"] else None, f"password {one['password']}")
        print(f"  {whose:<12}{', '.join(filter(None, words))}")
    return ExitCode.WELL
