"""A day's folder of the vault: which names are taken in it, and the names that are possible."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.disk.beneath import open_beneath, open_folder
from Src.Shared.disk.files import NotARegularFile, open_regular, sha256_of
from Src.Shared.disk.making import SHARED, make_in

_NAME_REFUSED = (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG, errno.ENOENT)  # ENOENT: exfat-fuse says so
_NOT_PORTABLE = re.compile('[\0-\x1f<>:"|?*\\\\\ud800-\udfff]')
_NUMBERED = re.compile(r"_([1-9]\d{0,8})(\.[^.]*)?\Z")
_TO_LIST = os.O_RDONLY | os.O_DIRECTORY
_NEVER_CUT = 110  # bytes of a name that has room for its number, also as a portable one
_WORTH_REMEMBERING = 4  # names of one series


class VaultFolder:
    """One day's folder and the names taken in it, whoever wrote them.

    `refresh` opens it, from the vault's own folder and without following a link; until `close` its names are reached
    by that descriptor, whatever may be put in the folder's place meanwhile.
    """

    def __init__(self, originals: Path, relative: str, mode: int = SHARED) -> None:
        """`relative`: to the folder of all originals, to whose own path links may belong. `mode`: of what is made."""
        self.path = originals / relative  # for messages
        self._mode = mode
        self._originals = originals
        self._relative = relative
        self._fd = -1
        # Hash of a name's key -> the name on disk, encoded: as text one odd letter makes it four times longer. Were two
        # hashes the same, a name would count as taken, no more; and the keys of 100,000 long names would be 20 MB.
        self._holders: dict[int, bytes] = {}
        self._by_inode: dict[int, bytes] = {}
        self._hashes: dict[str, str] = {}  # of numbered names that we gave
        self._series: dict[str, _Series] = {}
        self._numbered: dict[str, dict[str, int]] = {}  # key of a series -> name on disk -> its number
        self._highest: dict[str, int] = {}
        self._seen_mtime_ns = -1

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Its names cannot be reached until `refresh` opens it again. What is known of them stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def fd(self) -> int:
        """The open folder."""
        if self._fd < 0:
            raise ValueError(f"the folder {self.path} is not open")
        return self._fd

    def at(self, name: str) -> str:
        """A path that leads to a name in this very open folder. Not for messages: these say `path`."""
        return f"/proc/self/fd/{self.fd}/{name}"

    def refresh(self) -> None:
        """Opens the folder and reads it where it has changed since; makes it where it is missing.

        Raises VaultTrouble.
        """
        self.close()
        try:
            self._fd = _open_made_folder(self._originals, self._relative, self._mode)
            mtime_ns = os.fstat(self._fd).st_mtime_ns
            if mtime_ns == self._seen_mtime_ns:
                return
            with os.scandir(self._fd) as entries:
                found = [(os.fsencode(entry.name), entry.inode()) for entry in entries]
        except OSError as error:
            self.close()
            if error.errno == errno.ELOOP:
                raise VaultTrouble(
                    f"a symbolic link leads to the folder {self.path}, and the vault follows none; replace it by the "
                    "folder itself, or mount the other disk in its place (mount --bind)"
                ) from error
            raise VaultTrouble.from_os(error, f"use the folder {self.path}") from error
        self._holders = {hash(name_key(os.fsdecode(name))): name for name, _ in found}
        self._by_inode = {inode: name for name, inode in found}
        self._hashes.clear()
        self._series.clear()
        self._numbered.clear()
        self._highest.clear()
        for name, _ in found:
            self._note_number(os.fsdecode(name))
        self._seen_mtime_ns = mtime_ns

    def add(self, name: str, inode: int, sha256: str | None = None) -> None:
        """Notes a name that was just placed here, with its content, or found taken."""
        self._holders[hash(name_key(name))] = self._by_inode[inode] = os.fsencode(name)
        if self._note_number(name) and sha256 is not None:
            self._hashes[name] = sha256

    def remove(self, name: str, inode: int) -> None:
        """Notes a name that we have just taken back."""
        self._holders.pop(hash(name_key(name)), None)
        self._by_inode.pop(inode, None)
        self._hashes.pop(name, None)
        self._series.clear()
        if numbered := _NUMBERED.search(name):
            self._numbered.get(_series_key(name[: numbered.start()], numbered[2]), {}).pop(name, None)

    def _note_number(self, name: str) -> bool:
        numbered = _NUMBERED.search(name)
        if numbered is None:
            return False
        key, number = _series_key(name[: numbered.start()], numbered[2]), int(numbered[1])
        self._numbered.setdefault(key, {})[name] = number
        self._highest[key] = max(number, self._highest.get(key, 0))
        return True

    def changed_only_by_us(self) -> None:
        """All changes since `refresh` were our own: what is known still stands. Raises VaultTrouble."""
        try:
            self._seen_mtime_ns = os.fstat(self.fd).st_mtime_ns
        except OSError as error:
            raise VaultTrouble.from_os(error, f"use the folder {self.path}") from error

    def holder(self, name: str) -> str | None:
        """The name on disk that is this name or differs from it only in case or Unicode form."""
        holder = self._holders.get(hash(name_key(name)))
        return None if holder is None else os.fsdecode(holder)

    def names(self) -> Iterator[str]:
        """All names in it, as on disk, in no order."""
        return map(os.fsdecode, self._holders.values())

    def holds_any(self, keys: Iterable[str]) -> bool:
        """Whether anything stands under one of these, as `name_key` gives them."""
        return any(hash(key) in self._holders for key in keys)

    def standing(self, name: str, size: int, sha256: str, *, only_name: bool = False) -> tuple[str, int] | None:
        """The name and inode of a file that holds these bytes under this name or a number of it.

        `only_name`: under this name alone.
        """
        if only_name:
            if self.holder(name) != name or _size_of(self.fd, name) != size:
                return None
            inode, found = _inode_and_hash(self.fd, name)
            return (name, inode) if found == sha256 else None
        for wanted in dict.fromkeys((name, portable_name(name))):
            series = self._walked(wanted)
            of_size = series.contents.get(size, {})
            for holder, known in of_size.items():
                if known is None or known == sha256:  # read in any case: what was known may be long ago
                    inode, of_size[holder] = _inode_and_hash(self.fd, holder)
                    if of_size[holder] == sha256:
                        return holder, inode
            for holder in self._beyond(wanted, series.taken):
                if _size_of(self.fd, holder) == size:
                    inode, found = _inode_and_hash(self.fd, holder)
                    if found == sha256:
                        return holder, inode
        return None

    def _beyond(self, name: str, number: int) -> list[str]:
        """Names on disk that have a higher number than the first free one: what stood between was taken away."""
        stem, ending = _stem_and_ending(name)
        key = _series_key(stem, ending)
        if self._highest.get(key, 0) <= number:
            return []
        return [holder for holder, taken in self._numbered[key].items() if taken > number]

    def _walked(self, name: str) -> _Series:
        """The numbered names of a name, up to the first that is free."""
        series = self._series.get(name) or _Series(name)
        while (holder := self.holder(series.free)) is not None:
            series.take(holder, _size_of(self.fd, holder), self._hashes.get(holder))
        if series.taken >= _WORTH_REMEMBERING:
            self._series[name] = series
        return series

    def _free_names(self, name: str) -> Iterator[str]:
        while True:
            yield self._walked(name).free

    def free_from(self, name: str) -> int:
        """The number up to which all are taken; from it on `numbered_names` has free ones. 0: the name itself is."""
        return self._walked(name).taken

    def free_names(self, name: str) -> Iterator[str]:
        """The name and its numbers that nobody here has, for who puts a file under one of them later."""
        return (one for one in numbered_names(name) if self.holder(one) is None)

    def first_free(self, name: str, put: Callable[[str], None], refused: set[str] | None = None) -> str:
        """Puts a file under the first free name, which it returns; `put` raises FileExistsError where one is taken.

        Where the filesystem refuses the name itself (exFAT, SMB), the nearest that any will take is used.
        """
        try:
            return self._first_free(name, put, refused)
        except OSError as error:
            if error.errno not in _NAME_REFUSED or portable_name(name) == name:
                raise
        return self._first_free(portable_name(name), put, refused)

    def _first_free(self, name: str, put: Callable[[str], None], refused: set[str] | None) -> str:
        for candidate in numbered_names(name) if refused else self._free_names(name):
            if refused and (candidate in refused or self.holder(candidate) is not None):
                continue
            try:
                put(self.at(candidate))
            except FileExistsError:
                self.add(candidate, 0)  # somebody else's, just now
            else:
                return candidate
        raise AssertionError("numbered names never end")

    def name_of(self, inode: int) -> str | None:
        """The name under which an inode stands here already."""
        name = self._by_inode.get(inode)
        return None if name is None else os.fsdecode(name)

    def is_file(self, name: str, inode: int, device: int) -> bool:
        """Whether this very file stands under a name here."""
        try:
            status = os.lstat(name, dir_fd=self.fd)
        except OSError:
            return False
        return (status.st_ino, status.st_dev) == (inode, device)


class _Series:
    """A name and its numbers, as far as they are taken: thousands of one name are not asked for each newcomer."""

    def __init__(self, name: str) -> None:
        self._names = numbered_names(name)
        self.free = next(self._names)
        self.taken = 0
        self.contents: dict[int, dict[str, str | None]] = {}  # size -> name on disk -> SHA-256, where it is known

    def take(self, holder: str, size: int, sha256: str | None) -> None:
        self.contents.setdefault(size, {})[holder] = sha256
        self.free = next(self._names)
        self.taken += 1


def _open_made_folder(originals: Path, relative: str, mode: int) -> int:
    """A day's folder, made if need be with its year's; never what should be there: the vault may be unmounted."""
    folder = open_folder(originals)
    try:
        with contextlib.suppress(FileNotFoundError):
            return open_beneath(folder, relative, _TO_LIST)
        for part in relative.split("/"):
            make_in(folder, part, mode)
            inner = open_beneath(folder, part, _TO_LIST)
            os.close(folder)
            folder = inner
        return os.dup(folder)
    finally:
        os.close(folder)


def name_key(name: str) -> str:
    """Equal for names that Windows or macOS may take for one: case, Unicode form, trailing dots and spaces."""
    if name.isascii():
        return name.lower().rstrip(". ") or name
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", folded).rstrip(". ") or name


def key_of_stem(stem: str) -> str:
    """With what the `name_key` of a name begins that has an ending of plain lower-case letters behind this stem."""
    return name_key(stem + ".x")[:-2]


def numbered_names(name: str, longest: int = 255, start: int = 0) -> Iterator[str]:
    """`name.jpg`, `name_1.jpg`, `name_2.jpg`, …, each at most `longest` bytes; a long stem is cut at a character.

    `start`: the first number; 0 is the name itself.
    """
    stem, ending = _stem_and_ending(name)
    first = _cut(stem, longest - _size(ending)) + ending
    if not start:
        yield first
    for number in itertools.count(max(1, start)):
        tail = f"_{number}{ending}"
        numbered = _cut(stem, longest - _size(tail)) + tail
        if numbered != first:  # as it is where a long name ends in a number itself
            yield numbered


def _stem_and_ending(name: str) -> tuple[str, str]:
    """The ending with its dot."""
    stem, dot, ending = name.rpartition(".")
    if not stem or _size(ending) > 16:  # a dot in front, or no ending at all
        return name, ""
    return stem, dot + ending


def _series_key(stem: str, ending: str | None) -> str:
    """The same for a name and for each number of it, also where a long stem was cut for the number."""
    key, ending = name_key(stem), ending or ""
    return (key if _size(stem + ending) <= _NEVER_CUT else key[:30]) + name_key(ending)


def portable_name(name: str) -> str:
    """A name that Windows, macOS and encrypting filesystems take too."""
    clean = _NOT_PORTABLE.sub("_", name)
    return next(numbered_names(clean.rstrip(". ") or "_", longest=140))


def _cut(stem: str, size: int) -> str:
    while _size(stem) > size:
        stem = stem[:-1]
    return stem


def _size_of(folder: int, name: str) -> int:
    """-1 where it cannot be told."""
    try:
        return os.lstat(name, dir_fd=folder).st_size
    except OSError:
        return -1


def _size(name: str) -> int:
    """Bytes on disk."""
    return len(name) if name.isascii() else len(os.fsencode(name))


def _inode_and_hash(folder: int, name: str) -> tuple[int, str]:
    """What cannot be read is not known to be the same: empty."""
    try:
        fd = open_regular(name, folder)
    except (OSError, NotARegularFile):
        return 0, ""
    try:
        return os.fstat(fd).st_ino, sha256_of(fd)
    except OSError:
        return 0, ""
    finally:
        os.close(fd)


def is_one_entry(one: str, other: str) -> bool:
    """Whether two paths are one and the same directory entry, seen by two ways, so that removing one removes both.

    (A bind mount, a link to a folder, names that the filesystem takes for one.)
    """
    return are_one_entry(os.path.split(one), os.lstat(one), os.path.split(other), os.lstat(other))


def are_one_entry(
    one: tuple[str | int, str], status: os.stat_result, other: tuple[str | int, str], other_status: os.stat_result
) -> bool:
    """`is_one_entry` of two names in folders, each a path or a descriptor, with what stands there."""
    if not os.path.samestat(status, other_status):
        return False
    if status.st_nlink < 2:
        return True
    (folder, name), (other_folder, other_name) = one, other
    return name_key(name) == name_key(other_name) and os.path.samestat(os.stat(folder), os.stat(other_folder))
