"""One process that makes pictures, seen from outside: it is asked, waited for, and replaced when it does not answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from typing import Any

from Src.Dashboard.picture_worker import MESSAGE
from Src.Shared.settings import PROJECT_ROOT

TIME_LIMIT = 20.0  # seconds for one picture, on a machine that has other work too
_MOST_DEATHS = 2


class NoPicture(Exception):
    """No picture could be made. The message is one line; `lasting`: trying again soon would not help."""

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


class PictureProcess:
    """Makes one picture after another; not thread-safe. The process starts with the first one."""

    def __init__(self, time_limit: float = TIME_LIMIT) -> None:
        self._time_limit = time_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def make(self, original: int, kind: str, side: int, quality: int) -> bytes:
        """The JPEG of an original, given as an open file, at most `side` pixels wide and high.

        Raises NoPicture.
        """
        request = json.dumps({"kind": kind, "side": side, "quality": quality}).encode()
        for _ in range(_MOST_DEATHS):  # it may have been at its end already, or the kernel was short of memory
            output = os.memfd_create("picture", os.MFD_CLOEXEC)
            try:
                answer = self._ask(request, [original, output])
                if answer is None:
                    continue
                if "reason" in answer:
                    raise NoPicture(answer["reason"], lasting=answer["lasting"])
                return os.pread(output, os.fstat(output).st_size, 0)
            finally:
                os.close(output)
        raise NoPicture("to read it ends the reading process", lasting=True)

    def close(self) -> None:
        """Ends the process; the next picture starts another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # with the ExifTool it may have started
            self._process.wait()
            self._process = None

    def _ask(self, request: bytes, files: list[int]) -> dict[str, Any] | None:
        """The answer; None where the process ended without one."""
        if self._socket is None:
            self._start()
        assert self._socket is not None
        try:
            socket.send_fds(self._socket, [request], files)
            answer = self._socket.recv(MESSAGE)
        except TimeoutError as error:
            self.close()
            raise NoPicture(f"it takes longer than {self._time_limit:g} s to read", lasting=True) from error
        except OSError:
            answer = b""
        if not answer:
            self.close()
            return None
        said: dict[str, Any] = json.loads(answer)
        return said

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(self._time_limit)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "Src.Dashboard.picture_worker"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=PROJECT_ROOT,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},  # no passwords
                start_new_session=True,
            )
