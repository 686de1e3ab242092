"""A reader: the process that looks into what strangers made, and can do little else.

It is given a socket as its standard input. The first line says what it needs to know, each further one which files to
read; it answers line by line (`wire.py`). Before it reads anything it confines itself.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from Src.Librarian.read.inspection import Inspector
from Src.Librarian.read.wire import REST_AFTER, Reply, Request, Roots, reply_line, request_of, roots_at
from Src.Media.capture_date import ask_for_zone_names
from Src.Media.companions import MOST_BYTES
from Src.Media.readers.stay_open import Look
from Src.Shared.confinement import confine

logger = logging.getLogger("Src.Librarian.read.reader")  # (its name here is __main__)

MOST_MEMORY = 2 * 2**30  # address space, bytes
_SECONDS = 60.0  # of CPU for a request ...
_BYTES_PER_SECOND = 10e6  # ... and for its bytes, on a machine that hashes ten times as slowly as a small one
_LONGEST_LOG = 2000  # characters
_PARENT_DEATH_SIGNAL = 1  # prctl(2)
_TAKE_TURN, _END_TURN = b'{"turn": true}\n', b'{"turn": false}\n'


class Librarian:
    """The other end of the socket."""

    def __init__(self, requests: socket.socket) -> None:
        self._lines: BinaryIO = requests.makefile("rb")
        self._socket = requests

    def line(self) -> bytes:
        """The next one; empty where the Librarian has gone."""
        return self._lines.readline()

    def is_silent(self, seconds: float) -> bool:
        """Whether it asks for nothing so long."""
        return not select.select([self._socket], [], [], seconds)[0]

    def say(self, line: bytes) -> None:
        self._socket.sendall(line)

    def look_at(self, pid: int) -> Look:
        """How a process is: only the Librarian can look."""
        self.say(json.dumps({"look_at": pid}).encode() + b"\n")
        return Look(*json.loads(self.line() or b'[0,""]'))

    def zone_name_at(self, latitude: float, longitude: float) -> str:
        """The Librarian has the borders of the time zones in memory, once for all readers."""
        self.say(json.dumps({"zone_at": [latitude, longitude]}).encode() + b"\n")
        return str(json.loads(self.line() or b'""'))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """While the block runs, no other reader's ExifTool has more memory than usual; waits for that."""
        self.say(_TAKE_TURN)
        self.line()
        try:
            yield
        finally:
            self.say(_END_TURN)
            self.line()


class _LogLines(logging.Handler):
    """What a reader logs goes through the Librarian, as everything of it."""

    def __init__(self, librarian: Librarian) -> None:
        super().__init__(logging.INFO)
        self._librarian = librarian

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()[:_LONGEST_LOG]
        self._librarian.say(json.dumps({"log": [record.levelno, record.name, text]}).encode() + b"\n")


def main() -> None:
    """Answers requests until the socket is closed."""
    requests = socket.socket(fileno=os.dup(0))
    librarian = Librarian(requests)
    start = json.loads(librarian.line() or b"{}")
    if not start:
        return
    _follow(start["parent"])
    # Ctrl-C and a stop of the whole group are the Librarian's to handle; it ends its readers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    zone = _zone(start["zone"])
    logging.basicConfig(handlers=[_LogLines(librarian)], level=logging.INFO)
    roots = _confine(start)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    inspector = Inspector(
        zone,
        start["time_limit"],
        trust_any_version=start["trust_any_version"],
        names_in=start["names_in"],
        look_at=librarian.look_at,
        turn=librarian.turn,
    )
    ask_for_zone_names(librarian.zone_name_at)
    if start["exiftool_ahead"]:
        inspector.extractor.start_exiftool()
    librarian.say(json.dumps({"ready": True, "roots": roots}).encode() + b"\n")
    while line := _next_request(librarian, inspector, start["exiftool_ahead"]):
        request = request_of(line)
        if request.exiftool_next:
            inspector.extractor.start_exiftool()
        librarian.say(_answer(inspector, request))


def _next_request(librarian: Librarian, inspector: Inspector, exiftool_ahead: bool) -> bytes:
    """Waits for it; where that takes long, an ExifTool that has grown with its files is not kept for it."""
    if librarian.is_silent(REST_AFTER):
        inspector.extractor.rest()
        if exiftool_ahead:
            inspector.extractor.start_exiftool()
    return librarian.line()


def _confine(start: dict[str, Any]) -> Roots:
    """Returns what this reader may read."""
    roots = roots_at(start["readable"])
    readable = None if start["readable"] is None else [*map(Path, start["readable"]), Path("/proc/self/mountinfo")]
    try:
        # (a sidecar of another encoding is copied in memory, in at most twice its size)
        confine(readable, names_in=Path(start["names_in"]), memory=MOST_MEMORY, file_size=2 * MOST_BYTES)
    except OSError as error:  # of the kernel, which has it and refuses it: as where it has none
        logger.warning("a reader is not confined: %s", error)
    # One that was replaced just now counts as one that it may not read.
    return [one if one == then else None for one, then in zip(roots, roots_at(start["readable"]), strict=True)]


def _zone(name: str | None) -> ZoneInfo:
    if name is not None:
        return ZoneInfo(name)
    from tzlocal import get_localzone  # a zone without a name is this machine's own

    return get_localzone()


def _answer(inspector: Inspector, request: Request) -> bytes:
    _limit_cpu(_SECONDS + sum(file.state.size for file in request.files) / _BYTES_PER_SECOND)
    try:
        inspections = inspector.inspect(request.files, request.now, alone=request.alone, known=request.known)
        return reply_line(Reply(inspections, inspector.extractor.take_readings()))
    except Exception as error:  # a defect of ours that a file brings to light, or its memory is at an end
        return json.dumps({"failed": f"{type(error).__name__}: {error}"[:_LONGEST_LOG]}).encode() + b"\n"


def _limit_cpu(seconds: float) -> None:
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))


def _follow(parent: int) -> None:
    """A reader whose Librarian was killed must not linger."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main()
