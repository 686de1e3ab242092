"""One reader, seen from the Librarian: it is asked, waited for, helped with what it may not do itself, and replaced."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from Src.Librarian.read.wire import (
    MOST_LINE,
    HandedOver,
    Nonsense,
    Reply,
    Request,
    Roots,
    message_of,
    place_of,
    reply_of,
    request_line,
    roots_at,
)
from Src.Media.capture_date import zone_name_at
from Src.Media.readers.stay_open import look_at_process
from Src.Shared.confinement import clean_environment
from Src.Shared.settings import PROJECT_ROOT

logger = logging.getLogger(__name__)

MODULE = "Src.Librarian.read.reader"
_TURN_LIMIT = 600.0  # seconds; a turn is that of one file, and a reader that keeps it may stop no other for ever
_TURN_LOOK = 0.2  # seconds between looks whether it is over while another has the turn
_DEATH_LIMIT = 5.0  # seconds; one that is stuck in the kernel, on a dead disk, ends when that lets it go


class ReaderDied(Exception):
    """The reader ended, or failed, with files in hand. The message is one line."""


class ReaderDoesNotStart(Exception):
    """It ended before it was asked anything. The message is one line."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a reader needs to know once."""

    zone: str | None  # None: this machine's, which has no name
    time_limit: float
    trust_any_version: bool
    names_in: str  # the folder where it may make symlinks
    readable: Sequence[str] | None  # what it may read; None: everything
    exiftool_ahead: bool = False  # its ExifTool starts with it


class ReaderProcess:
    """Reads one request after another; the process starts with the first. Only `close` may come from another thread.

    The kernel ends the process with the thread that started it.
    """

    def __init__(self, orders: Orders, turn: threading.Lock | None = None) -> None:
        """`turn`: in it one reader's ExifTool at a time may have more memory than usual. All readers share one."""
        self._orders = orders
        self._turn = turn or threading.Lock()
        self._has_turn = False
        self._mutex = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._lines: BinaryIO | None = None
        self._roots: Roots = []  # what the running process may read

    def start(self) -> None:
        """Starts the process, if none runs. Raises ReaderDoesNotStart."""
        if self._process is not None and self._process.poll() is None and self._roots == self._roots_now():
            return
        self.end()
        try:
            self._launch()
            assert self._lines is not None
            while not (said := self._heard(self._lines.readline(MOST_LINE))).get("ready"):
                pass
            # The kernel allows what stands below these very folders, as the reader has found them when it confined
            # itself. Where one was replaced or mounted since, all begins anew.
            self._roots = said.get("roots", [])
        except (OSError, Nonsense, ReaderDied) as error:
            code = self._process.poll() if self._process is not None else None
            self.end()
            ended = "" if code is None else f", exit code {code}"
            raise ReaderDoesNotStart(f"no reading process can be started ({error}{ended})") from error

    def ask(self, request: Request) -> Reply:
        """An answer for each file. Raises ReaderDied, ReaderDoesNotStart."""
        self.start()
        assert self._socket is not None and self._lines is not None
        try:
            self._socket.sendall(request_line(request))
            while True:
                said = self._heard(self._lines.readline(MOST_LINE))
                if "inspections" in said:
                    reply = reply_of(said, request.files)
                    handed_over = any(isinstance(finding, HandedOver) for finding in reply.inspections)
                    if handed_over and (request.alone or request.known is not None):
                        raise Nonsense("a file handed over for ever")
                    return reply
                if "failed" in said:
                    raise ReaderDied(f"reading failed: {str(said['failed'])[:500]}")
        except (OSError, Nonsense) as error:
            self.end()
            raise ReaderDied(f"a reader died ({error})") from error
        except ReaderDied:
            self.end()
            raise
        finally:
            self._end_turn()

    def close(self) -> None:
        """Ends the process, whatever it is at, for good."""
        with self._mutex:
            self._closed = True
            process = self._process
        if process is not None:
            process.kill()  # its pipe ends with it, which wakes whoever waits for its answer

    def end(self) -> None:
        """Ends the process; the next request starts another."""
        if self._lines is not None:
            self._lines.close()
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DEATH_LIMIT)
        self._process = self._socket = self._lines = None

    def _launch(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs, self._mutex:
            if self._closed:
                raise ReaderDied("it is over")
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=PROJECT_ROOT,
                env=clean_environment(),
                start_new_session=True,  # Ctrl-C is for the Librarian to answer
            )
        self._lines = self._socket.makefile("rb")
        orders = self._orders
        start = {name: getattr(orders, name) for name in Orders.__dataclass_fields__}
        self._socket.sendall(json.dumps({**start, "parent": os.getpid()}).encode() + b"\n")

    def _heard(self, line: bytes) -> dict[str, Any]:
        """What the reader said, if it is for us; its log lines and questions are dealt with.

        Raises ReaderDied, Nonsense.
        """
        if not line.endswith(b"\n"):
            raise ReaderDied("a reader died")
        said = message_of(line)
        match said:
            case {"log": [int(level), str(name), str(text)]} if name.startswith("Src."):
                logging.getLogger(name).log(min(level, logging.ERROR), "%s", text[:4000])
            case {"look_at": int(pid)} if pid > 0:
                assert self._socket is not None
                self._socket.sendall(json.dumps(look_at_process(pid)).encode() + b"\n")
            case {"zone_at": place}:
                assert self._socket is not None
                self._socket.sendall(json.dumps(zone_name_at(*place_of(place))).encode() + b"\n")
            case {"turn": bool(wanted)}:
                assert self._socket is not None
                if wanted:
                    self._take_turn()
                else:
                    self._end_turn()
                self._socket.sendall(b"true\n")
        return said

    def _take_turn(self) -> None:
        """Waits for it. Raises ReaderDied where the process was ended meanwhile."""
        until = time.monotonic() + _TURN_LIMIT
        while not self._has_turn and time.monotonic() < until:
            self._has_turn = self._turn.acquire(timeout=_TURN_LOOK)
            if self._closed:
                raise ReaderDied("it is over")

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turn.release()

    def _roots_now(self) -> Roots:
        return roots_at(self._orders.readable)
