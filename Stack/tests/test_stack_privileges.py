"""Least privilege: what each container may do, and what it cannot reach."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import psutil
import pytest
import requests

from Src.Testing.patience import wait_until
from Stack.tests.stack import INIT, LIMIT, MIGRATE, MOVE_IN, PLUMBING, SERVICES, Stack, docker, docker_says, settings_of

pytestmark = pytest.mark.stack


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
    for name in (*SERVICES, *PLUMBING, INIT, MOVE_IN, MIGRATE):
        sources = [mount["Source"] for mount in stack.inspect(name)["Mounts"]]
        with_socket = any(source.endswith("docker.sock") for source in sources)
        assert with_socket == (name in ("docker_proxy", MOVE_IN))
        binds = [mount["Source"] for mount in stack.inspect(name)["Mounts"] if mount["Type"] == "bind"]
        allowed = (str(stack.data), str(stack.own), "/var/run/docker.sock", "/gate.cfg", "/factory-db.sh")
        assert all(source.startswith(allowed[:2]) or source.endswith(allowed[2:]) for source in binds), binds


def test_who_has_the_socket_and_may_write_to_it_ends_at_once_and_reaches_nobody(stack: Stack) -> None:
    container = stack.inspect(MOVE_IN)
    assert container["State"]["Status"] == "exited"
    assert container["HostConfig"]["NetworkMode"] == "none"
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert [mount["RW"] for mount in container["Mounts"] if mount["Destination"] == "/data"] == [False]


def test_originals_are_writable_for_the_librarian_only(stack: Stack) -> None:
    for name in (*SERVICES, *PLUMBING):
        mounts = {mount["Destination"]: mount["RW"] for mount in stack.inspect(name)["Mounts"]}
        above = [writable for place, writable in mounts.items() if place in ("/data", "/data/Storage")]
        assert any(above) == (name == "librarian"), mounts


def test_the_monitor_sees_no_photo(stack: Stack) -> None:
    """Of inbox and storage an empty folder each: enough for how full their disks are."""
    stack.drop("not for the monitor.jpg", b"no photo")
    (stack.inbox / "not for the monitor.jpg").unlink()
    not_run = ("-path", "/data/.run", "-prune", "-o")  # where files come and go
    plates = stack.exec("service_monitor", "find", "/data", *not_run, "-type", "f", "-print").splitlines()
    assert sorted(plates) == ["/data/Photos_Inbox/nameplate", "/data/Storage/nameplate"]
    disk = os.statvfs(stack.storage)
    total = [[str(disk.f_blocks * disk.f_frsize)]]
    found = "SELECT details->'checks'->'vault disk'->>'total' FROM system_status WHERE service_name = 'service-monitor'"
    wait_until(partial(_is_answered, stack, found, total), LIMIT, "it has looked at the disk")  # it may just have begun


def test_nobody_but_the_librarian_sees_the_key_of_the_signed_lists(stack: Stack) -> None:
    """The dashboard runs as the same user, and mounts what is above it."""
    folder = stack.storage / ".factory" / "manifests"
    (folder / "a key").write_bytes(b"secret")
    try:
        assert "a key" in stack.exec("librarian", "ls", "-A", "/data/Storage/.factory/manifests").split("\n")
        assert stack.exec("dashboard", "ls", "-A", "/data/Storage/.factory/manifests") == ""
        assert stack.exec("dashboard", "find", "/data/Storage/.factory", "-name", "a key") == ""
        with pytest.raises(AssertionError, match="No such file"):
            stack.exec("service_monitor", "ls", "/data/Storage/.factory")
    finally:
        (folder / "a key").unlink()


def test_the_read_only_ones_cannot_write_photos(stack: Stack) -> None:
    for name in ("dashboard", "service_monitor"):
        with pytest.raises(AssertionError, match="Read-only file system"):
            stack.exec(name, "touch", "/data/Storage/x")
        with pytest.raises(AssertionError, match="Read-only file system"):
            stack.exec(name, "touch", "/app/x")
    with pytest.raises(AssertionError, match="Read-only file system"):
        stack.exec("dashboard", "touch", "/data/Storage/Originals/x")


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
    return {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    }


@pytest.mark.parametrize("name", ["dashboard", "librarian"])
def test_the_host_cannot_be_reached(stack: Stack, name: str) -> None:
    networks = stack.inspect(name)["NetworkSettings"]["Networks"]
    subnets = [json.loads(docker("network", "inspect", network))[0]["IPAM"]["Config"][0] for network in networks]
    gateways = {subnet["Gateway"] for subnet in subnets}
    assert len(gateways) == len(networks)
    with listening_host() as port:
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT).close()
        assert stack.reached(name, [(address, port) for address in _host_addresses() | gateways]) == set()


def test_the_dashboard_reaches_what_it_needs_and_nothing_else(stack: Stack) -> None:
    needed = {("factory-db", 5432), ("syncthing", 8384), ("gate", 2375)}
    others = {
        (address, port)
        for name in ("docker_proxy", "service_monitor", "librarian")
        for address in stack.addresses(name)
        for port in (2375, 8501)
    }
    assert stack.reached("dashboard", needed, limit=120) == needed
    assert stack.reached("dashboard", others) == set()


def test_the_database_of_another_service_cannot_be_reached(stack: Stack) -> None:
    """Somebody else's container on the same engine, with a database."""
    other, image = "photo-factory-test-other", stack.inspect("factory_postgres")["Config"]["Image"]
    docker("rm", "-f", other, check=False)  # of an earlier run that was killed
    docker("run", "-d", "--rm", "--name", other, "-e", "POSTGRES_PASSWORD=x", image)
    try:
        [address] = stack.addresses(other)
        wait_until(lambda: "ready to accept" in docker_says("logs", other), LIMIT, "the other database is up")
        assert stack.reached("dashboard", [(address, 5432)]) == set()
        # Nor its files or passwords, by way of the Docker API.
        container = stack.inspect(other)["Id"]
        for path in ("archive?path=/var/lib/postgresql", "export", "json", "logs?stdout=1", "top"):
            for name in (other, container):
                question = ("GET", f"http://gate:2375/containers/{name}/{path}")
                assert stack.asked("dashboard", [question]) == {question: 403}
    finally:
        docker("rm", "-f", other)


@pytest.mark.parametrize("name", ["dashboard", "service_monitor"])
def test_the_docker_api_is_read_only_and_about_our_containers(stack: Stack, name: str) -> None:
    api = "http://gate:2375"
    allowed = (
        "version",
        "containers/librarian/json",
        "v1.41/containers/syncthing/logs?stdout=1",
        "containers/factory_gate/logs?stdout=1&follow=0",
    )
    answers = stack.asked(name, [("GET", f"{api}/{path}") for path in allowed])
    assert set(answers.values()) == {200}, answers
    forbidden = (
        ("GET", "_ping"),
        ("GET", "containers/json"),
        ("GET", "containers/factory_init/json"),
        ("GET", "containers/factory_init/logs?stdout=1"),
        ("GET", "containers/factory_move_in/json"),
        ("GET", "containers/factory_postgres/stats?stream=0&one-shot=1"),
        ("GET", "containers/librarian/logs?stdout=1&follow=1"),
        ("HEAD", "containers/librarian/json"),
        ("POST", "containers/create"),
        ("POST", "containers/librarian/restart"),
        ("POST", "containers/librarian/exec"),
        ("POST", "containers/librarian/json"),
        ("POST", "v1.41/containers/librarian/stop"),
        ("DELETE", "containers/librarian"),
        ("PUT", "containers/librarian/archive?path=/"),
        ("GET", "containers/librarian/archive?path=/run/factory-secrets"),
        ("GET", "containers/librarian/export"),
        ("GET", "containers/librarian/attach/ws"),
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
    )
    answers = stack.asked(name, [(method, f"{api}/{path}") for method, path in forbidden])
    assert len(answers) == len(forbidden)
    assert set(answers.values()) == {403}, answers


def test_docker_proxy_itself_lets_nothing_be_written(stack: Stack) -> None:
    settings = settings_of(stack.inspect("docker_proxy"))
    opened = {name for name, value in settings.items() if value == "1"}
    assert opened == {"CONTAINERS", "PING", "VERSION"}
    assert settings["POST"] == settings["EVENTS"] == "0"


def test_each_service_sees_only_its_own_secrets(stack: Stack) -> None:
    def seen(name: str) -> set[str]:
        return set(stack.exec(name, "ls", "/run/factory-secrets").split())

    assert seen("librarian") == {"pf_librarian_password", "plate_id"}
    assert seen("dashboard") == {"pf_dashboard_password", "syncthing_api_key", "dashboard_password", "plate_id"}
    assert seen("service_monitor") == {"pf_monitor_password", "syncthing_api_key", "alert_urls", "plate_id"}
    assert seen("factory_postgres") == {"db_password", "roles.sql", "databases.sql"}
    assert seen("syncthing") == {"syncthing_api_key", "syncthing_gui_password", "plate_id"}


def test_on_the_host_secrets_are_for_their_services_user_only(stack: Stack) -> None:
    for folder in (path for path in stack.secrets.iterdir() if path.is_dir()):
        owner = 999 if folder.name == "factory-db" else stack.owner[0]
        for path in (folder, *folder.iterdir()):
            assert path.stat().st_uid == owner
            assert path.stat().st_mode & 0o077 == 0, path


def test_the_ledger_wants_its_password(stack: Stack) -> None:
    program = """
import psycopg2
def takes(user, password):
    try:
        psycopg2.connect(host="factory-db", user=user, dbname="photo_factory", password=password).close()
    except psycopg2.OperationalError as error:
        return str(error)
    return "yes"
answer = [takes(*one) for one in given]
"""
    owner, right = stack.secret("factory_postgres", "db_password"), stack.secret("librarian", "pf_librarian_password")
    tries = [("pf_librarian", ""), ("pf_librarian", "pf_librarian"), ("pf_librarian", right), ("photo_factory", owner)]
    no_password, usual, yes, of_owner = stack.python("librarian", program, tries)
    assert "no password supplied" in no_password
    assert "password authentication failed" in usual
    assert yes == of_owner == "yes"
    names = ("factory_admin", "photo_factory", "pf_dashboard")
    others = [(name, password) for name in names for password in ("", right)]
    assert "yes" not in stack.python("librarian", program, others)


def _is_answered(stack: Stack, question: str, answer: list[list[str]]) -> bool:
    return stack.sql(question) == answer


def test_no_service_is_a_superuser_of_the_ledger(stack: Stack) -> None:
    clients = "FROM pg_stat_activity JOIN pg_roles r ON r.oid = usesysid WHERE backend_type = 'client backend'"
    roles = {"librarian": "pf_librarian", "service-monitor": "pf_monitor", "dashboard": "pf_dashboard"}
    for service, role in roles.items():
        connected = f"SELECT DISTINCT usename {clients} AND application_name = '{service}'"
        wait_until(partial(_is_answered, stack, connected, [[role]]), LIMIT, f"{service} as {role}")
    assert stack.sql(f"SELECT usename {clients} AND rolsuper") == []
    assert stack.sql("SELECT rolname FROM pg_roles WHERE rolsuper") == [["factory_admin"]]
    assert stack.sql("SELECT current_user") == [["photo_factory"]]


def test_the_gui_of_syncthing_refuses_without_a_password(stack: Stack) -> None:
    for path in ("config", "system/status", "system/connections", "db/browse?folder=photos-inbox"):
        assert requests.get(f"{stack.syncthing}/rest/{path}", timeout=LIMIT).status_code in (401, 403), path
    for user, password in (("", ""), ("factory", ""), ("factory", "factory"), ("admin", "admin")):
        answer = _log_in(stack, user, password)
        assert answer.status_code == 403, (user, password)
    assert _log_in(stack, "factory", stack.secret("syncthing", "syncthing_gui_password")).ok


def _log_in(stack: Stack, user: str, password: str) -> requests.Response:
    """As the login page of the GUI does."""
    said = {"username": user, "password": password}
    return requests.post(f"{stack.syncthing}/rest/noauth/auth/password", json=said, timeout=LIMIT)
