"""Programs in Python, run in forks of one process that has loaded the modules they need.

To load them takes most of what a short program takes. All else is as in a process of its own: a fork begins in the
program with its own words, environment, folder and pipes, and ends as Python ends. What a program itself must load,
forks do not test: run it once in a fresh process too.

The standard library's only: it also runs in a bare Python.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

_MOST = 1 << 17  # bytes of a call: program, words and environment


class Forks:
    """A context manager; one call at a time."""

    def __init__(self, python: Sequence[str], load: Sequence[str], **environment: str) -> None:
        """`python`: with its options; it loads the modules `load`."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*python, __file__, str(theirs.fileno()), *load],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.wait()

    def run(
        self, program: str | Path, words: Sequence[str | Path], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        """As `subprocess.run`, with empty input and captured output. `program`: a file's Path, or a module's name."""
        given = {
            "path" if isinstance(program, Path) else "module": str(program),
            "words": [str(word) for word in words],
            "environment": dict(environment),
            "folder": os.getcwd(),
        }
        call = json.dumps(given).encode()
        assert len(call) < _MOST
        pipes = [os.pipe() for _ in range(2)]
        readers = [_Reader(os.fdopen(reading, "rb")) for reading, _ in pipes]
        try:
            socket.send_fds(self._control, [call], [writing for _, writing in pipes])
        finally:
            for _, writing in pipes:
                os.close(writing)
        out, err = (reader.all() for reader in readers)
        code = self._control.recv(16)
        assert code, "the process that is forked has ended"
        return subprocess.CompletedProcess([str(program), *map(str, words)], int(code), out, err)


class _Reader(threading.Thread):
    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._read = b""
        self.start()

    def run(self) -> None:
        with self._pipe:
            self._read = self._pipe.read()

    def all(self) -> bytes:
        self.join()
        return self._read


def _next_call(control: socket.socket) -> dict[str, Any] | None:
    """In each fork: the call that it is; at last None, in the process that was started."""
    while True:
        message, ends, _, _ = socket.recv_fds(control, _MOST, 2)
        if not message:
            return None
        child = os.fork()
        if child == 0:
            control.close()
            for number, end in enumerate(ends, start=1):
                os.dup2(end, number)
                os.close(end)
            call: dict[str, Any] = json.loads(message)
            return call
        for end in ends:
            os.close(end)
        _, status = os.waitpid(child, 0)
        control.send(b"%d" % os.waitstatus_to_exitcode(status))


def _main() -> None:
    del sys.path[: 0 if sys.flags.isolated else 1]  # this file's folder
    gc.disable()
    for name in sys.argv[2:]:
        import_module(name)
    gc.freeze()
    gc.enable()
    call = _next_call(socket.socket(fileno=int(sys.argv[1])))
    if call is None:
        return
    os.environ.clear()
    os.environ.update(call["environment"])
    os.chdir(call["folder"])
    sys.argv[1:] = call["words"]
    if "path" in call:
        sys.argv[0] = call["path"]
        runpy.run_path(call["path"], run_name="__main__")
    else:
        runpy.run_module(call["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
