"""Which client sent a request, where proxies that are named in the settings passed it on.

`X-Forwarded-For` and `X-Forwarded-Proto` are what any client may write: they are believed only as far as proxies that
the owner has named have written them.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

_LOOKED_UP_FOR = 30.0  # seconds that a host name's addresses are believed; a container may get another

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Client(NamedTuple):
    """Where a request comes from."""

    address: str
    is_secure: bool  # it came by TLS, to us or to a named proxy


class Proxies:
    """The proxies of the setting `TRUSTED_PROXIES`: addresses, networks and host names."""

    def __init__(
        self,
        names: Iterable[str],
        look_up: Callable[[str], Sequence[str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._networks: list[Network] = []
        self._hosts: list[str] = []
        for name in names:
            try:
                self._networks.append(ipaddress.ip_network(name, strict=False))
            except ValueError:
                self._hosts.append(name)
        self._look_up = look_up or _addresses_of
        self._clock = clock
        self._mutex = threading.Lock()
        self._looked_up_at: float | None = None
        self._of_hosts: set[str] = set()

    def client(self, peer: str, scheme: str, forwarded_for: str, forwarded_proto: str) -> Client:
        """The client of a request that `peer` sent us.

        `forwarded_for` and `forwarded_proto` are the headers' values, empty where there are none.
        """
        secure = scheme in ("https", "wss")
        if not self.includes(peer):
            return Client(peer, secure)
        hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
        address = peer
        while hops and self.includes(address):
            address = _without_port(hops.pop())
        proto = forwarded_proto.rpartition(",")[2].strip().lower()
        return Client(address, secure or proto in ("https", "wss"))

    def includes(self, address: str) -> bool:
        """Whether an address is one of the named proxies."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        if any(parsed in network for network in self._networks):
            return True
        return bool(self._hosts) and str(parsed) in self._looked_up()

    def _looked_up(self) -> set[str]:
        with self._mutex:
            now = self._clock()
            if self._looked_up_at is None or now - self._looked_up_at > _LOOKED_UP_FOR:
                self._looked_up_at = now
                self._of_hosts = {address for host in self._hosts for address in self._look_up(host)}
            return self._of_hosts


def _addresses_of(host: str) -> list[str]:
    """A host that nobody knows now has no address, and is looked up again later."""
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError:
        return []


def _without_port(hop: str) -> str:
    """`192.0.2.1:1234` and `[2001:db8::1]:1234` are what some proxies write."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
