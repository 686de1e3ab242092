"""`phone`: what to enter on a phone, who asks to connect, and whether photos are safe and come."""

from __future__ import annotations

import io
import os
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from rich.text import Text

from Src.Factory import report
from Src.Shared.own_address import own_address
from Src.Shared.settings import Settings
from Src.Shared.syncthing.client import FolderState, Syncthing
from Src.Shared.syncthing.connecting import connect
from Src.Shared.syncthing.devices import Accepted, accept
from Src.Shared.syncthing.overview import Overview, overview
from Src.Shared.words import counted

HOST_ADDRESS = "FACTORY_HOST_ADDRESS"  # HOST or tcp://HOST:PORT; set by `./factory` where this runs in a container
PORT = 22000  # Syncthing's, where none is said
LOOPBACK = ("127.0.0.1", "localhost", "::1")
WILDCARD = ("", "0.0.0.0", "::")


def show_phone(settings: Settings, *, wanted: str | None, as_json: bool) -> None:
    """Prints the factory's side of Syncthing; lets the device `wanted` in before that, where one is named.

    Raises SyncthingError.
    """
    with closing(connect(settings)) as client:
        accepted = None if wanted is None else accept(client, wanted, settings.inbox)
        found = overview(client, settings.inbox)
    addresses = _addresses(found, client)
    if as_json:
        report.print_json(_json(found, addresses, accepted))
    elif accepted is not None:
        _print_accepted(accepted)
        _print_warnings(found)
    else:
        _print(found, addresses)


def _json(found: Overview, addresses: list[str], accepted: Accepted | None) -> dict[str, Any]:
    told = None if accepted is None else {"id": accepted.id, "name": accepted.name, "folder": accepted.folder}
    return {"id": found.system.id, "addresses": addresses, "accepted": told, **found.as_json()}


def _print_accepted(accepted: Accepted) -> None:
    report.line("accepted", f"{accepted.name} ({accepted.id[:7]})", "green")
    report.line("next", f"on the phone, accept the folder {accepted.folder}: folder type Send Only, and as its")
    report.line("", "place the folder with the photos (on Android DCIM)")


def _print(found: Overview, addresses: list[str]) -> None:
    report.heading("On the phone, in Syncthing: add a device, scan this")
    report.console().print(_qr_code(found.system.id))
    report.line("device ID", found.system.id)
    report.line("address", f"dynamic, or where that finds nothing: {' or '.join(addresses)}")
    report.line("syncthing", found.system.version)
    for folder in found.folders:
        report.line("folder", _folder(folder), "" if folder.is_receive_only else "red")
    _print_warnings(found)
    if found.devices:
        rows = (
            (
                device.name,
                device.id[:7],
                "paused" if device.paused else "connected" if device.connected else "away",
                "now" if device.connected else report.ago(device.last_seen_at),
                ", ".join(device.folders) or "none: ./factory phone --accept it",
            )
            for device in found.devices
        )
        report.table(("device", "ID", "is", "last seen", "folder"), rows)
    if found.pending:
        report.heading("Asking to connect; let one in with ./factory phone --accept NAME")
        asking = ((one.name, one.id[:7], one.address, report.ago(one.asked_at)) for one in found.pending)
        report.table(("device", "ID", "from", "asked"), asking)
    names = {device.id: device.name for device in found.devices}
    for offer in found.offered:
        name = names.get(offer.device_id) or offer.device_id[:7]
        label = offer.label or offer.id
        report.line("not taken", f"{name} offers its folder {label}; it should use the folder above instead", "yellow")


def _print_warnings(found: Overview) -> None:
    for warning in found.warnings:
        report.line("WARNING", warning, "red")


def _folder(folder: FolderState) -> str:
    words = [f"{folder.id} at {folder.path}", folder.type, folder.state]
    if folder.need_files:
        words.append(f"{counted(folder.need_files, 'file')} ({report.size(folder.need_bytes)}) still to come")
    if folder.last_file_at is not None:
        words.append(f"last file {report.ago(folder.last_file_at)}")
    return ", ".join(words)


def _addresses(found: Overview, client: Syncthing) -> list[str]:
    """What to enter on a phone that does not find the factory by itself."""
    if told := os.environ.get(HOST_ADDRESS):
        return [told if "://" in told else f"tcp://{told}:{PORT}"]
    addresses = []
    for listening in found.system.listening:
        address = urlsplit(listening)
        if address.scheme in ("tcp", "tcp4", "tcp6"):
            host = address.hostname or ""
            addresses.append(f"tcp://{_host_address(client) if host in WILDCARD else host}:{address.port or PORT}")
    return list(dict.fromkeys(addresses))


def _host_address(client: Syncthing) -> str:
    """This machine's address in its network."""
    if urlsplit(client.url).hostname not in LOOPBACK:
        return "ADDRESS-OF-THE-SERVER"  # Syncthing runs elsewhere
    return own_address()


def _qr_code(text: str) -> Text:
    import segno

    drawn = io.StringIO()
    segno.make(text, micro=False).terminal(drawn, border=2, compact=True)
    return Text(
        drawn.getvalue().rstrip("\n"), style="bright_white on black"
    )  # light on dark, whatever the terminal's colours
