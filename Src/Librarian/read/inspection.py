"""What a reader finds out about files: fingerprint first, then date and place."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from Src.Librarian.metadata_extractor import SIDECAR, MetadataExtractor, NotRead
from Src.Librarian.passage import (
    Changing,
    Companion,
    Gone,
    IncomingFile,
    Inspected,
    NotMedia,
    Sidecar,
    StillChanging,
    Unreadable,
)
from Src.Librarian.read.fingerprint import fingerprint
from Src.Librarian.read.wire import Finding, HandedOver, Known, Later
from Src.Media import takeout
from Src.Media.companion_names import CompanionKind, companion_kind
from Src.Media.companions import MOST_BYTES, is_sidecar
from Src.Media.kinds import KINDS
from Src.Media.metadata import Metadata, Subject
from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.stay_open import Look
from Src.Shared.disk.files import FileState, NotARegularFile, OpenFile, open_regular, sha256_of
from Src.Shared.disk.top import Top, parent_below

# Of what is no photo or video: a memo is minutes long, a drone's log an hour.
_MOST_BYTES: dict[CompanionKind, int] = {
    "aae": MOST_BYTES,
    "audio": 256 * 2**20,
    "srt": 64 * 2**20,
    "takeout": takeout.MOST_BYTES,
}


class Inspector:
    """Reads files; it owns an ExifTool process."""

    def __init__(
        self,
        zone: ZoneInfo,
        time_limit: float,
        *,
        trust_any_version: bool = False,
        names_in: str | None = None,
        look_at: Callable[[int], Look] | None = None,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """See `MetadataExtractor`."""
        self.extractor = MetadataExtractor(
            zone, time_limit, trust_any_version=trust_any_version, names_in=names_in, look_at=look_at, turn=turn
        )

        self._album: tuple[tuple[int, int, int], str | None] = (0, 0, 0), None  # of the folder that was looked at last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.extractor.close()

    def inspect(
        self,
        files: Sequence[IncomingFile],
        now: datetime,
        *,
        alone: bool = False,
        known: Sequence[Known] | None = None,
    ) -> list[Finding]:
        """Reads files once each; an answer for every file, in order. Never raises because of a file.

        What no fast reader answers is handed over, but for a file that is read `alone`: as if nothing had been read
        before, and by whatever it takes. `known`: ExifTool must read them; what is known of each is not read again.
        `now`: the wall clock in the factory's zone.
        """
        findings: list[Finding | None] = []
        media: list[tuple[int, Known, Subject]] = []
        with ExitStack() as opened:
            folders = _Folders(opened)
            for index, file in enumerate(files):
                try:
                    folder = folders.of(file)
                    fd = open_regular(file.name, folder)
                    opened.callback(os.close, fd)
                    one = self._known_of(fd, file, folder) if known is None else known[index]
                    if not isinstance(one, Known):
                        findings.append(NotMedia(file) if one is None else one)
                        continue
                    opened_file = OpenFile(fd, file.name)
                    subject = Subject(opened_file, file.name, one.kind or SIDECAR, file.state.mtime_ns, folder)
                    media.append((index, one, subject))
                    findings.append(None)
                except StillChanging:
                    findings.append(Changing(file))
                except (NotARegularFile, FileNotFoundError, NotADirectoryError):
                    findings.append(Gone(file))
                except OSError as error:
                    findings.append(Unreadable(file, f"cannot be read: {error.strerror}"))

            subjects = [subject for _, _, subject in media]
            described: Sequence[Metadata | NotRead | Unusual]
            if known is not None:
                reasons = [one.reason for _, one, _ in media]
                described = self.extractor.extract_by_exiftool(subjects, reasons, now)
            elif alone:
                described = self.extractor.extract(subjects, now, alone=True)
            else:
                described = [self._fast(subject, now) for subject in subjects]
            for (index, one, subject), said in zip(media, described, strict=True):
                # Its bytes must have been the same in all looks at it, in this request and the one before.
                findings[index] = (
                    _finding(files[index], one, said)
                    if _is_as_it_was(subject, files[index])
                    else (Changing(files[index]))
                )
        return [finding for finding in findings if finding is not None]

    def _known_of(self, fd: int, file: IncomingFile, folder: int) -> Known | Companion | None:
        """Reads a file; None where it is neither photo nor video nor companion. Raises StillChanging, OSError."""
        found = fingerprint(fd, file.state)
        if found.kind is not None:
            return Known(found.sha256, found.kind.name, "")
        if is_sidecar(file.name) and file.state.size <= MOST_BYTES:
            return Known(sha256_of(fd), None, "")
        kind = companion_kind(file.name)
        if kind is None or not 0 < file.state.size <= _MOST_BYTES.get(kind, 0):
            return None
        note = takeout.parse(os.pread(fd, takeout.MOST_BYTES + 1, 0)) if kind == "takeout" else None
        if isinstance(note, takeout.Album | takeout.Refused):
            return None
        album = None if note is None or file.is_unpacked else self._album_of(folder)
        companion = Companion(file, sha256_of(fd), kind, note, album)
        if FileState.of(os.fstat(fd)) != file.state:
            raise StillChanging
        return companion

    def _album_of(self, folder: int) -> str | None:
        """A folder is looked at once, until something comes into it or leaves it."""
        status = os.fstat(folder)
        seen = status.st_dev, status.st_ino, status.st_mtime_ns
        if self._album[0] != seen:
            self._album = seen, takeout.read_album(folder)
        return self._album[1]

    def _fast(self, subject: Subject, now: datetime) -> Metadata | Unusual:
        try:
            return self.extractor.extract_fast(subject, now)
        except Unusual as unusual:
            # Not the one that was raised: it has all that was read in its traceback, and us in a circle with it.
            return Unusual(unusual.reason)


def _finding(file: IncomingFile, known: Known, said: Metadata | NotRead | Unusual) -> Finding:
    if isinstance(said, Unusual):
        return HandedOver(file, replace(known, reason=said.reason))
    if isinstance(said, NotRead):
        return Later(file, said.reason)
    if known.kind is not None:
        return Inspected(file, known.sha256, KINDS[known.kind], said)
    return Sidecar(file, known.sha256, said) if said.error is None else NotMedia(file)


class _Folders:
    """The folders of some files, each opened once: from their tops, and without following a link."""

    def __init__(self, opened: ExitStack) -> None:
        self._opened = opened
        self._known: dict[tuple[Top, str], int] = {}

    def of(self, file: IncomingFile) -> int:
        """The open folder that a file is in. Raises NotARegularFile and OSError as `parent_below` does."""
        place = (file.top, os.path.dirname(file.path))
        if place not in self._known:
            self._known[place] = self._opened.enter_context(parent_below(file.top, file.path))[0]
        return self._known[place]


def _is_as_it_was(subject: Subject, file: IncomingFile) -> bool:
    assert isinstance(subject.file, OpenFile)
    try:
        return FileState.of(os.fstat(subject.file.fd)) == file.state
    except OSError:  # an I/O error, or a stale handle of a network share
        return False
