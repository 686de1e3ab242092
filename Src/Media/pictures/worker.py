"""The process that looks into originals to make pictures of them; whatever happens in it happens to it alone.

It reads requests from its standard input, a socket: a kind, a size and two open files, the original and an empty one
for the JPEG; without a size, for the hash of its pixels. It has no path and opens none: before it reads anything it
confines itself to these two and to programs.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from Src.Shared.confinement import confine

# Address space, bytes. A phone's 200 megapixels take some 2 GB; a small machine has no more than its half to give.
MOST_MEMORY = 3 * 2**30
LEAST_MEMORY = 2**30
MOST_SECONDS = 15.0  # of CPU, for one picture ...
_SECONDS_FOR_A_BYTE, _MOST_EXTRA = 0.5e-6, 40.0  # ... and more for a large file
MOST_OUTPUT = 8 * 2**20  # bytes of a picture
MOST_PICTURES = 500  # then a fresh process takes over: what a library leaks goes with this one
MESSAGE = 4096
# What a disk or a share says that is away, or that goes away meanwhile; libraries say other things of broken files.
_DISK_TROUBLE = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.EHOSTDOWN}
TRUST_ANY_EXIFTOOL = "--trust-any-exiftool"


def main() -> None:
    """Answers requests until the socket is closed."""
    with suppress(OSError):
        os.nice(5)  # pages come first
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")  # where memory is short, a picture goes first
    with suppress(OSError):  # of the kernel, which has it and refuses it: as where it has none
        confine(memory=_most_memory(), file_size=MOST_OUTPUT)
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)  # libraries complain about broken files there
    os.close(null)
    trust_any_exiftool = TRUST_ANY_EXIFTOOL in sys.argv
    requests = socket.socket(fileno=0)
    for _ in range(MOST_PICTURES):
        message, files, _flags, _sender = socket.recv_fds(requests, MESSAGE, 2)
        if not message:
            return
        original, output = files
        _limit_cpu(MOST_SECONDS + min(_MOST_EXTRA, os.fstat(original).st_size * _SECONDS_FOR_A_BYTE))
        with os.fdopen(original, "rb") as file, os.fdopen(output, "wb") as out:
            request = {**json.loads(message), "trust": trust_any_exiftool}
            answer = _hash(request, file, out) if "side" not in request else _make(request, file, out)
        requests.send(json.dumps(answer).encode()[:MESSAGE])


def _hash(request: Any, file: BinaryIO, out: BinaryIO) -> dict[str, object]:
    """Writes the hash of the pixels, as hex."""
    from Src.Media.pictures import pixels  # the librarian's image has what this needs, and not what pictures do

    try:
        out.write(pixels.pixel_hash(file, request["kind"]).encode())
    except pixels.NotComparable as error:
        return {"reason": str(error), "lasting": True, "certain": True}
    except MemoryError:
        return {"reason": "it needs too much memory to be compared", "lasting": True}
    except Exception as error:  # of libraries, on broken files: any
        return {"reason": f"it cannot be read ({type(error).__name__})", "lasting": True, "certain": True}
    return {}


def _make(request: Any, file: BinaryIO, out: BinaryIO) -> dict[str, object]:
    from Src.Media.pictures import decoding  # takes as long as a few pictures

    try:
        picture = decoding.picture_of(file, request["kind"], request["side"], trust_any_exiftool=request["trust"])
        out.write(decoding.encoded(picture, request["quality"]))
    except decoding.ExifToolMissing as error:
        return {"reason": str(error), "lasting": False, "certain": True}
    except decoding.Unshowable as error:
        return {"reason": str(error), "lasting": True, "certain": error.certain}
    except MemoryError:
        return {"reason": "it needs too much memory to be shown", "lasting": True}
    except Exception as error:  # of libraries, on broken files: any
        lasting = not (type(error) is OSError and error.errno in _DISK_TROUBLE)  # (others are made of it by libraries)
        return {"reason": f"it cannot be read ({type(error).__name__})", "lasting": lasting}
    return {}


def _most_memory() -> int:
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return max(LEAST_MEMORY, min(MOST_MEMORY, half))


def _limit_cpu(seconds: float) -> None:
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))


if __name__ == "__main__":
    main()
