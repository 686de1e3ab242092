"""What a worker process finds out about files: fingerprint first, then date and place."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import parent_process
from typing import NamedTuple
from zoneinfo import ZoneInfo

from Src.Librarian.fingerprint import Fingerprint, NotARegularFile, StillChanging, fingerprint
from Src.Librarian.incoming import IncomingFile, regular_file_state
from Src.Librarian.media_kind import Kind
from Src.Librarian.metadata_extractor import Metadata, MetadataExtractor, Subject


class Inspected(NamedTuple):
    """A photo or video, read."""

    file: IncomingFile
    sha256: str
    kind: Kind
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class NotMedia:
    """Read far enough to see that it is no photo or video."""

    file: IncomingFile


@dataclass(frozen=True, slots=True)
class Changing:
    """Not complete after all: it changed while it was read, or somebody has it open for writing."""

    file: IncomingFile


@dataclass(frozen=True, slots=True)
class Gone:
    """No longer there, or no regular file any more."""

    file: IncomingFile


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The file could not be read; to be tried again."""

    file: IncomingFile
    reason: str


Finding = Inspected | NotMedia | Changing | Gone | Unreadable

_extractor: MetadataExtractor | None = None
_zone: ZoneInfo


def start_worker(zone: ZoneInfo, time_limit: float) -> None:
    """Runs once in each worker process."""
    global _extractor, _zone
    # Ctrl-C and a stop of the whole group are the librarian's to handle; it ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _zone = zone
    _extractor = MetadataExtractor(zone, time_limit)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def inspect(files: Sequence[IncomingFile]) -> list[Finding]:
    """Reads files once each; an answer for every file, in order. Never raises because of a file."""
    assert _extractor is not None
    findings: list[Finding | None] = []
    media: list[tuple[int, IncomingFile, Fingerprint, Kind]] = []
    for index, file in enumerate(files):
        finding: Finding | None = None
        try:
            print_ = fingerprint(file.path, file.state)
            if print_.kind is None:
                finding = NotMedia(file)
            else:
                media.append((index, file, print_, print_.kind))
        except StillChanging:
            finding = Changing(file)
        except (NotARegularFile, FileNotFoundError, NotADirectoryError):
            finding = Gone(file)
        except OSError as error:
            finding = Unreadable(file, f"cannot be read: {error.strerror}")
        findings.append(finding)

    subjects = [Subject(file.path, file.name, kind.name, file.state.mtime_ns) for _, file, _, kind in media]
    described = _extractor.extract(subjects, datetime.now(_zone).replace(tzinfo=None))
    for (index, file, print_, kind), metadata in zip(media, described, strict=True):
        # Date and place were read in a second look; it must have been at the same bytes.
        findings[index] = Inspected(file, print_.sha256, kind, metadata) if _as_it_was(file) else Changing(file)
    return [finding for finding in findings if finding is not None]


def _as_it_was(file: IncomingFile) -> bool:
    try:
        return regular_file_state(file.path) == file.state
    except OSError:  # its folder has become unreadable
        return False


def _die_with_parent() -> None:
    """A worker whose librarian was killed must not linger."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
