"""The gate: who says nothing holds up nobody, and a page's WebSocket stays."""

from __future__ import annotations

import base64
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
import requests

from Src.Testing.patience import wait_until
from Stack.tests.stack import LIMIT, Stack

pytestmark = pytest.mark.stack

SILENT = 1100  # connections: more than the dashboard could hold itself
QUIET = 35.0  # seconds: longer than the gate waits for a request, or for an answer's next piece


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may have so many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * SILENT)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connected(stack: Stack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(stack.environment["DASHBOARD_PORT"])), timeout=LIMIT)


def reaches(stack: Stack) -> bool:
    return requests.get(f"{stack.dashboard}/_stcore/health", timeout=LIMIT).text == "ok"


def ends(connection: socket.socket) -> bool:
    """Whether the other side closes; nothing or a refusal is all that it said."""
    said = b""
    with suppress(ConnectionError):  # it had closed before our last words came
        while piece := connection.recv(4096):
            said += piece
    return not said or said.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("beginning", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_silent_connections_hold_up_nobody(stack: Stack, many_files: None, beginning: bytes) -> None:
    with ExitStack() as opened:
        silent = [opened.enter_context(closing(connected(stack))) for _ in range(SILENT)]
        for connection in silent:
            with suppress(ConnectionError):  # to open so many may take longer than the first is waited for
                connection.sendall(beginning)
        for _ in range(5):
            assert reaches(stack)
        [established] = stack.python("dashboard", ESTABLISHED)
        assert established < 100, "the dashboard hears nothing of them"
        assert all(ends(connection) for connection in silent), "the gate does not wait for ever"
    assert stack.state("dashboard") == stack.state("factory_gate") == "healthy"


# Run in the dashboard's container: how many connections it has.
ESTABLISHED = """
import psutil
found = [one for one in psutil.net_connections("tcp") if one.laddr.port == 8501 and one.status == "ESTABLISHED"]
answer = [len(found)]
"""


def test_a_body_that_never_comes_holds_up_nobody(stack: Stack) -> None:
    with closing(connected(stack)) as connection:
        connection.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npassword=")
        assert ends(connection)


def logged_in(stack: Stack) -> str:
    """The cookie of somebody who has logged in."""
    password = stack.secret("dashboard", "dashboard_password")
    answer = requests.post(
        f"{stack.dashboard}/login", data={"password": password}, allow_redirects=False, timeout=LIMIT
    )
    assert answer.status_code == 303
    return "; ".join(f"{name}={value}" for name, value in answer.cookies.items())


@contextmanager
def websocket(stack: Stack, cookie: str) -> Iterator[socket.socket]:
    """Streamlit's, opened as a browser does."""
    host = stack.dashboard.removeprefix("http://")
    key = base64.b64encode(os.urandom(16)).decode()
    with closing(connected(stack)) as connection:
        connection.sendall(
            (
                f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: {stack.dashboard}\r\nCookie: {cookie}\r\n"
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: streamlit\r\n\r\n"
            ).encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = connection.recv(1)
            assert piece, answer
            answer += piece
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        yield connection


def frame(connection: socket.socket) -> int:
    """Reads a frame; its kind."""

    def exactly(count: int) -> bytes:
        content = b""
        while len(content) < count:
            piece = connection.recv(count - len(content))
            assert piece, "it was closed"
            content += piece
        return content

    first, length = exactly(2)
    if length & 0x7F == 126:
        length = int.from_bytes(exactly(2))
    elif length & 0x7F == 127:
        length = int.from_bytes(exactly(8))
    exactly(length)
    return first & 0x0F


def test_a_page_that_is_left_open_stays_connected(stack: Stack) -> None:
    ping, pong = bytes([0x89, 0x80, 1, 2, 3, 4]), 0x0A  # masked, as of a client
    with websocket(stack, logged_in(stack)) as connection:
        time.sleep(QUIET)  # nothing is asked of the page meanwhile
        connection.sendall(ping)
        while frame(connection) != pong:
            pass


def test_the_health_page_of_the_gate_is_not_for_others(stack: Stack) -> None:
    address = stack.addresses("factory_gate").pop()
    assert stack.reached("dashboard", [(one, 8500) for one in stack.addresses("factory_gate")]) == set(), address
    assert requests.get(f"{stack.dashboard}/healthy", timeout=LIMIT).status_code == 401


def test_a_gate_or_proxy_that_does_not_answer_is_not_healthy(stack: Stack) -> None:
    """Its health check asks it, and docker-proxy's asks the engine too."""
    for name in ("factory_gate", "docker_proxy"):
        test = stack.inspect(name)["Config"]["Healthcheck"]["Test"]
        assert test[0] == "CMD-SHELL"
        answers = f"{test[1].strip()} && echo it answers"
        wait_until(lambda: stack.exec(name, "sh", "-c", answers, check=False), LIMIT, "it answers")  # noqa: B023
        broken = test[1].replace("2375", "2376").replace("8500", "8502")
        with pytest.raises(AssertionError):
            stack.exec(name, "sh", "-c", broken)
    wait_until(lambda: stack.state("factory_gate") == "healthy", LIMIT, "it is healthy")
