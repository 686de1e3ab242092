"""Forwarding headers are believed only as far as named proxies have written them."""

from __future__ import annotations

import pytest

from Src.Accounts.proxies import Client, Proxies


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "proto", "client"),
    [
        ("192.0.2.1", "", "", Client("192.0.2.1", False)),
        # Anybody can write the headers.
        ("192.0.2.1", "10.9.9.9", "https", Client("192.0.2.1", False)),
        ("10.0.0.5", "192.0.2.1", "https", Client("192.0.2.1", True)),
        ("10.0.0.5", "192.0.2.1:4711", "http", Client("192.0.2.1", False)),
        ("10.0.0.5", "[2001:db8::1]:4711", "", Client("2001:db8::1", False)),
        ("::ffff:10.0.0.5", "192.0.2.1", "https", Client("192.0.2.1", True)),
        # What stands before the first that no named proxy has written is the client's own invention.
        ("10.0.0.5", "6.6.6.6, 192.0.2.1", "https", Client("192.0.2.1", True)),
        ("10.0.0.5", "6.6.6.6, 192.0.2.1, 10.0.0.9", "https", Client("192.0.2.1", True)),
        ("10.0.0.5", "", "https", Client("10.0.0.5", True)),
        ("gate", "192.0.2.1", "https", Client("gate", False)),
    ],
)
def test_the_client_is_the_first_that_no_named_proxy_is(
    peer: str, forwarded_for: str, proto: str, client: Client
) -> None:
    assert Proxies(["10.0.0.0/8"]).client(peer, "http", forwarded_for, proto) == client


def test_tls_to_us_is_tls_whatever_a_header_says() -> None:
    assert Proxies([]).client("192.0.2.1", "https", "", "http").is_secure


def test_a_host_name_is_looked_up_again_when_its_address_may_have_changed() -> None:
    addresses, now = ["172.18.0.3"], 0.0
    proxies = Proxies(["gate"], look_up=lambda host: addresses if host == "gate" else [], clock=lambda: now)
    assert proxies.includes("172.18.0.3")
    addresses = ["172.18.0.4"]
    assert proxies.includes("172.18.0.3")
    now = 31.0
    assert proxies.includes("172.18.0.4")
    assert not proxies.includes("172.18.0.3")


def test_a_host_that_nobody_knows_is_no_proxy() -> None:
    assert not Proxies(["no-such-host.invalid"]).includes("127.0.0.1")
