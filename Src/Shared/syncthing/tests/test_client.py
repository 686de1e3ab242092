"""The client, against a real Syncthing and against servers that are none: one line for everything that fails."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from Src.Shared.settings import load_settings
from Src.Shared.syncthing.client import Syncthing, SyncthingError
from Src.Shared.syncthing.connecting import connect
from Src.Shared.syncthing.tests.real_syncthing import LIMIT, RealSyncthing

NO_FILE = Path("no.env")


def _refusal(client: Syncthing) -> str:
    with pytest.raises(SyncthingError) as caught:
        client.system_status()
    client.close()
    line = str(caught.value)
    assert line.isprintable()
    return line


@contextmanager
def _server(answer: bytes) -> Iterator[str]:
    """Answers everything with these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_status(syncthing: RealSyncthing) -> None:
    syncthing.client.check_health()
    status = syncthing.client.system_status()
    assert len(status.id) == 63
    assert status.version.startswith("v")
    assert status.listening == (syncthing.address,)
    assert status.trouble == ()


def test_a_wrong_key_is_told(syncthing: RealSyncthing) -> None:
    assert "is SYNCTHING_API_KEY its API key?" in _refusal(Syncthing(syncthing.url, "wrong key", timeout=LIMIT))


def test_a_folder_that_is_not_there(syncthing: RealSyncthing) -> None:
    with pytest.raises(SyncthingError, match="/rest/config/folders/none: 404, No folder with given ID"):
        syncthing.client.folder_state("none")


def test_nobody_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # held, so that nobody else listens there
        port = silent.getsockname()[1]
        assert _refusal(Syncthing(f"http://127.0.0.1:{port}", "key", timeout=LIMIT)) == (
            f"nothing answers at http://127.0.0.1:{port}; is Syncthing running, is SYNCTHING_URL right?"
        )


def test_one_that_never_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert _refusal(Syncthing(url, "key", timeout=0.2)) == f"{url} does not answer within 0.2 s"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n<html>a printer</html>", "does not answer as Syncthing does"),
        (b"HTTP/1.0 200 OK\r\n\r\n[]", "does not answer as Syncthing does"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", "Syncthing's answer lacks myID"),
        (b"HTTP/1.0 200 OK\r\n\r\n", "does not answer as Syncthing does"),
        (b"HTTP/1.0 500 Oh\r\n\r\n\x1b[2Jboom\nmore", "500, \\x1b[2Jboom"),
        (b"HTTP/1.0 307 No\r\nLocation: https://127.0.0.1/\r\n\r\n", "307"),
        (b"no HTTP at all", "nothing answers at"),
    ],
)
def test_what_is_no_syncthing_is_one_line(answer: bytes, told: str) -> None:
    with _server(answer) as url:
        assert told in _refusal(Syncthing(url, "key", timeout=LIMIT))


def test_a_proxy_of_the_environment_is_not_asked(syncthing: RealSyncthing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    client = Syncthing(syncthing.url, "key-of-a-test", timeout=LIMIT)
    assert client.my_id() == syncthing.id
    client.close()


def test_the_settings_say_where(syncthing: RealSyncthing) -> None:
    settings = load_settings({"SYNCTHING_URL": syncthing.url + "/", "SYNCTHING_API_KEY": "key-of-a-test"}, NO_FILE)
    client = connect(settings)
    assert client.my_id() == syncthing.id
    client.close()


def test_without_a_key_this_users_own_syncthing_is_asked(
    syncthing: RealSyncthing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    (state / "syncthing").mkdir(parents=True)
    (state / "syncthing" / "config.xml").write_bytes(syncthing.configuration())
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    client = connect(load_settings({}, NO_FILE))
    assert client.my_id() == syncthing.id
    client.close()


def test_without_a_key_and_a_syncthing_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SyncthingError, match="SYNCTHING_API_KEY is not set"):
        connect(load_settings({}, NO_FILE))
    (tmp_path / ".config" / "syncthing").mkdir(parents=True)
    (tmp_path / ".config" / "syncthing" / "config.xml").write_text("<configuration>")
    with pytest.raises(SyncthingError, match=r"config\.xml cannot be read"):
        connect(load_settings({}, NO_FILE))
