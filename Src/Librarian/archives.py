"""The zip archives of an import, member by member; which sidecar and which of Takeout's notes belong to which photo.

An archive is looked at twice: first all of them at their lists of members, because the note of a photo may be in
another part of a Takeout; then each is read from its beginning to its end. None is ever changed or removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from Src.Librarian.passage import IN_ARCHIVE, IncomingFile
from Src.Librarian.unpacking import Beside, Unpack
from Src.Library.inbox import why_ignored, why_ignored_folder
from Src.Media import companions, takeout
from Src.Media.zip_archive import ArchiveTrouble, Member, MemberTrouble, ZipArchive
from Src.Shared.disk.files import FileState, NotARegularFile
from Src.Shared.disk.top import open_regular_below

_ENDING = ".zip"
_START = b"PK"
_INNER_ARCHIVE = "an archive in an archive; unpack it yourself"
_LINK = "symbolic link"


def is_archive(file: IncomingFile) -> bool:
    """Whether a file is a zip archive by its name and its first bytes; its members are then files of the source.

    One that cannot be read is taken for one, which says so.
    """
    if not _is_named_so(file.path):
        return False
    try:
        fd = open_regular_below(file.top, file.path)
    except (OSError, NotARegularFile):
        return True
    try:
        return os.pread(fd, len(_START), 0) == _START
    except OSError:
        return True
    finally:
        os.close(fd)


@dataclass(slots=True)
class Archive:
    """One of them."""

    file: IncomingFile
    zip: ZipArchive
    files: int = 0  # that it holds
    bytes: int = 0  # that these have
    notes: dict[str, Member] = field(default_factory=dict)  # what may be notes of Takeout, by their paths in it
    trouble: str | None = None  # why it cannot be read
    more: str | None = None  # that it holds more than its members, if anybody asked

    def path_of(self, member: str) -> str:
        return f"{self.file.original_path}{IN_ARCHIVE}{member}"


@dataclass(frozen=True, slots=True)
class Packed:
    """A member that is to be imported, in the archive that is open."""

    file: IncomingFile  # as it is known before it is unpacked: no descriptor leads to its path
    name: str
    unpack: Unpack  # raises MemberTrouble
    beside: list[Beside]
    skipped: str | None  # why it is left alone
    trouble: str | None  # why it cannot be unpacked

    def sha256(self, between: Callable[[], None]) -> str:
        """Of its bytes, written nowhere. Raises MemberTrouble, and what `between` raises after a piece."""
        digest = hashlib.sha256()

        def add(piece: bytes) -> None:
            digest.update(piece)
            between()

        self.unpack(add)
        return digest.hexdigest()


class Archives:
    """All archives of an import."""

    def __init__(self, zone: ZoneInfo, *, checks_all: bool = False) -> None:
        """`checks_all`: whether its members are all that an archive holds."""
        self._zone = zone
        self._checks_all = checks_all
        self._known: dict[str, Archive] = {}
        self._sets: defaultdict[str, list[Archive]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self._known)

    def __iter__(self) -> Iterator[Archive]:
        return iter(list(self._known.values()))

    def add(self, file: IncomingFile) -> Archive:
        """Looks at what it holds, once, and closes it."""
        known = self._known.get(file.path)
        if known is not None:
            return known
        zip_ = ZipArchive(lambda: _open(file), self._zone, checks_all=self._checks_all)
        archive = self._known[file.path] = Archive(file, zip_)
        try:
            with archive.zip.opened():
                members = archive.zip.members()
                archive.more = archive.zip.more
        except ArchiveTrouble as trouble:
            archive.trouble = str(trouble)
            return archive
        archive.files, archive.bytes = len(members), sum(one.size for one in members)
        archive.notes = {one.path: one for one in members if _may_be_note(one)}
        self._sets[takeout.set_of(file.path)].append(archive)
        return archive

    @contextlib.contextmanager
    def reading(self, archive: Archive) -> Iterator[Iterator[Packed]]:
        """An archive's members, while it is open. Raises ArchiveTrouble."""
        with archive.zip.opened() as fd:
            members = archive.zip.members()
            yield self._packed(archive, fd, members)

    def _packed(self, archive: Archive, fd: int, members: list[Member]) -> Iterator[Packed]:
        there = {one.path: one for one in members}
        times = Counter[str]()
        for member in members:
            times[member.path] += 1
            again = f"#{times[member.path]}" if times[member.path] > 1 else ""  # one name twice: two files
            path = archive.path_of(member.path + again)
            changed = FileState.of(os.fstat(fd)) != archive.file.state
            yield Packed(
                IncomingFile(path, path, FileState(member.size, member.mtime_ns, 0, 0, 0), "import"),
                member.name,
                _unpacking(archive, fd, member),
                [] if changed else list(self._beside(archive, fd, member, there)),
                _why_left_alone(member),
                _CHANGED if changed else member.trouble(),
            )

    def _beside(self, archive: Archive, fd: int, member: Member, there: dict[str, Member]) -> Iterator[Beside]:
        """What says something about a photo. What of it cannot be read says nothing."""
        if companions.is_sidecar(member.name) or member.path in archive.notes:
            return
        sidecar = companions.sidecar_of(member.path, there.__contains__)
        if sidecar is not None:
            found = there[sidecar]
            if found.size <= companions.MOST_BYTES and found.trouble() is None:
                yield Beside(found.name, _unpacking(archive, fd, found))
        folder = f"{member.folder}/" if member.folder else ""
        parts = [archive, *(one for one in self._sets[takeout.set_of(archive.file.path)] if one is not archive)]
        for name in takeout.note_names(member.name):
            for part in parts:
                note = part.notes.get(folder + name)
                if note is not None:
                    is_open = part is archive
                    yield Beside(name, _unpacking(part, fd, note) if is_open else _unpacking_note(part, note))
                    return


_CHANGED = "its archive was changed while it was read: import that again when it is complete"


def _open(file: IncomingFile) -> int:
    """Raises ArchiveTrouble."""
    try:
        fd = open_regular_below(file.top, file.path)
    except OSError as error:
        raise ArchiveTrouble(f"cannot be read: {error.strerror}") from error
    except NotARegularFile as error:
        raise ArchiveTrouble("is no file any more") from error
    if FileState.of(os.fstat(fd)) != file.state:
        os.close(fd)
        raise ArchiveTrouble("was changed since it was found: import it again when it is complete")
    return fd


def _unpacking(archive: Archive, fd: int, member: Member) -> Unpack:
    def unpack(write: Callable[[bytes], object]) -> None:
        archive.zip.unpack(member, write)
        if FileState.of(os.fstat(fd)) != archive.file.state:
            raise MemberTrouble(_CHANGED)

    return unpack


def _unpacking_note(archive: Archive, member: Member) -> Unpack:
    """Of an archive that is not open now."""

    def unpack(write: Callable[[bytes], object]) -> None:
        with archive.zip.opened():
            archive.zip.unpack(member, write)

    return unpack


def _is_named_so(name: str) -> bool:
    return name.lower().endswith(_ENDING)


def _may_be_note(member: Member) -> bool:
    return member.name.lower().endswith(".json") and member.size <= takeout.MOST_BYTES and member.trouble() is None


def _why_left_alone(member: Member) -> str | None:
    """By the same rules as a folder that is imported."""
    if member.is_link:
        return _LINK
    parent = ""
    for folder in filter(None, member.folder.split("/")):
        why = why_ignored_folder(folder, parent)
        if why is not None:
            return why
        parent = folder
    return why_ignored(member.name) or (_INNER_ARCHIVE if _is_named_so(member.name) else None)
