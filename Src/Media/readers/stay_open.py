"""ExifTool as a stay-open process whose requests end.

PyExifTool starts and stops the process and speaks its protocol. Two things it leaves open matter to a
service that runs for months, and are settled here: its reading never ends when the process dies (end of
file reads as "nothing yet", for ever), and it has no time limit.

On Linux the kernel ends the process with the *thread* that started it (PR_SET_PDEATHSIG): start it from one
long-lived thread.
"""

import ctypes
import os
import resource
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from exiftool import ExifTool

# Hostile files of a few kB could make ExifTool take gigabytes. The kernel refuses more data than this: what real photos
# and videos make it take but for a few ...
USUAL_MEMORY = 52 * 2**20
# ... which get this, one at a time of all readers' (up to 67 MB was seen).
MOST_MEMORY = 80 * 2**20
# On top for a file whose metadata is compressed by Brotli: Perl's module sets aside what it may be at most.
UNPACKING = 104 * 2**20
MOST_AT_ALL = MOST_MEMORY + UNPACKING
# Seconds of CPU in all its life: far more than the files take that one process is asked about.
MOST_CPU = 3600
# Far more than all tags asked for of a whole batch; a hostile text may be of any length.
MOST_OUTPUT = 8 * 2**20

# What ExifTool itself does not give: see there.
CONFIG = str(Path(__file__).with_name("exiftool.config"))


class ExifToolSilent(Exception):
    """ExifTool gave no answer in the time it had."""

    state = ""  # of the process then (proc_pid_status(5))


class ExifToolDied(Exception):
    """ExifTool's process ended in the middle of a request."""


class ExifToolKilled(ExifToolDied):
    """Somebody else ended ExifTool's process: the kernel that was short of memory, a person."""


class Look(NamedTuple):
    """How a process is."""

    data: int  # bytes, touched or not: what RLIMIT_DATA bounds
    state: str  # one letter: S sleeps, R runs or would, D waits for a disk


def look_at_process(pid: int) -> Look:
    """How a process is; nothing where nobody tells."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            said = dict(line.split(":", 1) for line in file if ":" in line)
        return Look(int(said["VmData"].split()[0]) * 1024, said["State"].split()[0])
    except (OSError, ValueError, LookupError):
        return Look(0, "")


class StayOpen(ExifTool):  # type: ignore[misc]  # PyExifTool has no type hints
    """PyExifTool whose requests end: with an answer, or with ExifToolSilent or ExifToolDied."""

    time_limit: float = 20.0
    look_at: Callable[[int], Look] = staticmethod(lambda pid: look_at_process(pid))
    _requests: int = 0
    _surroundings: Mapping[str, Any] = {}  # its environment and folder, where they are not ours
    _process: Any  # subprocess.Popen[bytes] while it runs, else None

    def run(self) -> None:
        """As PyExifTool's: starts the process, if it was not launched ahead, and asks for its version."""
        if not self.alive:
            self.launch()
        self._ver = self._parse_ver()

    def launch(self) -> None:
        """Starts the process, and does not wait until it answers.

        It dies with us even where we ignore signals. PyExifTool has the kernel send SIGTERM; a worker that ignores
        SIGTERM hands that on to its children, and ExifTool would wait for its next command for ever.
        """
        self._process = subprocess.Popen(
            self._command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Its own session: Ctrl-C is for us to answer.
            start_new_session=_LINUX,
            preexec_fn=_follow_parent(os.getpid()) if _LINUX else None,
            **self._surroundings,
        )
        self._running = True

    @property
    def has_answered(self) -> bool:
        """Whether the process that runs has told its version."""
        return self._ver is not None

    def _command(self) -> list[str]:
        # Ours only: a ~/.ExifTool_config could redefine tags, and the answers would depend on who asks.
        stay = ["-config", CONFIG, "-stay_open", "True", "-@", "-"]
        return [str(self._executable), *stay, "-common_args", *self._common_args]

    @property
    def alive(self) -> bool:
        """Whether the process runs, without the warning that `running` gives for one that was killed."""
        if self._process is None:
            return False
        if self._process.poll() is not None:
            self._discard()
            return False
        return True

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return self._process.pid if self._process is not None else None

    def ask(self, arguments: Sequence[bytes]) -> bytes:
        """What ExifTool prints on stdout for `arguments`, one line each."""
        try:
            return self._converse(arguments)
        except ExifToolSilent as silence:
            if self.pid is not None:
                silence.state = self.look_at(self.pid).state
            self._discard()
            raise
        except ExifToolDied:
            self._discard()
            raise
        except OSError as reason:  # the pipe broke: it died before it read everything
            how = self._death()
            self._discard()
            raise how from reason

    def execute(self, *params: str | bytes, raw_bytes: bool = False) -> str | bytes:
        """As PyExifTool's (which asks for the version with it when it starts), but it ends."""
        output = self.ask([p.encode() if isinstance(p, str) else p for p in params])
        return output if raw_bytes else output.decode("utf-8", "replace")

    def stop(self) -> None:
        """Ends the process, kindly if it listens."""
        if not self.alive:
            return
        with suppress(OSError):
            os.write(self._process.stdin.fileno(), b"-stay_open\nFalse\n")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2.0)
        self._discard()

    def _converse(self, arguments: Sequence[bytes]) -> bytes:
        process: subprocess.Popen[bytes] = self._process
        stdin, stdout, stderr = _pipe(process.stdin), _pipe(process.stdout), _pipe(process.stderr)
        self._requests += 1
        # With a number after -execute the sentinel is printed even under -q; -echo4 ends stderr likewise.
        number = b"%d" % self._requests
        ready, quiet = b"{ready" + number + b"}", b"{quiet" + number + b"}"
        unsent = memoryview(b"\n".join([*arguments, b"-echo4", quiet, b"-execute" + number, b""]))
        output = {stdout: bytearray(), stderr: bytearray()}
        deadline = time.monotonic() + self.time_limit
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)  # read along: a full pipe would stop ExifTool
            while not (output[stdout].rstrip().endswith(ready) and output[stderr].rstrip().endswith(quiet)):
                events = selector.select(max(0.0, deadline - time.monotonic()))
                if not events and time.monotonic() >= deadline:
                    raise ExifToolSilent(f"ExifTool gave no answer in {self.time_limit:g} s.")
                for key, _ in events:
                    if key.fd == stdin:
                        # No more than a pipe that is ready surely takes: a process that hangs must not block us.
                        unsent = unsent[os.write(stdin, unsent[: select.PIPE_BUF]) :]
                        if not unsent:
                            selector.unregister(stdin)
                        continue
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        raise self._death()
                    output[key.fd] += chunk
                    if len(output[key.fd]) > MOST_OUTPUT:
                        raise ExifToolDied("ExifTool says too much.")
        return bytes(output[stdout].rstrip()[: -len(ready)])

    def _death(self) -> ExifToolDied:
        """How it ended, once its pipes are closed."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2.0)
        killed = self._process.returncode in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGXCPU)
        return ExifToolKilled("ExifTool was killed.") if killed else ExifToolDied("ExifTool died.")

    def _discard(self) -> None:
        process: subprocess.Popen[bytes] = self._process
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # stuck in the kernel, on a dead network share
            process.wait(timeout=2.0)
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):
                _open(pipe).close()
        self._flag_running_false()


_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1


def _follow_parent(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)  # loaded before the fork: little is safe after it

    def follow() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_DATA, (USUAL_MEMORY, MOST_AT_ALL))
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU, MOST_CPU + 1))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return follow


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _pipe(pipe: IO[bytes] | None) -> int:
    return _open(pipe).fileno()
