"""Least privilege: what each container may do, and what it cannot reach."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from Stack.tests.stack import INIT, PLUMBING, SERVICES, Stack, docker, settings_of

pytestmark = pytest.mark.stack

# Tries HOST PORT from inside; prints what came of it.
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
    print("connected")
except OSError as error:
    print(error)
"""
# Asks METHOD URL from inside; prints the status, or 0 and why there is none.
ASK = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[2], method=sys.argv[1])
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print(0, error)
"""


@pytest.mark.parametrize("name", [*SERVICES, *PLUMBING])
def test_what_a_container_may_do(stack: Stack, name: str) -> None:
    container = stack.inspect(name)
    host = container["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert host["PidMode"] == "" and host["IpcMode"] in ("private", "shareable") and host["NetworkMode"] != "host"
    assert host["Memory"] > 0 and host["PidsLimit"] > 0
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"


@pytest.mark.parametrize("name", [*SERVICES, "factory_gate"])
def test_no_root(stack: Stack, name: str) -> None:
    user = stack.inspect(name)["Config"]["User"]
    assert user.split(":")[0] not in ("", "0", "root")
    processes = docker("top", name, "-eo", "pid,uid,args").splitlines()[1:]
    assert processes
    assert {line.split()[1] for line in processes} == ({"999"} if name == "factory_postgres" else {str(stack.owner[0])})


def test_only_docker_proxy_has_the_socket_and_nobody_else_mounts_what_is_not_theirs(stack: Stack) -> None:
    for name in (*SERVICES, *PLUMBING, INIT):
        sources = [mount["Source"] for mount in stack.inspect(name)["Mounts"]]
        with_socket = any(source.endswith("docker.sock") for source in sources)
        assert with_socket == (name == "docker_proxy")
        binds = [mount["Source"] for mount in stack.inspect(name)["Mounts"] if mount["Type"] == "bind"]
        allowed = (str(stack.data), "/var/run/docker.sock", "/gate.cfg")
        assert all(source.startswith(allowed[0]) or source.endswith(allowed[1:]) for source in binds), binds


def test_the_read_only_ones_cannot_write_photos(stack: Stack) -> None:
    for name in ("dashboard", "service_monitor"):
        with pytest.raises(AssertionError, match="Read-only file system"):
            stack.exec(name, "touch", "/data/Storage/Originals/x")
        with pytest.raises(AssertionError, match="Read-only file system"):
            stack.exec(name, "touch", "/app/x")


def test_ports_are_on_loopback_and_the_database_has_none(stack: Stack) -> None:
    for name in (*SERVICES, *PLUMBING):
        bindings = stack.inspect(name)["HostConfig"]["PortBindings"] or {}
        addresses = {binding["HostIp"] for ports in bindings.values() for binding in ports}
        assert addresses <= {"127.0.0.1"}, name
        assert bool(bindings) == (name in ("syncthing", "factory_gate")), name


@pytest.mark.parametrize("name", ["factory_postgres", "librarian", "dashboard", "docker_proxy"])
def test_no_way_out(stack: Stack, name: str) -> None:
    """These are in closed networks only."""
    for network in stack.inspect(name)["NetworkSettings"]["Networks"]:
        assert json.loads(docker("network", "inspect", network))[0]["Internal"] is True, network


@contextmanager
def listening_host() -> Iterator[int]:
    """A port on all addresses of the host on which somebody answers."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(0.2)
        done = threading.Event()

        def accept() -> None:
            while not done.is_set():
                with suppress(TimeoutError):
                    server.accept()[0].close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            thread.join()


def _host_addresses() -> set[str]:
    """Every IPv4 address of the host but loopback: its own, and its ends of Docker's bridges."""
    import psutil

    return {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    }


@pytest.mark.parametrize("name", ["dashboard", "librarian"])
def test_the_host_cannot_be_reached(stack: Stack, name: str) -> None:
    networks = stack.inspect(name)["NetworkSettings"]["Networks"].values()
    gateways = {network["Gateway"] for network in networks if network["Gateway"]}
    first_addresses = {".".join([*network["IPAddress"].split(".")[:3], "1"]) for network in networks}
    with listening_host() as port:
        socket.create_connection(("127.0.0.1", port), timeout=3).close()
        for address in _host_addresses() | gateways | first_addresses:
            assert stack.python(name, CONNECT, address, str(port)) != "connected", address


def test_the_dashboard_reaches_what_it_needs_and_nothing_else(stack: Stack) -> None:
    for host, port in (("factory-db", 5432), ("syncthing", 8384), ("gate", 2375)):
        assert stack.python("dashboard", CONNECT, host, str(port)) == "connected", host
    for name in ("docker_proxy", "service_monitor", "librarian"):
        for network in stack.inspect(name)["NetworkSettings"]["Networks"].values():
            for port in (2375, 22, 80):
                assert stack.python("dashboard", CONNECT, network["IPAddress"], str(port)) != "connected"
    assert stack.python("dashboard", CONNECT, "syncthing", "22000") != "connected"


def test_the_database_of_another_service_cannot_be_reached(stack: Stack) -> None:
    """Another compose project with a database, on the same engine."""
    docker("run", "-d", "--rm", "--name", "pf-test-other", "-e", "POSTGRES_PASSWORD=x", "postgres:18")
    try:
        [network] = stack.inspect("pf-test-other")["NetworkSettings"]["Networks"].values()
        assert stack.python("dashboard", CONNECT, network["IPAddress"], "5432") != "connected"
        # Nor its files or passwords, by way of the Docker API.
        for path in ("archive?path=/var/lib/postgresql", "export", "json", "logs?stdout=1", "top"):
            url = f"http://gate:2375/containers/pf-test-other/{path}"
            assert stack.python("dashboard", ASK, "GET", url) == "403", path
    finally:
        docker("rm", "-f", "pf-test-other")


@pytest.mark.parametrize("name", ["dashboard", "service_monitor"])
def test_the_docker_api_is_read_only_and_about_our_containers(stack: Stack, name: str) -> None:
    api = "http://gate:2375"
    for path in (
        "_ping",
        "version",
        "containers/json",
        "containers/librarian/json",
        "v1.41/containers/syncthing/logs?stdout=1",
    ):
        assert stack.python(name, ASK, "GET", f"{api}/{path}") == "200", path
    for method, path in (
        ("POST", "containers/create"),
        ("POST", "containers/librarian/restart"),
        ("POST", "containers/librarian/exec"),
        ("POST", "v1.41/containers/librarian/stop"),
        ("DELETE", "containers/librarian"),
        ("PUT", "containers/librarian/archive?path=/"),
        ("GET", "containers/librarian/archive?path=/run/factory-secrets"),
        ("GET", "containers/librarian/export"),
        ("GET", "containers/librarian%2f..%2fx/json"),
        ("GET", "containers/librarian/../docker_proxy/archive?path=/"),
        ("GET", "images/json"),
        ("GET", "volumes"),
        ("GET", "networks"),
        ("GET", "events"),
        ("GET", "info"),
        ("GET", "secrets"),
        ("POST", "build"),
        ("POST", "auth"),
    ):
        assert stack.python(name, ASK, method, f"{api}/{path}") == "403", f"{method} {path}"


def test_docker_proxy_itself_lets_nothing_be_written(stack: Stack) -> None:
    settings = settings_of(stack.inspect("docker_proxy"))
    opened = {name for name, value in settings.items() if value == "1"}
    assert opened == {"CONTAINERS", "PING", "VERSION"}
    assert settings["POST"] == settings["EVENTS"] == "0"


def test_each_service_sees_only_its_own_secrets(stack: Stack) -> None:
    def seen(name: str) -> set[str]:
        return set(stack.exec(name, "ls", "/run/factory-secrets").split())

    assert seen("librarian") == {"db_password"}
    assert seen("dashboard") == {"db_password", "syncthing_api_key", "dashboard_password"}
    assert seen("service_monitor") == {"db_password", "syncthing_api_key", "syncthing_gui_password", "alert_urls"}
    assert seen("factory_postgres") == {"db_password"}
    assert seen("syncthing") == {"syncthing_api_key", "syncthing_gui_password"}


def test_the_ledger_wants_its_password(stack: Stack) -> None:
    program = "import psycopg2, sys; psycopg2.connect(host='factory-db', user='photo_factory', password=sys.argv[1])"
    with pytest.raises(AssertionError, match="password authentication failed"):
        stack.python("librarian", program, "photo_factory")
    stack.python("librarian", program, stack.secret("librarian", "db_password"))


@pytest.mark.parametrize("path", ["/", "/rest/system/status", "/rest/config"])
def test_the_gui_of_syncthing_refuses_without_a_password(stack: Stack, path: str) -> None:
    if path == "/":  # newer ones show a page to log in, and nothing else
        path = "/rest/system/connections"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{stack.syncthing}{path}", timeout=10)
    assert caught.value.code in (401, 403)


def test_the_gui_of_syncthing_takes_the_password(stack: Stack) -> None:
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, stack.syncthing, "factory", stack.secret("syncthing", "syncthing_gui_password"))
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
    request = urllib.request.Request(f"{stack.syncthing}/rest/noauth/health")
    assert opener.open(request, timeout=10).status == 200
    with suppress(urllib.error.HTTPError):
        assert opener.open(f"{stack.syncthing}/", timeout=10).status == 200
