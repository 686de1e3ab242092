"""How far a long run has come: one line that is rewritten on a terminal, and a plain line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column

from Src.Library.operation import NOTHING
from Src.Shared import words
from Src.Shared.logs import escaped

logger = logging.getLogger(__name__)

_PLAIN_AFTER = (10.0, 20.0, 30.0)  # seconds from one plain line to the next ...
_PLAIN_EVERY = 60.0  # ... and then
_BAR = 10
_BESIDE = _BAR + 6  # characters of the line that are neither the title nor the words
_FOLDER = 24  # characters of a folder that are worth more than the speed


class Step(NamedTuple):
    """How far it is."""

    files: int
    all_files: int | None = None  # None: they are counted still, or nobody knows
    bytes: int = 0
    all_bytes: int | None = None
    folder: str = ""
    notes: str = ""


Show = Callable[[Step], None]


class ShownProgress:
    """What long work says of itself (`Src/Library/operations.py`), as steps of the line on screen."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._is_planned = False
        self._files: int | None = None
        self._bytes: int | None = None

    def plan(self, files: int | None, size: int | None = None) -> None:
        self._is_planned, self._files, self._bytes = True, files, size

    def steps(
        self, files: int, size: int = 0, *, at: str = "", errors: int = 0, counts: Mapping[str, int] = NOTHING
    ) -> None:
        del errors  # one of the counts
        notes = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count and self._is_planned)
        self._show(Step(files, self._files, size, self._bytes, at, notes))

    def reached(self, path: str, sha256: str | None) -> None:
        """A checkpoint is nothing to be seen."""


def time_left(step: Step, seconds: float) -> float | None:
    """Seconds until the end, at the speed of the `seconds` so far; None where that is not known."""
    done, everything = (step.bytes, step.all_bytes) if step.all_bytes else (step.files, step.all_files)
    if not everything or done <= 0 or seconds <= 0:
        return None
    return max(0.0, seconds * (everything - done) / done)


def step_words(step: Step, seconds: float) -> list[str]:
    """How many files, how many bytes, how long still, what else, how fast."""
    if step.all_files is None:
        return [f"{words.counted(step.files, 'file')} found", words.size(step.bytes)]
    parts = [f"{step.files:,}/{step.all_files:,} files"]
    if step.all_bytes is not None:
        parts.append(f"{words.size(min(step.bytes, step.all_bytes))} of {words.size(step.all_bytes)}")
    left = time_left(step, seconds)
    if left is not None:
        parts.append(f"{words.short_span(left)} left")
    if step.notes:
        parts.append(step.notes)
    if seconds > 0 and step.files:
        parts.append(f"{step.files / seconds:,.0f} files/s {step.bytes / seconds / 1e6:,.0f} MB/s")
    return parts


def fitted(step: Step, seconds: float, room: int) -> str:
    """The words and the folder's end in so many characters: what matters less goes first."""
    parts = step_words(step, seconds)
    folder = escaped(step.folder)
    while len(parts) > 2 and len(", ".join(parts)) + min(len(folder), _FOLDER) + 2 > room:
        parts.pop()
    text = ", ".join(parts)
    left = room - len(text) - 2
    if not folder or left < 2:
        return text[:room]
    return f"{text}, {folder if len(folder) <= left else '…' + folder[1 - left :]}"


@contextmanager
def progress_shown(title: str) -> Iterator[Show]:
    """What is called with each step, as often as one likes."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _line_on(console, title) as show:
            yield show
    else:
        yield PlainLines(title).show


class PlainLines:
    """Lines for a log: the first soon, and then ever fewer."""

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._clock = clock
        self._began = self._counted = clock()
        self._next = self._began + _PLAIN_AFTER[0]
        self._lines = 0

    def show(self, step: Step) -> None:
        now = self._clock()
        if step.all_files is None:
            self._counted = now
        if now < self._next:
            return
        self._lines += 1
        self._next = now + (_PLAIN_AFTER[self._lines] if self._lines < len(_PLAIN_AFTER) else _PLAIN_EVERY)
        where = [f"in {escaped(step.folder)}"] if step.folder else []
        logger.info("%s: %s", self._title, ", ".join([*step_words(step, now - self._counted), *where]))


@contextmanager
def _line_on(console: Console, title: str) -> Iterator[Show]:
    """The line is drawn anew several times a second, whatever is shown."""
    logging.getLogger().setLevel(max(logging.getLogger().level, logging.WARNING))
    began: float | None = None
    last = Step(0)

    with Progress(
        TextColumn("{task.description}"),
        SpinnerColumn(),
        BarColumn(bar_width=_BAR),
        TextColumn("{task.fields[now]}", markup=False, table_column=Column(no_wrap=True)),
        console=console,
        transient=True,
    ) as progress:
        _log_to_stderr()  # Rich's own by now: warnings appear above the line
        task = progress.add_task(title, total=None, now="")

        def show(step: Step) -> None:
            nonlocal began, last
            if step.all_files is not None and began is None:
                began = time.monotonic()
            last = step
            seconds = time.monotonic() - began if began is not None else 0.0
            done, everything = (step.bytes, step.all_bytes) if step.all_bytes else (step.files, step.all_files)
            progress.update(
                task,
                completed=min(done, everything or done),
                total=everything,
                now=fitted(step, seconds, max(20, console.width - len(title) - _BESIDE)),
            )

        try:
            yield show
            show(last)
        finally:
            progress.stop()
            _log_to_stderr()


def _log_to_stderr() -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
