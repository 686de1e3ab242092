"""Whether a copy is on a disk of its own: what ends the vault's disks, or this machine's, leaves it as it is."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from urllib.parse import urlsplit

from Src.Library.custody.copies.credentials import credentials_of
from Src.Library.custody.copies.rows import CopyRow
from Src.Shared.disk.whole import whole_disk
from Src.Shared.ledger_text import from_ledger
from Src.Shared.settings import Settings


def has_own_disk(settings: Settings, row: CopyRow) -> bool:
    """False too where nobody knows: on a share, in a pool, in a file that is mounted, and at a host without a name.

    Raises CopyTrouble where COPIES_CREDENTIALS cannot be read.
    """
    target = from_ledger(row.target)
    if row.kind == "folder":
        own = (settings.storage, settings.originals, settings.db_data)
        return whole_disk(Path(target), own).has_others is False
    if row.kind == "s3":
        endpoint = credentials_of(settings.copies_credentials, row.name).get("endpoint")
        if endpoint is None:
            return True  # Amazon's
        target = endpoint
    host = urlsplit(target).hostname
    return host is not None and not is_this_machine(host)


def is_this_machine(host: str) -> bool:
    """Whether a host is, or may be, the machine that this runs on."""
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)}
    except (OSError, UnicodeError):
        return True
    return not found or any(_is_own(address) for address in found)


def _is_own(address: str) -> bool:
    plain = ipaddress.ip_address(address.partition("%")[0])
    if plain.is_loopback or plain.is_unspecified:
        return True
    family = socket.AF_INET6 if plain.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.bind((str(plain), 0))  # only an address of this machine can be bound to
    except OSError:
        return False
    return True
