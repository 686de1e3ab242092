"""What the Librarian and a reader say to each other: lines of JSON.

A reader reads hostile bytes, and may be theirs by now: what comes from it is data, each field is checked, and a file
is named by its place in the request only. (A pickle, which `multiprocessing` sends, would be a program.)
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn, get_args

from Src.Librarian.passage import (
    Changing,
    Companion,
    Gone,
    IncomingFile,
    Inspected,
    Inspection,
    NotMedia,
    Sidecar,
    Unreadable,
)
from Src.Media.capture_date import Precision
from Src.Media.companion_names import CompanionKind
from Src.Media.kinds import KINDS
from Src.Media.metadata import Metadata, UsedSidecar
from Src.Media.places import Place
from Src.Media.readers.readings import LONGEST_REASON, Reading, Readings
from Src.Media.shots import NO_SHOT, Shot
from Src.Media.takeout import TakeoutNote
from Src.Media.words import MOST_TAGS, SAYS_NOTHING, Words
from Src.Shared.disk.files import FileState
from Src.Shared.disk.top import Top

REST_AFTER = 30.0  # seconds without a request, after which a reader ends what it has used
MOST_LINE = 64 * 2**20  # bytes
_LONGEST_TEXT = 64 * 1024  # characters
_LONGEST_NAME = 255  # bytes on disk, and never more characters
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_SOURCE = re.compile(r"[\w:]{1,64}", re.ASCII)
_REASON = re.compile(rf"[\w ,.:/()'-]{{1,{LONGEST_REASON}}}", re.ASCII)


class Nonsense(Exception):
    """A reader said something that no reader says."""


@dataclass(frozen=True, slots=True)
class Later:
    """A file that could not be read for a reason of ours: it says nothing of the file."""

    file: IncomingFile
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a file whose date and place only ExifTool can read."""

    sha256: str
    kind: str | None  # by content; None: an XMP sidecar
    reason: str  # why no fast reader has answered


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A file to be read by ExifTool, in another request: those that were read with it do not wait for it."""

    file: IncomingFile
    known: Known


Finding = Inspection | Later | HandedOver


@dataclass(frozen=True, slots=True)
class Request:
    """Files to be read."""

    files: Sequence[IncomingFile]
    now: datetime  # the wall clock in the factory's zone
    alone: bool = False  # a single file, to be read as if it were the first
    known: Sequence[Known] | None = None  # of each file, where ExifTool must read them
    exiftool_next: bool = False  # ExifTool is to start meanwhile, for a request to come


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reader has found."""

    inspections: Sequence[Finding]  # one for each file, in their order
    readings: Readings = field(default_factory=Counter)  # by what the photos and videos among them were read


Roots = list[list[int] | None]


def roots_at(readable: Sequence[str] | None) -> Roots:
    """Which files and folders a reader may read, each as device and inode; None for one that is not there."""
    return [_identity(path) for path in readable or ()]


def _identity(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_dev, status.st_ino]


def request_line(request: Request) -> bytes:
    files = [[file.path, file.original_path, *file.state, file.source, file.below] for file in request.files]
    known = None if request.known is None else [[one.sha256, one.kind, one.reason] for one in request.known]
    said = {"files": files, "now": request.now.isoformat(), "alone": request.alone, "known": known}
    return _line({**said, "exiftool_next": request.exiftool_next})


def request_of(line: bytes) -> Request:
    said = json.loads(line)
    files = [
        IncomingFile(path, original_path, FileState(*state), source, _top(below))
        for path, original_path, *state, source, below in said["files"]
    ]
    known = None if said["known"] is None else [Known(*one) for one in said["known"]]
    return Request(files, datetime.fromisoformat(said["now"]), said["alone"], known, said["exiftool_next"])


def _top(said: list[Any] | None) -> Top | None:
    if said is None:
        return None
    path, identity = said
    return Top(path, None if identity is None else (identity[0], identity[1]))


def reply_line(reply: Reply) -> bytes:
    inspections = [_said(inspection) for inspection in reply.inspections]
    return _line({"inspections": inspections, "readings": [[*one, count] for one, count in reply.readings.items()]})


def _said(inspection: Finding) -> list[Any]:
    match inspection:
        case HandedOver(known=Known(sha256, kind, reason)):
            return ["handed_over", sha256, kind, reason]
        case Inspected():
            return ["inspected", inspection.sha256, inspection.kind.name, *_said_of(inspection.metadata)]
        case Sidecar():
            return ["sidecar", inspection.sha256, *_said_of(inspection.says)]
        case Companion(kind=kind, note=note, album=album):
            told = None if note is None else [note.taken and note.taken.isoformat(), *note[1:]]
            return ["companion", inspection.sha256, kind, told, album]
        case NotMedia():
            return ["not_media"]
        case Changing():
            return ["changing"]
        case Gone():
            return ["gone"]
        case Unreadable():
            return ["unreadable", inspection.reason]
        case Later():
            return ["later", inspection.reason]


def _said_of(metadata: Metadata) -> list[Any]:
    when, *others, words, shot, sidecar = metadata
    beside = None if sidecar is None else [*sidecar[:-1], _said_of(sidecar.without)]
    told = None if words == SAYS_NOTHING else words
    return [when.isoformat(), *others, told, None if shot == NO_SHOT else shot, beside]


def message_of(line: bytes) -> dict[str, Any]:
    """A line of a reader. Raises Nonsense."""
    try:
        said = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Nonsense("no JSON") from error
    if not isinstance(said, dict):
        raise Nonsense("no object")
    return said


def place_of(said: object) -> tuple[float, float]:
    """The place that a reader asks about: degrees of latitude and longitude. Raises Nonsense."""
    try:
        match said:
            case [latitude, longitude]:
                north, east = _number(latitude, -90, 90), _number(longitude, -180, 180)
                if north is not None and east is not None:
                    return north, east
    except (ValueError, OverflowError):
        pass
    raise Nonsense("no place")


def reply_of(said: dict[str, Any], files: Sequence[IncomingFile]) -> Reply:
    """A reader's reply about these files. Raises Nonsense."""
    inspections, readings = said.get("inspections"), said.get("readings")
    if not isinstance(inspections, list) or len(inspections) != len(files):
        raise Nonsense("not an answer for each file")
    try:
        found = [_inspection(one, file) for one, file in zip(inspections, files, strict=True)]
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise Nonsense(f"an inspection of the wrong form ({type(error).__name__})") from error
    try:
        return Reply(found, _readings(readings, len(files)))
    except (ValueError, TypeError) as error:
        raise Nonsense("readings of the wrong form") from error


def _readings(said: object, most: int) -> Readings:
    """The readings of a reply about so many files at most."""
    if not isinstance(said, list):
        raise ValueError
    readings: Readings = Counter()
    for kind, reason, count in said:
        if kind not in KINDS:
            raise ValueError
        readings[Reading(kind, None if reason is None else _reason(reason))] += _whole(count, 1, most) or 0
    if readings.total() > most:
        raise ValueError
    return readings


def _reason(text: object) -> str:
    if not isinstance(text, str) or _REASON.fullmatch(text) is None:
        raise ValueError
    return text


def _inspection(said: list[Any], file: IncomingFile) -> Finding:
    match said:
        case ["handed_over", str(sha256), kind, str(reason)]:
            return HandedOver(file, Known(_hash(sha256), None if kind is None else KINDS[kind].name, _reason(reason)))
        case ["inspected", str(sha256), str(kind), str(when), *others]:
            return Inspected(file, _hash(sha256), KINDS[kind], _metadata(when, *others))
        case ["sidecar", str(sha256), str(when), *others]:
            return Sidecar(file, _hash(sha256), _metadata(when, *others))
        case ["companion", str(sha256), kind, note, album]:
            said_of = None if note is None else _note(*note)
            title = None if album is None else _text(album)
            return Companion(file, _hash(sha256), _companion_kind(kind), said_of, title)
        case ["not_media"]:
            return NotMedia(file)
        case ["changing"]:
            return Changing(file)
        case ["gone"]:
            return Gone(file)
        case ["unreadable", str(reason)]:
            return Unreadable(file, _text(reason))
        case ["later", str(reason)]:
            return Later(file, _text(reason))
    raise ValueError


def _metadata(
    when: str,
    offset: object,
    source: object,
    precision: object,
    latitude: object,
    longitude: object,
    width: object,
    height: object,
    orientation: object,
    duration: object,
    make: object,
    model: object,
    rating: object,
    error: object,
    words: object,
    shot: object,
    sidecar: object,
) -> Metadata:
    captured_at = datetime.fromisoformat(when)
    if captured_at.tzinfo is not None or not isinstance(source, str) or _SOURCE.fullmatch(source) is None:
        raise ValueError
    return Metadata(
        captured_at,
        _whole(offset, -1440, 1440),
        source,
        _precision(precision),
        _number(latitude, -90, 90),
        _number(longitude, -180, 180),
        _whole(width, 1, 2**31 - 1),
        _whole(height, 1, 2**31 - 1),
        _whole(orientation, 1, 8),
        _number(duration, 0, math.inf),
        None if make is None else _text(make),
        None if model is None else _text(model),
        _whole(rating, -1, 5),
        None if error is None else _text(error),
        SAYS_NOTHING if words is None else _words(words),
        NO_SHOT if shot is None else _shot(shot),
        None if sidecar is None else _sidecar(sidecar),
    )


def _words(said: object) -> Words:
    match said:
        case [title, description, [*tags]] if len(tags) <= MOST_TAGS:
            told = None if title is None else _text(title), None if description is None else _text(description)
            return Words(*told, tuple(_text(tag) for tag in tags))
    raise ValueError


def _shot(said: object) -> Shot:
    match said:
        case [content_id, burst_id, is_motion_photo]:
            return Shot(_shot_id(content_id), _shot_id(burst_id), _flag(is_motion_photo))
    raise ValueError


def _shot_id(value: object) -> str | None:
    if value is not None and _ID.fullmatch(_text(value)) is None:
        raise ValueError
    return None if value is None else _text(value)


def _sidecar(said: object) -> UsedSidecar:
    match said:
        case [str(name), str(sha256), size, [str(when), *others]] if others and others[-1] is None:
            if not name or "/" in name or "\0" in name or len(name) > _LONGEST_NAME:
                raise ValueError
            length = _whole(size, 0, 2**63 - 1)
            return UsedSidecar(name, _hash(sha256), length or 0, _metadata(when, *others))
    raise ValueError


def _companion_kind(value: object) -> CompanionKind:
    for one in get_args(CompanionKind):
        if value == one:
            known: CompanionKind = one
            return known
    raise ValueError


def _note(
    taken: object,
    place: object,
    title: object,
    description: object,
    is_favourite: object,
    people: object,
    is_archived: object,
    is_trashed: object,
) -> TakeoutNote:
    moment = None if taken is None else datetime.fromisoformat(_text(taken))
    if (moment is not None and moment.tzinfo is not None) or not isinstance(people, list):
        raise ValueError
    match place:
        case [latitude, longitude]:
            where = Place(_number(latitude, -90, 90), _number(longitude, -180, 180))
        case _:
            raise ValueError
    return TakeoutNote(
        moment,
        where,
        None if title is None else _text(title),
        None if description is None else _text(description),
        _flag(is_favourite),
        tuple(_text(name) for name in people),
        _flag(is_archived),
        _flag(is_trashed),
    )


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _hash(text: str) -> str:
    if _SHA256.fullmatch(text) is None:
        raise ValueError
    return text


def _precision(value: object) -> Precision:
    for one in get_args(Precision):
        if value == one:
            known: Precision = one
            return known
    raise ValueError


def _whole(value: object, least: int, most: int) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not least <= value <= most:
        raise ValueError
    return value


def _number(value: object, least: float, most: float) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float):
        raise ValueError
    number = float(value)  # type: ignore[arg-type]
    if not math.isfinite(number) or not least <= number <= most:
        raise ValueError
    return number


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise ValueError
    return value


def _refuse(_name: str) -> NoReturn:
    raise ValueError  # NaN, Infinity


def _line(said: object) -> bytes:
    # ASCII: what is not UTF-8 in a name goes as an escaped surrogate, and no line break is among it.
    return json.dumps(said, separators=(",", ":")).encode("ascii") + b"\n"
