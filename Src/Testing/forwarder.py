"""A way to a server that a test can cut."""

from __future__ import annotations

import socket
import threading
import weakref
from contextlib import suppress
from pathlib import Path


class Forwarder:
    """A TCP port of this machine behind which a server on a Unix socket answers; it can be cut off."""

    def __init__(self, server: Path) -> None:
        self._server = str(server)
        self._lock = threading.Lock()
        place = socket.socket()  # listens never: it keeps the port ours while nobody answers
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(("127.0.0.1", 0))
        weakref.finalize(self, place.close)
        self.port: int = place.getsockname()[1]
        self.reopen()

    def reopen(self) -> None:
        """Answers, at the same port as before."""
        self._pipes: list[socket.socket] | None = []  # None: cut
        self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """From now on nobody answers."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            pipes, self._pipes = self._pipes, None
        for end in (self._listener, *(pipes or ())):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                with self._lock:
                    if self._listener is not listener or self._pipes is None:  # cut in this moment
                        client.close()
                        server.close()
                        return
                    self._pipes += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
