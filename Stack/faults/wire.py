"""The network between the factory and its ledger, and how it fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

# psycopg2 commits by a message of its own.
_COMMIT = b"Q\0\0\0\x0bCOMMIT\0"
_WRITES = b"INSERT INTO media_assets"

# The connection breaks when the next batch is committed: the server never hears of the commit; or it commits and
# its answer is lost; or the commit still arrives when the client has long given up.
Break = Literal["unsent", "unanswered", "late"]


class Wire:
    """A TCP port behind which a server on a Unix socket answers."""

    def __init__(self, server: Path) -> None:
        self._server = str(server)
        self._calls: list[_Call] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lag = 0.0  # seconds before each answer
        self.silent = False  # nothing passes, in either direction; what was to pass is lost
        self.broken = threading.Event()  # a commit has met its break
        self._break: Break | None = None
        self._late = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._late.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Breaks all connections there are."""
        for call in list(self._calls):
            call.hang_up()

    def mute(self) -> None:
        """The connections that there are never answer again, and do not end; new ones are like any other."""
        for call in list(self._calls):
            call.lost = True

    @contextmanager
    def breaking(self, how: Break) -> Iterator[None]:
        """The next commit of a batch meets this break. A late one goes on its way at the end of the block."""
        self.broken.clear()
        self._late.clear()
        self._break = how
        try:
            yield
        finally:
            self._break = None
            self._late.set()

    def meets(self) -> Break | None:
        """The break that a commit meets now; each meets only one."""
        how, self._break = self._break, None
        return how

    def wait_until_late(self) -> None:
        self._late.wait()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._server)
                except OSError:  # it does not run: refused
                    server.close()
                    client.close()
                    continue
                self._calls = [call for call in self._calls if call.lives]
                self._calls.append(_Call(self, client, server))


class _Call:
    """One connection."""

    def __init__(self, wire: Wire, client: socket.socket, server: socket.socket) -> None:
        self._wire, self._client, self._server = wire, client, server
        self.lives = True
        self.lost = False  # what a connection has missed once makes it useless for good
        threading.Thread(target=self._run, daemon=True).start()

    def hang_up(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        answers = threading.Thread(target=self._pass_answers, daemon=True)
        answers.start()
        with suppress(OSError):
            self._pass_questions()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)
        answers.join()
        self.lives = False
        self._client.close()
        self._server.close()

    def _pass_questions(self) -> None:
        writes = False
        while data := self._client.recv(65536):
            writes |= _WRITES in data
            self.lost |= self._wire.silent
            if writes and data == _COMMIT and not self.lost:
                writes = False
                if (how := self._wire.meets()) is not None:
                    self._break_off(how)
                    return
            if not self.lost:
                self._server.sendall(data)

    def _break_off(self, how: Break) -> None:
        self.lost = True
        self._client.shutdown(socket.SHUT_RDWR)
        self._wire.broken.set()
        if how == "late":
            self._wire.wait_until_late()
        if how != "unsent":
            self._server.sendall(_COMMIT)

    def _pass_answers(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65536):
                if self._wire.lag:
                    time.sleep(self._wire.lag)
                self.lost |= self._wire.silent
                if not self.lost:
                    self._client.sendall(data)
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
