"""The Docker API: as an engine answers it, as something else does, and a real engine where there is one."""

from __future__ import annotations

import gc
import json
import os
import shutil
import socketserver
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from Src.Shared.docker_api import CONTAINERS, LINE_LIMIT, Container, DockerApi, DockerUnavailable, LogLine
from Src.Testing.patience import wait_until

PATIENCE = 60  # seconds

VERSION = {"ApiVersion": "1.47", "MinAPIVersion": "1.24", "Version": "27.3.1"}
RUNNING = {
    "Status": "running",
    "StartedAt": "2026-05-01T10:00:00.123456789Z",
    "FinishedAt": "0001-01-01T00:00:00Z",
    "ExitCode": 0,
    "OOMKilled": False,
    "Health": {"Status": "healthy"},
}
EXITED = {
    **RUNNING,
    "Status": "exited",
    "FinishedAt": "2026-05-01T11:00:00.5+02:00",
    "ExitCode": 137,
    "OOMKilled": True,
    "Health": None,
}


def frame(stream: int, text: bytes) -> bytes:
    """A piece of a log as an engine frames it where there is no terminal."""
    return struct.pack(">BxxxL", stream, len(text)) + text


class Engine:
    """Answers as a Docker Engine does, at a Unix socket or a TCP port."""

    def __init__(self, address: str | tuple[str, int]) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, bytes]] = {"/version": (200, json.dumps(VERSION).encode())}
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                engine.asked.append(f"{self.command} {self.path}")
                path = self.path.partition("?")[0].removeprefix("/v1.47")
                missing = json.dumps({"message": f"No such container: {path}"}).encode()
                status, content = engine.answers.get(path, (404, missing))
                with suppress(ConnectionError):  # the SDK does not read what it does not want
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

            def address_string(self) -> str:
                return "client"

            def log_message(self, *_: object) -> None:
                pass

        class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self.server: socketserver.BaseServer
        if isinstance(address, str):
            self.server, self.host = UnixServer(address, Handler), f"unix://{address}"
        else:
            self.server = tcp = ThreadingHTTPServer(address, Handler)
            self.host = f"tcp://127.0.0.1:{tcp.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def api(self) -> DockerApi:
        return DockerApi(self.host, timeout=PATIENCE)

    def add(self, name: str, state: dict[str, Any], restarts: int = 0, log: bytes = b"", tty: bool = False) -> None:
        inspected = {"Id": "f00", "Name": f"/{name}", "State": state, "RestartCount": restarts, "Config": {"Tty": tty}}
        self.answers[f"/containers/{name}/json"] = (200, json.dumps(inspected).encode())
        self.answers[f"/containers/{name}/logs"] = (200, log)


@pytest.fixture(params=["unix", "tcp"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # that is not the way to an engine
    engine = Engine(str(tmp_path / "docker.sock") if request.param == "unix" else ("127.0.0.1", 0))
    yield engine
    engine.server.shutdown()
    engine.server.server_close()


def test_a_stack_with_a_name_asks_for_its_own_containers(engine: Engine) -> None:
    engine.add("second_librarian", RUNNING, log=frame(1, b"2026-05-01T10:00:00Z hello\n"))
    engine.add("librarian", EXITED)
    api = DockerApi(engine.host, "second", timeout=PATIENCE)
    assert [(one.service, one.name, one.state) for one in api.containers()] == [
        ("librarian", "second_librarian", "running")
    ]
    assert [line.text for line in api.log_lines("librarian")] == ["hello"]


def test_containers_of_the_factory_as_they_are(engine: Engine) -> None:
    engine.add("factory_postgres", EXITED, restarts=3)
    engine.add("librarian", RUNNING)
    engine.add("other_peoples", RUNNING)
    assert engine.api.containers() == [
        Container(
            service="librarian",
            name="librarian",
            state="running",
            health="healthy",
            restart_count=0,
            started_at=datetime(2026, 5, 1, 10, 0, 0, 123456, tzinfo=UTC),
            finished_at=None,
            exit_code=0,
            out_of_memory=False,
        ),
        Container(
            service="factory-db",
            name="factory_postgres",
            state="exited",
            health=None,
            restart_count=3,
            started_at=datetime(2026, 5, 1, 10, 0, 0, 123456, tzinfo=UTC),
            finished_at=datetime(2026, 5, 1, 9, 0, 0, 500000, tzinfo=UTC),
            exit_code=137,
            out_of_memory=True,
        ),
    ]


def test_it_only_reads_and_asks_for_its_own_containers_by_name(engine: Engine) -> None:
    """All that the proxy of the stack lets through."""
    engine.add("librarian", RUNNING)
    api = engine.api
    api.containers()
    api.log_lines("librarian")
    paths = {asked.partition("?")[0] for asked in engine.asked}
    assert paths <= {
        "GET /version",
        *(f"GET /v1.47/containers/{name}/{what}" for name in CONTAINERS.values() for what in ("json", "logs")),
    }


def test_no_containers_are_no_error(engine: Engine) -> None:
    assert engine.api.containers() == []
    assert engine.api.log_lines("librarian") == []
    with pytest.raises(KeyError):
        engine.api.log_lines("other_peoples")


def test_log_lines_of_both_streams_with_their_times(engine: Engine) -> None:
    log = (
        frame(1, b"2026-05-01T10:00:00.000000001Z watching /data\n")
        + frame(2, b"2026-05-01T10:00:01.5Z caf\xe9 \x1b[31m\r\n")
        + frame(1, b"2026-05-01T10:00:02Z " + b"x" * 10_000 + b"\n" + b"no time\n")
    )
    engine.add("librarian", RUNNING, log=log)
    lines = engine.api.log_lines("librarian", 3)
    assert lines == [
        LogLine(datetime(2026, 5, 1, 10, 0, 0, 0, tzinfo=UTC), "watching /data"),
        LogLine(datetime(2026, 5, 1, 10, 0, 1, 500000, tzinfo=UTC), "caf\ufffd \x1b[31m"),
        LogLine(datetime(2026, 5, 1, 10, 0, 2, 0, tzinfo=UTC), "x" * LINE_LIMIT),
        LogLine(None, "no time"),
    ]
    [asked] = [one for one in engine.asked if "/logs?" in one]
    assert "tail=3" in asked and "timestamps=1" in asked and "follow=0" in asked


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>a router"),
        (200, b"[]"),
        (200, b"{}"),
        (500, b'{"message": "server error\\n of some kind"}'),
        (403, b"<html><body>403 Forbidden</body></html>"),
        (301, b""),
    ],
)
@pytest.mark.parametrize("path", ["/version", "/containers/librarian/json"])
def test_whatever_else_answers_is_one_line(engine: Engine, path: str, answer: tuple[int, bytes]) -> None:
    engine.answers[path] = answer
    with pytest.raises(DockerUnavailable) as caught:
        engine.api.containers()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"the Docker API at {engine.host} cannot be used: ")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK leaves its socket to Python
@pytest.mark.parametrize(
    "host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "nonsense://x", "ssh://x", "tcp://["]
)
def test_an_engine_that_is_away_is_one_line(host: str) -> None:
    for ask in (DockerApi(host).containers, lambda: DockerApi(host).log_lines("librarian")):
        with pytest.raises(DockerUnavailable) as caught:
            ask()
        assert "\n" not in str(caught.value) and host in str(caught.value)
    del caught
    gc.collect()


def test_an_engine_that_is_silent_is_not_waited_for_long(tmp_path: Path) -> None:
    class Silent(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            silence.wait(600)

    silence = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            with pytest.raises(DockerUnavailable, match="timed out"):
                DockerApi(f"tcp://127.0.0.1:{server.server_address[1]}", timeout=1).containers()
        finally:
            silence.set()
            server.shutdown()


def test_a_real_engine() -> None:
    if shutil.which("docker") is None or subprocess.run(["docker", "version"], capture_output=True).returncode:
        pytest.skip("no Docker Engine runs here")
    api = DockerApi(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"), timeout=PATIENCE)

    def names() -> set[str]:
        command = ["docker", "ps", "--all", "--format", "{{.Names}}"]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    def lines_of(one: Container) -> list[LogLine]:
        with suppress(DockerUnavailable):
            return api.log_lines(one.service, 10)
        wait_until(lambda: one not in api.containers())  # of one that is being removed there is no log
        return []

    # Others may make and remove containers of the stack meanwhile.
    wait_until(lambda: {one.name for one in api.containers()} == set(CONTAINERS.values()) & names())
    for one in api.containers():
        assert all(isinstance(line, LogLine) for line in lines_of(one))
