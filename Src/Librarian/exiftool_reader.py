"""ExifTool as a stay-open process that answers for many files at once.

PyExifTool starts and stops the process and speaks its protocol. Two things it leaves open matter to a
service that runs for months, and are settled here: its reading never ends when the process dies (end of
file reads as "nothing yet", for ever), and it has no time limit. A file that hangs or crashes ExifTool
costs that file its metadata, never the batch and never the service.

On Linux the kernel ends the process with the *thread* that started it (PR_SET_PDEATHSIG): use a reader from
one long-lived thread, or at least start it from there.
"""

import ctypes
import json
import logging
import math
import os
import resource
import select
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, Self

from exiftool import ExifTool
from exiftool.exceptions import ExifToolException

log = logging.getLogger(__name__)

Tags = dict[str, str]

# Bounds what one hanging file costs its neighbours: they are asked again, one by one.
BATCH = 64

# Real photos and videos of all kinds make ExifTool take up to 72 MB; hostile ones of a few kB could make it take
# gigabytes.
MOST_MEMORY = 80 * 2**20
# What one file made it take, it keeps: beyond this it is ended, and started again for the next files.
KEPT_MEMORY = 66 * 2**20
# Far more than all tags asked for of a whole batch; a hostile text may be of any length.
MOST_OUTPUT = 8 * 2**20

# An ExifTool that does not start may take its time limit to show it: not with every batch again.
START_AGAIN_AFTER = 60.0

# Group 0 says where a tag stands, group 4 which of several is the one ExifTool itself prefers.
OPTIONS = ["-n", "-j", "-G0:4", "-api", "largefilesupport=1"]

# Each is asked for by name: ExifTool is twice as quick as when it has to print all it knows.
ASKED = [
    "EXIF:DateTimeOriginal", "EXIF:SubSecTimeOriginal", "EXIF:OffsetTimeOriginal",
    "EXIF:CreateDate", "EXIF:SubSecTimeDigitized", "EXIF:OffsetTimeDigitized",
    "QuickTime:CreationDate", "QuickTime:CreateDate", "QuickTime:MediaCreateDate",
    "H264:DateTimeOriginal", "RIFF:DateTimeOriginal", "Matroska:DateTimeOriginal",
    "XMP:DateCreated", "XMP:DateTimeOriginal", "XMP:CreateDate",
    "IPTC:DateCreated", "IPTC:TimeCreated",
    "Composite:GPSDateTime", "Composite:GPSLatitude", "Composite:GPSLongitude",
    "XMP:GPSLatitude", "XMP:GPSLongitude",
    "ImageWidth", "ImageHeight", "Duration", "Make", "Model", "XMP:Rating", "EXIF:Rating",
    "Error", "Warning",
]  # fmt: skip


class ExifToolSilent(Exception):
    """ExifTool gave no answer in the time it had."""


class ExifToolDied(Exception):
    """ExifTool's process ended in the middle of a request."""


_NO_START = (
    OSError, RuntimeError, subprocess.SubprocessError, ExifToolException, ExifToolSilent, ExifToolDied,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What ExifTool says about one file.

    `tags` holds a value under "Group:Name" (the group of family 0), and under the bare "Name" the one that
    ExifTool prefers over all groups. Values are text exactly as ExifTool wrote it, numbers too.
    """

    tags: Tags = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str | None = None


class ExifToolReader:
    """Asks one ExifTool process, started when it is first needed; a context manager."""

    def __init__(self, time_limit: float = 20.0) -> None:
        """`time_limit`: seconds for one request, be it a batch or the single file of a second try."""
        self._time_limit = time_limit
        self._aliases: str | None = None
        self._no_start_before = -math.inf
        self._process: _StayOpen | None = None
        with suppress(FileNotFoundError):
            self._process = _StayOpen(common_args=[*OPTIONS, *(f"-{tag}" for tag in ASKED)], encoding="utf-8")
            self._process.time_limit = time_limit

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process and removes what was made for it; the reader may be used again."""
        if self._process is not None:
            self._process.stop()
        if self._aliases is not None:
            shutil.rmtree(self._aliases, ignore_errors=True)
            self._aliases = None

    @property
    def version(self) -> str | None:
        """ExifTool's version; None when there is no ExifTool that runs."""
        if not self._started():
            return None
        assert self._process is not None
        return str(self._process.version)

    @property
    def process_id(self) -> int | None:
        """The process that answers, while there is one."""
        return None if self._process is None else self._process.pid

    def read(self, paths: Sequence[str]) -> list[Answer]:
        """One answer per path, in the same order; `Answer.error` says why one is empty."""
        answers: list[Answer] = []
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            regular = [path for path in batch if _is_regular(path)]
            found = iter(self._read_batch(regular) if regular else ())
            known = set(regular)
            answers += [next(found) if path in known else Answer(error="not a readable regular file") for path in batch]
        return answers

    def _read_batch(self, paths: Sequence[str]) -> list[Answer]:
        if not self._started():  # once for all of them: each start may take its whole time limit to fail
            return [Answer(error="ExifTool does not start") for _ in paths]
        try:
            records = self._ask(paths)
        except (ExifToolSilent, ExifToolDied) as reason:
            log.warning("%s Asking again for each of %d files.", reason, len(paths))
            records = []
        self._end_large()
        # ExifTool leaves out what it could not open, and damages the names it gives back when they are not
        # UTF-8: only a full answer tells by its order which record belongs to which file.
        if len(records) == len(paths):
            return [_answer(record) for record in records]
        return [self._read_one(path) for path in paths]

    def _end_large(self) -> None:
        if self._process is not None and self._process.alive and self._process.memory > KEPT_MEMORY:
            self._process.stop()

    def _read_one(self, path: str) -> Answer:
        try:
            records = self._ask([path])
        except ExifToolSilent:
            return Answer(error=f"ExifTool gave no answer in {self._time_limit:g} s")
        except ExifToolDied:
            return Answer(error="ExifTool crashed on this file, or needs too much memory for it")
        if len(records) != 1:
            return Answer(error="ExifTool could not read it")
        return _answer(records[0])

    def _ask(self, paths: Sequence[str]) -> list[dict[str, Any]]:
        if not self._started():
            raise ExifToolDied("ExifTool does not start.")
        assert self._process is not None
        lines: list[bytes] = []
        made: list[str] = []
        try:
            for path in paths:
                line = os.path.abspath(path)  # an absolute path is never taken for an option
                if "\n" in line or "\r" in line:
                    line = self._alias(line, len(made))
                    made.append(line)
                lines.append(os.fsencode(line))
            output = self._process.ask(lines)
        finally:
            for alias in made:
                with suppress(OSError):
                    os.unlink(alias)
        return _records(output)

    def _alias(self, path: str, number: int) -> str:
        """A symlink without line breaks: the argument file is line based, a second line would be an option.

        (`#[CSTR]` lines escape line breaks, but ExifTool 12.57 leaves a backslash before `$` and `@` there.)
        """
        if self._aliases is None:
            self._aliases = tempfile.mkdtemp(prefix="exiftool-names-")
        ending = os.path.splitext(path)[1][1:]
        name = f"{number}.{ending}" if ending.isascii() and ending.isalnum() else f"{number}"
        alias = os.path.join(self._aliases, name)
        os.symlink(path, alias)
        return alias

    def _started(self) -> bool:
        if self._process is None:
            return False
        if self._process.alive:
            return True
        if time.monotonic() < self._no_start_before:
            return False
        try:
            self._process.run()
        except _NO_START as reason:
            log.error("ExifTool does not start: %s", reason)
            self._no_start_before = time.monotonic() + START_AGAIN_AFTER
        return self._process.alive


class _StayOpen(ExifTool):  # type: ignore[misc]  # PyExifTool has no type hints
    """PyExifTool whose requests end: with an answer, or with ExifToolSilent or ExifToolDied."""

    time_limit: float = 20.0
    _requests: int = 0
    _process: Any  # subprocess.Popen[bytes] while it runs, else None

    def run(self) -> None:
        """As PyExifTool's, but the process dies with us even where we ignore signals.

        PyExifTool has the kernel send SIGTERM; a worker that ignores SIGTERM hands that on to its children,
        and ExifTool would wait for its next command for ever.
        """
        # -config "": a ~/.ExifTool_config could redefine tags, and the answers would depend on who asks.
        self._process = subprocess.Popen(
            [self._executable, "-config", "", "-stay_open", "True", "-@", "-", "-common_args", *self._common_args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Its own session: Ctrl-C is for us to answer.
            start_new_session=_LINUX,
            preexec_fn=_follow_parent(os.getpid()) if _LINUX else None,
        )
        self._running = True
        self._ver = self._parse_ver()

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

    @property
    def memory(self) -> int:
        """Bytes of it that are in memory (proc(5), statm); 0 where nobody tells."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * resource.getpagesize()
        except OSError:
            return 0

    def ask(self, arguments: Sequence[bytes]) -> bytes:
        """What ExifTool prints on stdout for `arguments`, one line each."""
        try:
            return self._converse(arguments)
        except (ExifToolSilent, ExifToolDied):
            self._discard()
            raise
        except OSError as reason:  # the pipe broke: it died before it read everything
            self._discard()
            raise ExifToolDied(f"ExifTool died: {reason}.") from reason

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
                        raise ExifToolDied("ExifTool died.")
                    output[key.fd] += chunk
                    if len(output[key.fd]) > MOST_OUTPUT:
                        raise ExifToolDied("ExifTool says too much.")
        return bytes(output[stdout].rstrip()[: -len(ready)])

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
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return follow


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _pipe(pipe: IO[bytes] | None) -> int:
    return _open(pipe).fileno()


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _records(output: bytes) -> list[dict[str, Any]]:
    # Numbers stay the text they are in the file: the fraction of a second "010" or a model "1.50" is none.
    try:
        records = json.loads(output.decode("utf-8", "replace"), strict=False, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return []
    return [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []


def _answer(record: dict[str, Any]) -> Answer:
    tags: Tags = {}
    warnings: list[str] = []
    error: str | None = None
    for key, value in record.items():
        group, _, rest = key.partition(":")
        copy, _, name = rest.rpartition(":")
        text = _text(value)
        if text is None or not name:
            continue
        if name == "Warning":
            warnings.append(text)
        elif name == "Error":
            error = error or text
        elif copy:  # not the preferred one: as `-j -G0` does, the first of its group stands for it
            tags.setdefault(f"{group}:{name}", text)
        else:
            tags[f"{group}:{name}"] = tags[name] = text
    return Answer(tags, tuple(warnings), error)


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, bool):
        return "true" if value else "false"  # ExifTool writes any text "True" so
    return value if isinstance(value, str) else None
