"""When and where was it taken, with what, and how large is it: the design's "date and place" stage.

Fast readers answer for what cameras usually write, and ExifTool for everything else. Both give tags in
ExifTool's words; what those mean is `Media/metadata.py`'s. Files next to the photo may say what the photo does not: an
XMP sidecar (`IMG.jpg.xmp` or `IMG.xmp`), and the JSON file of a Google Takeout.
"""

import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import datetime
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo

from Src.Media import capture_date
from Src.Media.companions import SidecarText, find_sidecar
from Src.Media.damage import with_structure
from Src.Media.metadata import Metadata, Subject, UsedSidecar, interpret
from Src.Media.readers import pillow_reader
from Src.Media.readers.exiftool_reader import ExifToolReader
from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.fast_readers import read_fast
from Src.Media.readers.readings import Reading, Readings
from Src.Media.readers.sidecar_reader import read_sidecar
from Src.Media.readers.stay_open import Look
from Src.Media.tags import Answer
from Src.Media.takeout import TakeoutNote, find_takeout, read_takeout
from Src.Shared.disk.files import NotARegularFile, OpenFile, open_regular, reading, sha256_of

logger = logging.getLogger(__name__)


SIDECAR = "XMP"  # the kind of a subject that is a sidecar itself, and says what it would say of a photo
_BUDGET = 2.0  # time limits that files which fail may cost those that came with them


class NotRead(NamedTuple):
    """A file whose metadata could not be read for a reason of ours: to be asked again, never to be guessed."""

    reason: str


class MetadataExtractor:
    """Reads files in batches; one per reader, for it owns an ExifTool process."""

    def __init__(
        self,
        zone: ZoneInfo,
        time_limit: float = 20.0,
        *,
        trust_any_version: bool = False,
        names_in: str | None = None,
        look_at: Callable[[int], Look] | None = None,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`zone`: where UTC dates are shown when the place is unknown; `time_limit`: seconds per file.

        The others are `ExifToolReader`'s.
        """
        self._zone = zone
        self._time_limit = time_limit
        self._readings: Readings = Counter()
        self._exiftool = ExifToolReader(
            time_limit, trust_any_version=trust_any_version, names_in=names_in, look_at=look_at, turn=turn
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends ExifTool."""
        self._exiftool.close()

    def start_exiftool(self) -> None:
        """Starts ExifTool ahead of the first file that needs it, and does not wait for it."""
        self._exiftool.start_ahead()

    def rest(self) -> None:
        """Ends an ExifTool that was used, until it is needed again."""
        self._exiftool.rest()

    @property
    def exiftool_version(self) -> str | None:
        """None: there is no ExifTool, and much stays unknown."""
        return self._exiftool.version

    def take_readings(self) -> Readings:
        """By what the photos and videos were read since the last call."""
        taken, self._readings = self._readings, Counter()
        return taken

    def extract(self, subjects: Sequence[Subject], now: datetime, *, alone: bool = False) -> list[Metadata | NotRead]:
        """One answer per subject, in order. No content of a file makes it raise.

        `alone`: as if nothing had been read before, and with all the time that it takes.
        """
        results: list[Metadata | NotRead | None] = []
        handed_over: dict[int, str] = {}
        for index, subject in enumerate(subjects):
            try:
                results.append(self.extract_fast(subject, now))
            except Unusual as unusual:
                results.append(None)
                handed_over[index] = unusual.reason
        left = [subjects[index] for index in handed_over]
        slow = self.extract_by_exiftool(left, list(handed_over.values()), now, alone=alone)
        for index, result in zip(handed_over, slow, strict=True):
            results[index] = result
        return [result for result in results if result is not None]

    def extract_by_exiftool(
        self, subjects: Sequence[Subject], reasons: Sequence[str], now: datetime, *, alone: bool = False
    ) -> list[Metadata | NotRead]:
        """As `extract`, of subjects that no fast reader has answered; `reasons`: of each, why."""
        if alone:
            self._exiftool.close()
        if not subjects:
            return []
        budget = math.inf if alone else _BUDGET * self._time_limit
        results = self._extract_slow(subjects, capture_date.wall_clock_now(now, self._zone), budget)
        for subject, reason, result in zip(subjects, reasons, results, strict=True):
            # (one that could not be read is read, and counted, again)
            if isinstance(result, Metadata) and subject.kind != SIDECAR:
                self._readings[Reading(subject.kind, reason)] += 1
        return results

    def extract_fast(self, subject: Subject, now: datetime) -> Metadata:
        """The answer of a fast reader. Raises Unusual where ExifTool must be asked."""
        now = capture_date.wall_clock_now(now, self._zone)
        if subject.kind == SIDECAR:
            return interpret(subject, Answer(), read_sidecar(subject.file), self._zone, now)
        if _find_takeout(subject) is not None:
            raise Unusual("a Takeout note beside it")
        with ExitStack() as opened:
            (sidecar,) = _open_sidecars([subject], opened)
            beside = None if sidecar is None else read_sidecar(sidecar)
            answer = read_fast(subject.kind, subject.file)
            without = interpret(subject, Answer(answer.tags, error=answer.damage), None, self._zone, now)
            metadata = without
            if sidecar is not None:
                said = interpret(subject, Answer(answer.tags, error=answer.damage), beside, self._zone, now)
                metadata = said._replace(sidecar=_used(sidecar, without))
        unsure = answer.unsure(without) or answer.unsure(metadata)
        if unsure is not None:
            raise Unusual(unsure)
        self._readings[Reading(subject.kind, None)] += 1
        return metadata

    def _extract_slow(self, subjects: Sequence[Subject], now: datetime, budget: float) -> list[Metadata | NotRead]:
        with ExitStack() as opened:
            known: dict[str | OpenFile, Answer] = {}
            if self._exiftool.version is None and not self._exiftool.may_start:
                sidecars: list[str | OpenFile | None] = [None] * len(subjects)
                answers = [Answer(pillow_reader.read_image(subject.file)) for subject in subjects]
            else:
                sidecars = _open_sidecars(subjects, opened)
                text = opened.enter_context(SidecarText())
                files = [text.readable(one.file) if one.kind == SIDECAR else one.file for one in subjects]
                beside = list(dict.fromkeys(sidecar for sidecar in sidecars if sidecar is not None))
                asked = [*files, *(text.readable(sidecar) for sidecar in beside)]
                answers = self._exiftool.read(asked, budget)
                known = dict(zip(beside, answers[len(files) :], strict=True))
            return [
                self._described(subject, answer, sidecar, known, now)
                for subject, sidecar, answer in zip(subjects, sidecars, answers, strict=False)
            ]

    def _described(
        self,
        subject: Subject,
        answer: Answer,
        sidecar: str | OpenFile | None,
        known: Mapping[str | OpenFile, Answer],
        now: datetime,
    ) -> Metadata | NotRead:
        beside = known.get(sidecar) if sidecar is not None else None
        for one in (answer, beside):
            if one is not None and one.ours:
                return NotRead(f"its date and place could not be read now: {one.error}")
        if subject.kind == SIDECAR:
            error = None if _is_xmp(answer) else "it holds no XMP"
            return interpret(subject, Answer(error=error), answer, self._zone, now)
        answer, takeout = with_structure(subject, answer), _takeout_of(subject)
        said = interpret(subject, answer, beside, self._zone, now, takeout)
        if sidecar is None or beside is None:
            return said
        without = interpret(subject, answer, None, self._zone, now, takeout)
        return said._replace(sidecar=_used(sidecar, without)) if _is_xmp(beside) else without


def _is_xmp(answer: Answer) -> bool:
    return any(tag.startswith("XMP:") for tag in answer.tags)


def _used(sidecar: str | OpenFile, without: Metadata) -> UsedSidecar | None:
    name = sidecar.name if isinstance(sidecar, OpenFile) else sidecar
    try:
        with reading(sidecar) as fd:
            return UsedSidecar(os.path.basename(name), sha256_of(fd), os.fstat(fd).st_size, without)
    except (OSError, NotARegularFile):
        return None


def _name_of(subject: Subject) -> str:
    """Its name in its open folder, or its path."""
    return subject.file.name if isinstance(subject.file, OpenFile) else subject.file


def _find_sidecar(subject: Subject) -> str | None:
    if subject.kind == SIDECAR:
        return None
    return find_sidecar(_name_of(subject), subject.folder)


def _find_takeout(subject: Subject) -> str | None:
    return find_takeout(_name_of(subject), subject.folder)


def _takeout_of(subject: Subject) -> TakeoutNote | None:
    name = _find_takeout(subject)
    return read_takeout(name, subject.folder) if name is not None else None


def _open_sidecars(subjects: Sequence[Subject], opened: ExitStack) -> list[str | OpenFile | None]:
    """Each subject's sidecar from the folder in which it was itself opened; one that many have is opened once."""
    known: dict[tuple[int | None, str], str | OpenFile | None] = {}
    sidecars: list[str | OpenFile | None] = []
    for subject in subjects:
        name = _find_sidecar(subject)
        if name is None:
            sidecars.append(None)
            continue
        place = (subject.folder, name)
        if place not in known:
            known[place] = name if subject.folder is None else _opened(name, subject.folder, opened)
        sidecars.append(known[place])
    return sidecars


def _opened(name: str, folder: int, opened: ExitStack) -> OpenFile | None:
    """None where no file stands there that can be read: a link leads to nobody's sidecar."""
    try:
        fd = open_regular(name, folder)
    except (OSError, NotARegularFile):
        return None
    opened.callback(os.close, fd)
    return OpenFile(fd, name)
