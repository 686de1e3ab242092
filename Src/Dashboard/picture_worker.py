"""The process that looks into originals to make pictures of them; whatever happens in it happens to it alone.

It reads requests from its standard input, a socket: a kind, a size and two open files, the original and an empty one
for the JPEG. It has no path and opens none. Limits on memory, time and what it writes are the kernel's.
"""

from __future__ import annotations

import json
import os
import resource
import socket
from contextlib import suppress
from types import ModuleType
from typing import Any, BinaryIO

MOST_MEMORY = 1024 * 2**20  # address space, bytes
MOST_SECONDS = 15.0  # of CPU, for one picture
MOST_OUTPUT = 8 * 2**20  # bytes of a picture
MOST_PICTURES = 500  # then a fresh process takes over: what a library leaks goes with this one
MESSAGE = 4096


def main() -> None:
    """Answers requests until the socket is closed."""
    with suppress(OSError):
        os.nice(5)  # pages come first
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_OUTPUT, MOST_OUTPUT))
    from Src.Dashboard import decoding  # takes as long as a few pictures

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries complain about broken files there
    requests = socket.socket(fileno=0)
    for _ in range(MOST_PICTURES):
        message, files, _flags, _sender = socket.recv_fds(requests, MESSAGE, 2)
        if not message:
            return
        _limit_cpu()
        original, output = files
        with os.fdopen(original, "rb") as file, os.fdopen(output, "wb") as out:
            answer = _make(json.loads(message), file, out, decoding)
        requests.send(json.dumps(answer).encode()[:MESSAGE])


def _make(request: Any, file: BinaryIO, out: BinaryIO, decoding: ModuleType) -> dict[str, object]:
    try:
        out.write(decoding.encoded(decoding.picture_of(file, request["kind"], request["side"]), request["quality"]))
    except decoding.ExifToolMissing as error:
        return {"reason": str(error), "lasting": False}
    except decoding.Unshowable as error:
        return {"reason": str(error), "lasting": True}
    except MemoryError:
        return {"reason": "it needs too much memory to be shown", "lasting": True}
    except Exception as error:  # of libraries, on broken files: any
        return {"reason": f"it cannot be read ({type(error).__name__})", "lasting": True}
    return {}


def _limit_cpu() -> None:
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + MOST_SECONDS) + 1, hard))


if __name__ == "__main__":
    main()
