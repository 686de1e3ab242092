"""The Docker Engine at its own socket, for who may do anything with it. Nothing but the standard library.

The services read through a proxy instead, see `docker_api.py`.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode

SOCKET = Path("/var/run/docker.sock")
_ANSWER_LIMIT = 600.0  # seconds of silence, also between two pieces of a long answer


class EngineError(Exception):
    """The engine cannot be asked, or refuses. The message is one line."""


class NotThere(EngineError):
    """There is nothing of that name."""


class Engine:
    """One engine; each question is a connection of its own."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path

    def container(self, name: str) -> dict[str, Any]:
        """As `docker inspect` shows it. Raises NotThere, EngineError."""
        return cast(dict[str, Any], self._ask("GET", f"/containers/{quote(name, safe='')}/json"))

    def has_volume(self, name: str) -> bool:
        """Raises EngineError."""
        try:
            self._ask("GET", f"/volumes/{quote(name, safe='')}")
        except NotThere:
            return False
        return True

    def users_of(self, volume: str) -> list[str]:
        """The names of containers that run and have the volume mounted. Raises EngineError."""
        wanted = {"volume": [volume], "status": ["running", "paused", "restarting"]}
        found = self._ask("GET", "/containers/json?" + urlencode({"filters": json.dumps(wanted)}))
        # The engine also finds volumes whose name only begins so.
        return [
            one["Names"][0].lstrip("/")
            for one in cast(list[dict[str, Any]], found)
            if any(mount.get("Name") == volume for mount in one["Mounts"])
        ]

    def create_container(self, name: str, description: Mapping[str, Any]) -> None:
        """Does not start it. Raises EngineError."""
        self._ask("POST", "/containers/create?" + urlencode({"name": name}), description)

    def remove_container(self, name: str) -> None:
        """Also one that is not there. No volume goes with it. Raises EngineError."""
        try:
            self._ask("DELETE", f"/containers/{quote(name, safe='')}?force=true&v=false")
        except NotThere:
            return

    @contextmanager
    def files(self, container: str, folder: str) -> Iterator[TarStream]:
        """A folder of a container, which need not run, as a tar stream. Raises EngineError, also when it is read."""
        path = f"/containers/{quote(container, safe='')}/archive?" + urlencode({"path": f"{folder}/."})
        with closing(_Connection(self._path)) as connection:
            yield TarStream(self._answer(connection, "GET", path, None))

    def _ask(self, method: str, path: str, content: object = None) -> Any:
        with closing(_Connection(self._path)) as connection:
            answer = self._answer(connection, method, path, content)
            with _said_plainly():
                text = answer.read()
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise EngineError(f"the Docker Engine's answer to {method} {path} is no JSON") from error

    def _answer(self, connection: _Connection, method: str, path: str, content: object) -> http.client.HTTPResponse:
        with _said_plainly():
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, None if content is None else json.dumps(content), headers)
            answer = connection.getresponse()
            if answer.status < 300:
                return answer
            said = _message(answer.read())
        kind = NotThere if answer.status == 404 else EngineError
        raise kind(f"the Docker Engine refuses {method} {path.partition('?')[0]}: {said}")


class TarStream:
    """What `tarfile` reads from."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer

    def read(self, size: int) -> bytes:
        """Raises EngineError where the stream breaks off."""
        with _said_plainly():
            return self._answer.read(size)

    def finish(self) -> None:
        """Reads to the end. Raises EngineError where there is none: the engine gave up in the middle."""
        while self.read(1 << 20):
            pass


@contextmanager
def _said_plainly() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise EngineError(f"the Docker Engine cannot be reached: {str(error) or type(error).__name__}") from error


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_LIMIT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _message(text: bytes) -> str:
    try:
        said = str(json.loads(text)["message"])
    except (ValueError, LookupError, TypeError):
        said = text.decode(errors="replace")
    return " ".join(said.split()) or "no reason given"
