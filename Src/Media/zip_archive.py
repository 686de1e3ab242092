"""What a zip archive holds (PKWARE's APPNOTE 6.3.10), member by member, and nothing of it unpacked but what is asked.

An archive is hostile until it is read: how much it may cost is bounded before anything of it is unpacked. Photos and
videos hardly shrink; what unpacks to many times its size is none of theirs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import IO, NamedTuple, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo
from zoneinfo import ZoneInfo

from Src.Media.zip_whole import holds_more
from Src.Shared import words

MOST_DIRECTORY = 32 * 2**20  # bytes of the list of members: some 300,000 of usual names
_MOST_TIMES = 200  # what a member, or all together, may be larger than what is packed (deflate's own limit is 1032)
_SMALL = 64 * 2**20  # bytes; below that a member may shrink as it likes
_PIECE = 2**20
_ENCRYPTED = 0x1 | 0x40  # bits of the general purpose flag (4.4.4)
_IS_UTF8 = 0x800
_ON_FAT = 0  # "version made by" (4.4.2): there `\\` parts folders, if a program left it so
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES"}
_EXTENDED_TIMESTAMP = 0x5455  # extra field of Info-ZIP: UTC
# What zipfile raises for bytes that are no archive.
_DAMAGE = (BadZipFile, zlib.error, EOFError, struct.error, ValueError, NotImplementedError, RuntimeError, IndexError)
_BY_HAND = "unpack it yourself, and import the folder"


class ArchiveTrouble(Exception):
    """An archive that cannot be read as a whole. The message says what, and what to do."""


class MemberTrouble(Exception):
    """A member that cannot be unpacked. The message says what, and what to do."""


class Member(NamedTuple):
    """A file in an archive."""

    folder: str  # without `..` and a leading `/`; empty at the top
    name: str  # its own, without a folder; may be longer than a filesystem takes
    size: int  # bytes, as the archive states it
    mtime_ns: int
    info: ZipInfo

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.info.external_attr >> 16)

    def trouble(self) -> str | None:
        """Why it cannot be unpacked, as far as the list of members says so."""
        info = self.info
        if info.flag_bits & _ENCRYPTED:
            return f"it is encrypted in its archive: {_BY_HAND}"
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            how = _METHODS.get(info.compress_type, f"method {info.compress_type}")
            return f"it is packed with {how}, which is not read here: {_BY_HAND}"
        if self.size > _SMALL and self.size > _MOST_TIMES * info.compress_size:
            return f"it would unpack to {words.size(self.size)} from {words.size(info.compress_size)}, as no photo does"
        return None


class ZipArchive:
    """A zip archive that is read by a descriptor, wherever it is opened from."""

    def __init__(self, open_file: Callable[[], int], zone: ZoneInfo, *, checks_all: bool = False) -> None:
        """`open_file` returns a new descriptor. `zone`: in which the times are that a zip states without one.
        `checks_all`: whether `members` finds out what `more` says."""
        self.more: str | None = None  # why its members are not all that it holds
        self._checks_all = checks_all
        self._open_file = open_file
        self._zone = zone
        self._stream = _Stream()
        self._zip: ZipFile | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Open for a block; its descriptor. Raises what `open_file` does."""
        fd = self._open_file()
        self._stream.fd = fd
        try:
            yield fd
        finally:
            self._stream.fd = -1
            os.close(fd)

    def members(self) -> list[Member]:
        """All that are no folders, in the archive's order, while it is open. Raises ArchiveTrouble."""
        size = self._stream.seek(0, os.SEEK_END)
        try:
            self._zip = ZipFile(cast(IO[bytes], self._stream))
            infos, begins = self._zip.infolist(), self._zip.start_dir
            self._zip.filelist, self._zip.NameToInfo = [], {}  # the caller decides what it keeps
        except _TooMuch as error:
            raise ArchiveTrouble(
                f"its list of members is larger than {words.size(MOST_DIRECTORY)}: {_BY_HAND}"
            ) from error
        except _CannotRead as error:
            raise ArchiveTrouble(f"cannot be read: {error}") from error
        except (*_DAMAGE, MemoryError) as error:
            raise ArchiveTrouble(
                f"a damaged zip archive, or half of one ({_words_of(error)}): fetch it again"
            ) from error
        packed, unpacked = sum(one.compress_size for one in infos), sum(one.file_size for one in infos)
        if packed > size:
            raise ArchiveTrouble("its members overlap, as only a hostile archive's do")
        if unpacked > max(_SMALL * 16, _MOST_TIMES * size):
            raise ArchiveTrouble(
                f"it would unpack to {words.size(unpacked)} from {words.size(size)}, as no photos do: {_BY_HAND}"
            )
        if self._checks_all:
            try:
                self.more = holds_more(self._stream.fd, infos, begins, self._is_member)
            except OSError as error:
                raise ArchiveTrouble(f"cannot be read: {error.strerror}") from error
        return [member for one in infos if not one.filename.endswith("/") for member in self._members_of(one)]

    def _is_member(self, info: ZipInfo) -> bool:
        return not info.filename.endswith("/") and any(True for _ in self._members_of(info))

    def unpack(self, member: Member, write: Callable[[bytes], object]) -> None:
        """Hands a member's bytes on, piece by piece, and checks them against their CRC-32; while it is open.

        Raises MemberTrouble, after some were handed on, and what `write` raises.
        """
        assert self._zip is not None
        count = 0
        with contextlib.ExitStack() as opened:
            try:
                stream = opened.enter_context(self._zip.open(member.info))
            except (*_DAMAGE, OSError, _CannotRead) as error:
                raise _damaged(error) from error
            while True:
                try:
                    piece = stream.read(_PIECE)
                except (*_DAMAGE, OSError, _CannotRead) as error:
                    raise _damaged(error) from error
                if not piece:
                    break
                count += len(piece)
                write(piece)
        if count != member.size:
            raise MemberTrouble(f"it is damaged in its archive (it ends after {words.size(count)}): fetch that again")

    def _members_of(self, info: ZipInfo) -> Iterator[Member]:
        path = _name_of(info)
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        if parts:
            yield Member("/".join(parts[:-1]), parts[-1], info.file_size, self._mtime_ns(info), info)

    def _mtime_ns(self, info: ZipInfo) -> int:
        seconds = _extended_time(info.extra)
        if seconds is None:
            try:
                seconds = int(datetime(*info.date_time, tzinfo=self._zone).timestamp())
            except (ValueError, OverflowError):
                seconds = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp())
        return seconds * 1_000_000_000


class _TooMuch(Exception):
    """More is asked for at once than an archive may cost."""


class _CannotRead(Exception):
    """The disk refuses."""


class _Stream:
    """What `ZipFile` reads: a descriptor, of which nobody else moves the place."""

    def __init__(self) -> None:
        self.fd = -1
        self._at = 0

    def read(self, count: int = -1) -> bytes:
        if count < 0:
            count = max(0, os.fstat(self.fd).st_size - self._at)
        if count > MOST_DIRECTORY:
            raise _TooMuch
        try:
            found = os.pread(self.fd, count, self._at)
        except OSError as error:
            raise _CannotRead(error.strerror) from error
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self.fd).st_size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))  # as of any file
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing: the descriptor is its opener's."""


def _name_of(info: ZipInfo) -> str:
    """The name in Unicode: what does not say that it is UTF-8 (4.4.4, bit 11) often is, and else code page 437."""
    name = info.filename
    if not info.flag_bits & _IS_UTF8:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    if info.create_system == _ON_FAT and "/" not in name:
        name = name.replace("\\", "/")
    return name


def _extended_time(extra: bytes) -> int | None:
    """Seconds since 1970 of the extended timestamp's modification time."""
    at = 0
    while at + 4 <= len(extra):
        tag, size = struct.unpack_from("<HH", extra, at)
        if tag == _EXTENDED_TIMESTAMP and size >= 5 and at + 9 <= len(extra) and extra[at + 4] & 1:
            return int(struct.unpack_from("<i", extra, at + 5)[0])
        at += 4 + size
    return None


def _damaged(error: Exception) -> MemberTrouble:
    if isinstance(error, (_CannotRead, OSError)):
        return MemberTrouble(f"its archive cannot be read: {error}")
    return MemberTrouble(f"it is damaged in its archive ({_words_of(error)}): fetch that again")


def _words_of(error: BaseException) -> str:
    """What is wrong, without the names and numbers of a hostile file."""
    text = str(error)
    if "CRC" in text:
        return "its checksum is wrong"
    if "directory" in text and "header" in text:
        return "two names of it differ"
    if "not a zip file" in text.lower():
        return "its end is missing"
    return "it is not as a zip archive is made" if not isinstance(error, MemoryError) else "too large for this machine"
