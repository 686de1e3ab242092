"""One process that makes pictures, seen from outside: it is asked, waited for, and replaced when it does not answer."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from typing import Any

import psutil

from Src.Media.pictures.worker import MESSAGE, TRUST_ANY_EXIFTOOL
from Src.Shared.confinement import clean_environment
from Src.Shared.settings import PROJECT_ROOT

MODULE = "Src.Media.pictures.worker"
TIME_LIMIT = 20.0  # seconds for one picture, on a machine that has other work too
# A photo of 200 megapixels is a large file, and takes its time.
_EXTRA_SECONDS, _MOST_EXTRA = 0.5e-6, 40.0  # for each byte, and at most
_DEATH_LIMIT = 2.0  # seconds


class NoPicture(Exception):
    """No picture could be made. The message is one line; `lasting`: trying again soon would not help."""

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


class _Failed(Exception):
    """A try that failed. `is_certain`: it would fail in any process."""

    def __init__(self, reason: str, was_fresh: bool, lasting: bool, is_certain: bool = False) -> None:
        super().__init__(reason)
        self.was_fresh, self.lasting, self.is_certain = was_fresh, lasting, is_certain


class PictureProcess:
    """Makes one picture after another; not thread-safe. The process starts with the first one."""

    def __init__(self, time_limit: float = TIME_LIMIT, *, trust_any_exiftool: bool = False) -> None:
        self._time_limit = time_limit
        self._trust_any_exiftool = trust_any_exiftool
        self._asked = False
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def make(self, original: int, kind: str, side: int, quality: int) -> bytes:
        """The JPEG of an original, given as an open file, at most `side` pixels wide and high.

        An original is blamed only after it failed alone in a fresh process: what those before it left there in memory
        is not its fault. Raises NoPicture.
        """
        return self._made({"kind": kind, "side": side, "quality": quality}, original)

    def pixel_hash(self, original: int, kind: str) -> str:
        """The hash of the pixels of an open file, as `pixels.py` makes it. Raises NoPicture.

        It is what that process says: a file that took it over could have it say anything, so nothing may be removed
        by it.
        """
        said = self._made({"kind": kind}, original)
        if re.fullmatch(rb"[0-9a-f]{64}", said) is None:
            raise NoPicture("to read it gives no hash", lasting=True)
        return said.decode()

    def _made(self, asked: dict[str, object], original: int) -> bytes:
        """Raises NoPicture."""
        request = json.dumps(asked).encode()
        try:
            return self._try(request, original)
        except _Failed as failed:
            if failed.was_fresh or failed.is_certain:
                raise NoPicture(str(failed), lasting=failed.lasting) from None
        self.close()
        try:
            return self._try(request, original)
        except _Failed as failed:
            raise NoPicture(str(failed), lasting=failed.lasting) from None

    def _try(self, request: bytes, original: int) -> bytes:
        """Raises _Failed."""
        output = os.memfd_create("picture", os.MFD_CLOEXEC)
        try:
            if self._socket is None:
                self._start()
            was_fresh, self._asked = not self._asked, True
            answer = self._ask(request, [original, output], was_fresh)
            if "reason" in answer:
                raise _Failed(
                    str(answer["reason"]), was_fresh, answer.get("lasting") is True, answer.get("certain") is True
                )
            return os.pread(output, os.fstat(output).st_size, 0)
        finally:
            os.close(output)

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

    def _ask(self, request: bytes, files: list[int], was_fresh: bool) -> dict[str, Any]:
        """The answer. Raises _Failed where the process ends without one."""
        assert self._socket is not None and self._process is not None
        limit = self._time_limit + min(_MOST_EXTRA, os.fstat(files[0]).st_size * _EXTRA_SECONDS)
        self._socket.settimeout(limit)
        used = self._cpu_seconds()
        try:
            socket.send_fds(self._socket, [request], files)
            answer = self._socket.recv(MESSAGE)
        except TimeoutError:
            # It waited for a disk, or for a processor that others had: that is not the original's fault.
            got_time = self._cpu_seconds(with_children=True) - used >= limit / 2
            self.close()
            raise _Failed(f"it takes longer than {limit:.0f} s to read", was_fresh, got_time) from None
        except OSError:
            answer = b""
        try:
            said = json.loads(answer)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            killed = self._ended_by() == -signal.SIGKILL  # not by us: the machine was short of memory
            self.close()
            raise _Failed("to read it ends the reading process", was_fresh, not killed)
        return said

    def _cpu_seconds(self, *, with_children: bool = False) -> float:
        """What the process has used by now; with the ExifTool that it may have started, too, which takes a while."""
        assert self._process is not None
        try:
            process = psutil.Process(self._process.pid)
            family = [process, *(process.children(recursive=True) if with_children else ())]
            return float(sum(sum(one.cpu_times()[:4]) for one in family))
        except psutil.Error:  # one of them has just ended
            return 0.0

    def _ended_by(self) -> int | None:
        assert self._process is not None
        try:
            return self._process.wait(_DEATH_LIMIT)
        except subprocess.TimeoutExpired:
            return None

    def _start(self) -> None:
        self._asked = False
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE, *([TRUST_ANY_EXIFTOOL] if self._trust_any_exiftool else [])],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=PROJECT_ROOT,
                env={**clean_environment(), "LC_ALL": "C.UTF-8"},  # no passwords
                start_new_session=True,
            )
