"""Real receivers of alerts: an HTTP server that takes JSON, and an SMTP server."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

PATIENCE = "cto=600&rto=600"  # for Apprise, which would send again what is answered after a few seconds


class HttpReceiver:
    """Keeps what is posted to it; refuses while `refusing`."""

    def __init__(self) -> None:
        self.asked = 0
        self.received: list[dict[str, Any]] = []
        self.refused = 0
        self.refusing = False
        self.delay = threading.Event()
        self.delay.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.asked += 1
                receiver.delay.wait(600)
                refusing = receiver.refusing  # at one moment: what is refused must not be told as taken
                if refusing:
                    receiver.refused += 1
                else:
                    receiver.received.append(json.loads(content))
                self.send_response(503 if refusing else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        """For Apprise, with a password and a token in it."""
        return f"json://user:sesame@127.0.0.1:{self._server.server_address[1]}/bot-sesame/alerts?{PATIENCE}"

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.received]

    def close(self) -> None:
        self.delay.set()
        self._server.shutdown()
        self._server.server_close()


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs that sends one message."""

    def handle(self) -> None:
        self._say(220, "test")
        while line := self.rfile.readline():
            match line[:4].upper().rstrip():
                case b"DATA":
                    self._say(354, "go on")
                    content = b""
                    while (part := self.rfile.readline()) != b".\r\n":
                        content += part.removeprefix(b".") if part.startswith(b"..") else part
                    messages = cast(SmtpReceiver, self.server).messages
                    messages.append(message_from_bytes(content, EmailMessage, policy=policy.default))
                    self._say(250, "taken")
                case b"QUIT":
                    self._say(221, "bye")
                    return
                case b"EHLO" | b"HELO" | b"MAIL" | b"RCPT" | b"RSET" | b"NOOP":
                    self._say(250, "fine")
                case _:
                    self._say(502, "not known here")

    def _say(self, code: int, words: str) -> None:
        self.wfile.write(f"{code} {words}\r\n".encode())


class SmtpReceiver(socketserver.ThreadingTCPServer):
    """Keeps the messages it is given."""

    daemon_threads = True

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        super().__init__(("127.0.0.1", 0), _Smtp)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        """For Apprise."""
        to = "from=factory@example.org&to=me@example.org&mode=insecure"
        return f"mailto://127.0.0.1:{self.server_address[1]}/?{to}&{PATIENCE}"


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    receiver = HttpReceiver()
    try:
        yield receiver
    finally:
        receiver.close()


@contextmanager
def smtp_receiver() -> Iterator[SmtpReceiver]:
    with SmtpReceiver() as receiver:
        try:
            yield receiver
        finally:
            receiver.shutdown()
