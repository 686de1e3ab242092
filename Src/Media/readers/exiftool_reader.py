"""One ExifTool process answers for many files at once.

A damaged file costs only itself. A file is blamed only after it failed alone in a fresh process: what one file made
ExifTool take it keeps, and the next one must not pay for it. What failed for another reason than the file (the
process was killed, it got no time) is marked `ours`, and is to be asked again later.

On Linux the kernel ends the process with the *thread* that started it (PR_SET_PDEATHSIG): use a reader from
one long-lived thread, or at least start it from there.
"""

import logging
import math
import os
import re
import resource
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Self

from exiftool.exceptions import ExifToolException

from Src.Media import isobmff
from Src.Media.exiftool_program import refusal_of
from Src.Media.readers import exiftool_answers
from Src.Media.readers.stay_open import (
    MOST_AT_ALL,
    MOST_MEMORY,
    USUAL_MEMORY,
    ExifToolDied,
    ExifToolKilled,
    ExifToolSilent,
    Look,
    StayOpen,
    look_at_process,
)
from Src.Media.tags import Answer
from Src.Shared.disk.files import NotARegularFile, OpenFile, reading

logger = logging.getLogger(__name__)

# Bounds what one hanging file costs its neighbours: they are asked again, one by one.
BATCH = 64

# What one file made it take, it keeps, and the kernel counts, used or not: beyond this it is ended, and started again
# for the next files.
KEPT_MEMORY = 44 * 2**20
# Beyond this many files it is started anew: what it leaks goes with it.
MOST_FILES = 20_000
# An ExifTool that does not start may take its time limit to show it: not with every batch again.
START_AGAIN_AFTER = 60.0

# Group 0 says where a tag stands, group 4 which of several (-a) is the one ExifTool itself prefers.
OPTIONS = ["-n", "-j", "-a", "-G0:4", "-api", "largefilesupport=1"]

# Each is asked for by name: ExifTool is twice as quick as when it has to print all it knows. Of all groups at once, for
# each request costs a search through all that a file holds.
ASKED = [
    "DateTimeOriginal", "SubSecTimeOriginal", "OffsetTimeOriginal",
    "CreateDate", "SubSecTimeDigitized", "OffsetTimeDigitized", "ModifyDate", "SubSecTime", "OffsetTime",
    "CreationDate", "ContentCreateDate", "CreationDateValue", "MediaCreateDate", "TimeZone",
    "CompressorName", "HandlerDescription", "FirmwareVersion",
    "Creation_time", "Date", "DateCreated", "TimeCreated", "CreationTime",
    "GPSDateTime", "GPSLatitude", "GPSLatitudeRef", "GPSLongitude", "GPSLongitudeRef",
    "StatedGPSLatitude", "StatedGPSLongitude",
    "ImageWidth", "ImageHeight", "SourceImageWidth", "SourceImageHeight", "ImageSize", "Orientation", "Rotation",
    "Duration", "Preroll", "Make", "Model", "DeviceManufacturer", "DeviceModelName", "Rating", "RatingPercent",
    "XMP-dc:Title", "XMP-dc:Description", "XMP-dc:Subject", "XMP-digiKam:TagsList", "XMP-lr:HierarchicalSubject",
    "ObjectName", "Caption-Abstract", "Keywords", "XPTitle", "XPKeywords",
    "ContentIdentifier", "MediaGroupUUID", "BurstUUID", "BurstID",
    "MotionPhoto", "MicroVideo", "EmbeddedVideoType", "MotionPhotoVideo",
    "Error", "Warning",
]  # fmt: skip


_NO_START = (
    OSError, RuntimeError, subprocess.SubprocessError, ExifToolException, ExifToolSilent, ExifToolDied,
)  # fmt: skip


class ExifToolRefused(Exception):
    """ExifTool is older than what may be trusted with hostile files. The message is one line."""


CRASHED = "ExifTool crashed on this file, or needs too much memory for it"
"""`Answer.error` then: ExifTool has said nothing of the file."""


class ExifToolReader:
    """Asks one ExifTool process, started when it is first needed; a context manager."""

    def __init__(
        self,
        time_limit: float = 20.0,
        *,
        trust_any_version: bool = False,
        names_in: str | None = None,
        look_at: Callable[[int], Look] | None = None,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`time_limit`: seconds for one request, be it a batch or the single file of a second try.

        A process that is confined says where it may make symlinks (`names_in`), and whom to ask how ExifTool's process
        is (`look_at`), because it cannot look itself. `turn`: in it alone a file may have more memory than usual; where
        several readers run, one has it at a time.
        """
        self._time_limit = time_limit
        self._trust_any_version = trust_any_version
        self._aliases = names_in
        self._aliases_are_ours = False
        self._look_at = look_at or look_at_process
        self._turn = turn
        self._no_start_before = -math.inf
        self._fresh = False  # it was asked about no file yet
        self._files = 0
        self._left = math.inf  # seconds that files may still cost
        self._process: StayOpen | None = None
        with suppress(FileNotFoundError):
            self._process = StayOpen(common_args=[*OPTIONS, *(f"-{tag}" for tag in ASKED)], encoding="utf-8")
            self._process.time_limit = time_limit
            self._process.look_at = self._look_at

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process and removes what was made for it; the reader may be used again."""
        if self._process is not None:
            self._process.stop()
        if self._aliases is not None and self._aliases_are_ours:
            shutil.rmtree(self._aliases, ignore_errors=True)
            self._aliases = None

    def start_ahead(self) -> None:
        """Starts the process without waiting for it, so that it is ready when a file comes."""
        if self._process is None or time.monotonic() < self._no_start_before or self._process.alive:
            return
        try:
            self._process.launch()
            self._files = 0
        except _NO_START as reason:
            self._does_not_start(reason)

    def rest(self) -> None:
        """Ends a process that was asked about files: what they made it take goes with it."""
        if self._process is not None and self._files:
            self._end()

    @property
    def version(self) -> str | None:
        """ExifTool's version; None when there is no ExifTool that may run."""
        if not self._started():
            return None
        assert self._process is not None
        return str(self._process.version)

    @property
    def may_start(self) -> bool:
        """Whether an ExifTool is here that was not refused, be it that it does not start just now."""
        return self._process is not None

    @property
    def process_id(self) -> int | None:
        """The process that answers, while there is one."""
        return None if self._process is None else self._process.pid

    def read(self, files: Sequence[str | OpenFile], budget: float = math.inf) -> list[Answer]:
        """One answer per file, in the same order; `Answer.error` says why one is empty.

        Of an open file ExifTool is given the way to that very file, whatever may be put at its path meanwhile.
        Files that fail cost time. `budget`: seconds of it, after which the rest is to be asked again later.
        """
        self._left = budget
        answers: list[Answer] = []
        for start in range(0, len(files), BATCH):
            batch = files[start : start + BATCH]
            regular = [file for file in batch if isinstance(file, OpenFile) or _is_regular(file)]
            found = iter(self._read_batch(regular) if regular else ())
            known = set(regular)
            answers += [next(found) if file in known else Answer(error="not a readable regular file") for file in batch]
        return answers

    def _read_batch(self, paths: Sequence[str | OpenFile]) -> list[Answer]:
        if not self._started():  # once for all of them: each start may take its whole time limit to fail
            return [_DOES_NOT_START for _ in paths]
        if len(paths) > 1 and (packed := {path for path in paths if _is_packed(path)}):
            rest = iter(self._read_batch([path for path in paths if path not in packed]))
            return [self._read_one(path) if path in packed else next(rest) for path in paths]
        if len(paths) > 1:
            try:
                records = self._ask(paths)
            except (ExifToolSilent, ExifToolDied) as reason:
                logger.warning("%s Asking again for each of %d files.", reason, len(paths))
                records = []
            # One of them made it large, and nobody knows which had to do with what was left.
            is_sound = not self._end_large()
            # ExifTool leaves out what it could not open, and damages the names it gives back when they are not
            # UTF-8: only a full answer tells by its order which record belongs to which file.
            if is_sound and len(records) == len(paths):
                return [exiftool_answers.answer(record) for record in records]
        return [self._read_one(path) for path in paths]

    def _read_one(self, path: str | OpenFile) -> Answer:
        if _is_packed(path):
            return self._read_at_ease(path, MOST_AT_ALL)
        answer, was_fresh = self._try_one(path)
        if answer.error is not None and answer.error != CRASHED and not was_fresh and not answer.ours:
            self._end()  # the files before it may be to blame
            answer = self._try_one(path)[0]
        return self._read_at_ease(path, MOST_MEMORY) if answer.error == CRASHED else answer

    def _read_at_ease(self, path: str | OpenFile, memory: int) -> Answer:
        """In a fresh process, and with more memory than usual."""
        with self._turn():
            self._end()
            return self._try_one(path, memory)[0]

    def _try_one(self, path: str | OpenFile, memory: int = USUAL_MEMORY) -> tuple[Answer, bool]:
        """The answer, and whether it is that of a fresh process. ExifTool's own word about a file is no error here."""
        if self._left <= 0:
            return Answer(error="files before it took the time there is", ours=True), False
        if not self._started():
            return _DOES_NOT_START, False
        was_fresh, used_before = self._fresh, _cpu_of_children()
        try:
            with self._room(memory):
                records = self._ask([path])
        except ExifToolSilent as silence:
            got_no_time = _cpu_of_children() - used_before < self._time_limit / 2
            # It waited for a disk, or for a processor that others had: that is not the file's fault.
            ours = silence.state == "D" or (silence.state == "R" and got_no_time)
            return Answer(error=f"ExifTool gave no answer in {self._time_limit:g} s", ours=ours), was_fresh
        except ExifToolKilled:
            return Answer(error="ExifTool was killed", ours=was_fresh), was_fresh
        except ExifToolDied:
            return Answer(error=CRASHED), was_fresh
        self._end_large()
        if len(records) != 1:
            return Answer(error="ExifTool could not read it"), was_fresh
        return exiftool_answers.answer(records[0]), True

    @contextmanager
    def _room(self, memory: int) -> Iterator[None]:
        """While the block runs, the process may have so much data, where the kernel lets us say so."""
        pid = self.process_id
        if pid is None or memory == USUAL_MEMORY:
            yield
            return
        with suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (memory, MOST_AT_ALL))
        try:
            yield
        finally:
            with suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_DATA, (USUAL_MEMORY, MOST_AT_ALL))

    def _end_large(self) -> bool:
        """Ends a process that has grown or read much; whether it was too large for the next file."""
        if self._process is None or not self._process.alive:
            return False
        pid = self._process.pid
        is_large = pid is not None and self._look_at(pid).data > KEPT_MEMORY
        if is_large or self._files > MOST_FILES:
            self._end()
            self.start_ahead()
        return is_large

    def _end(self) -> None:
        if self._process is not None:
            self._process.stop()

    def _ask(self, paths: Sequence[str | OpenFile]) -> list[dict[str, Any]]:
        if not self._started():
            raise ExifToolDied("ExifTool does not start.")
        assert self._process is not None
        lines: list[bytes] = []
        made: list[str] = []
        self._fresh, began = False, time.monotonic()
        self._files += len(paths)
        try:
            for path in paths:
                if isinstance(path, OpenFile):
                    line = f"/proc/{os.getpid()}/fd/{path.fd}"
                    with suppress(OSError):  # without its ending, which says little, if no alias can be made
                        line = self._alias(line, path.name, made)
                else:
                    line = os.path.abspath(path)  # an absolute path is never taken for an option
                    if _PLAIN.fullmatch(line) is None:
                        line = self._alias(line, line, made)
                lines.append(os.fsencode(line))
            output = self._process.ask(lines)
        except (ExifToolSilent, ExifToolDied):
            self._left -= time.monotonic() - began
            raise
        finally:
            for alias in made:
                with suppress(OSError):
                    os.unlink(alias)
        return exiftool_answers.records(output)

    def _alias(self, path: str, name: str, made: list[str]) -> str:
        """A symlink that we name, with the name's ending, which tells ExifTool something.

        The file's own name could mean something to ExifTool or Perl. (The argument file is line based: a second line
        would be an option. `#[CSTR]` lines escape line breaks, but ExifTool 12.57 leaves a backslash before `$` and
        `@` there. ExifTool 12.37 ran what stood before a last `|`.)
        """
        ending = os.path.splitext(name)[1][1:]
        tail = f".{ending}" if ending.isascii() and ending.isalnum() and len(ending) <= 16 else ""
        for _ in range(2):
            if self._aliases is None:
                self._aliases, self._aliases_are_ours = tempfile.mkdtemp(prefix="exiftool-names-"), True
            alias = os.path.join(self._aliases, f"{os.getpid()}-{len(made)}{tail}")
            with suppress(FileNotFoundError):  # left by one of this number that was killed
                os.unlink(alias)
            with suppress(FileNotFoundError):
                os.symlink(path, alias)
                made.append(alias)
                return alias
            self._aliases = None  # whoever clears up what is old in the temporary folder has removed ours
        raise FileNotFoundError(self._aliases)

    def _started(self) -> bool:
        if self._process is None:
            return False
        if self._process.alive and self._process.has_answered:
            return True
        if time.monotonic() < self._no_start_before:
            return False
        try:
            self._process.run()
            refusal = None if self._trust_any_version else refusal_of(str(self._process.version))
            if refusal is not None:
                raise ExifToolRefused(refusal)
        except ExifToolRefused as reason:
            logger.warning("%s", reason)
            self._process.stop()
            self._process = None
            return False
        except _NO_START as reason:
            self._does_not_start(reason)
        self._fresh, self._files = True, 0
        return self._process.alive

    def _does_not_start(self, reason: Exception) -> None:
        logger.error("ExifTool does not start: %s", reason)
        self._no_start_before = time.monotonic() + START_AGAIN_AFTER


_DOES_NOT_START = Answer(error="ExifTool does not start", ours=True)
# Letters, digits and what stands between them in the names that cameras and people give: nothing that ExifTool, Perl or
# a shell could take for more than a name.
_PLAIN = re.compile(r"/[A-Za-z0-9_./ ()+,@=-]*[A-Za-z0-9_)]")


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _is_packed(path: str | OpenFile) -> bool:
    try:
        with reading(path) as fd:
            return isobmff.packed_metadata(fd)
    except (OSError, NotARegularFile):
        return False


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False
