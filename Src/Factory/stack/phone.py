"""`phone` against the stack: the monitor talks to Syncthing; only the host knows the address to enter on a phone."""

from __future__ import annotations

from typing import NoReturn

from Src.Factory.commands.phone import PHONE
from Src.Factory.problems import Problem
from Src.Factory.stack.containers import Stack, say
from Src.Factory.stack.execution import address_of, run_factory

_LOOPBACK = ("127.0.0.1", "::1")


def show_phone(stack: Stack, *, wanted: str | None, as_json: bool) -> NoReturn:
    """Becomes the command in the monitor's container. Raises Problem."""
    if not stack.has("syncthing"):
        raise Problem("phone: the stack has no Syncthing (SYNCTHING=0 in .env): phones connect to that of the host")
    host, port = stack.get("syncthing").published("22000/tcp") or ("", "22000")
    if host in _LOOPBACK:
        say("phones cannot reach this Syncthing: set SYNC_ADDRESS=0.0.0.0 in .env, then docker compose up -d")
    words = PHONE.words({"wanted": wanted, "as_json": as_json})
    address = {"FACTORY_HOST_ADDRESS": f"tcp://{address_of(host)}:{port}"}
    run_factory(stack.get("service-monitor"), PHONE.name, words, address)
