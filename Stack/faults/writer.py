"""A program that puts photos into an inbox and remembers what it has left there, as it meant it.

It shares nothing with the factory's code and reads nothing back from the disk: what stands in the vault later is
compared with what was meant to stand there.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from Stack.faults.inotify import LINKED, OPENED, Watch
from Stack.tests.photos import SMALL, unique_jpeg

_CLOCK = 0.02  # seconds: a file's ctime may lag behind the clock by a tick of the kernel
_CHUNK = 1 << 20
_IN_HAND = 180.0  # seconds that the factory may have a file in hand: a loaded machine, a large file

_WRITE_ALL, _READ_ALL = 0b010, 0b100  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH

Pause = Literal["short", "long"]


@dataclass(frozen=True)
class Job:
    """One writer's task."""

    pattern: str
    number: int  # nobody else's with this seed
    seed: int
    inbox: Path
    delay: float  # STABILITY_DELAY
    is_seen: bool = True  # the kernel says to the factory who has a file of this writer open


class Final(NamedTuple):
    """A content that must be in the vault, its fate told of one of these paths relative to the inbox."""

    sha256: str
    paths: tuple[str, ...]


@dataclass
class Left:
    """What a writer has left behind."""

    pattern: str
    files: int = 0  # names that were written at
    caught: int = 0  # how often the factory opened, placed or took a file while its writer was not done with it
    final: list[Final] = field(default_factory=list)
    allowed: set[str] = field(default_factory=set)  # contents that the factory may have taken for complete
    paused: set[str] = field(default_factory=set)  # contents of open files that had rested, where nobody sees that
    early: list[str] = field(default_factory=list)  # taken before they had rested
    strangers: list[str] = field(default_factory=list)  # no regular files: they must stand as they are
    errors: list[str] = field(default_factory=list)


class _State(NamedTuple):
    sha256: str
    since: float  # when it was closed, or last written to where it was closed at once; -inf: it arrived by rename
    paths: tuple[str, ...]


class Writer:
    """Writes in a folder of its own in the inbox. All that is closed and not touched again is final."""

    def __init__(self, job: Job) -> None:
        self.chance = random.Random(f"{job.seed} {job.pattern} {job.number}")
        self.delay = job.delay
        self._is_seen = job.is_seen
        self.inbox = job.inbox
        self.folder = job.inbox / f"{job.pattern} {job.number}"
        self.folder.mkdir()
        self.left = Left(job.pattern)
        self._states: dict[Path, _State] = {}
        self._photos = (job.seed << 40) + (job.number << 10)

    def done(self) -> Left:
        """The writer has ended."""
        self.left.final += [Final(state.sha256, state.paths) for state in self._states.values()]
        self._states.clear()
        return self.left

    # Contents

    def photo(self, size: int = 0) -> bytes:
        """A photo that nobody else has."""
        self._photos += 1
        return unique_jpeg(self._photos, SMALL[self._photos % len(SMALL)], size)

    def large_photo(self) -> bytes:
        """So large that it takes the factory a while to read. Mostly zeros: it is quickly made."""
        return self.photo() + bytes(self.chance.randrange(20, 60) << 20) + self.chance.randbytes(4096)

    def two_photos(self) -> tuple[bytes, bytes]:
        """Each half is a photo by itself: what is taken too early looks like one."""
        return self.photo(), self.photo()

    def name(self) -> Path:
        """A path to write at. Names repeat between the folders, so that they collide in the vault."""
        self.left.files += 1
        return self.folder / f"IMG_{self.chance.randrange(20):04}_{self.left.files}.jpg"

    # Writing

    def pause(self, length: Pause) -> None:
        """Shorter or longer than a file must rest."""
        share = self.chance.uniform(0.1, 0.6) if length == "short" else self.chance.uniform(1.5, 3.0)
        time.sleep(share * self.delay)

    def any_pause(self) -> None:
        self.pause(self.chance.choice(("short", "long")))

    def any_pause_with(self, fd: int) -> None:
        """The same with this file open: the factory may come and see whether it is complete."""
        path, began = Path(f"/proc/self/fd/{fd}"), time.monotonic()
        content = hashlib.sha256(b"" if self._is_seen else path.read_bytes()).hexdigest()
        with Watch(path, OPENED) as watch:
            self.any_pause()
            self.left.caught += watch.came(0)
        if not self._is_seen and time.monotonic() - began >= self.delay - _CLOCK:
            self.left.paused.add(content)

    def trickle(self, fd: int, content: bytes, pauses: int = 3) -> None:
        """Writes in chunks with pauses, some of them longer than a file must rest."""
        cuts = sorted(self.chance.sample(range(1, len(content)), pauses))
        for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            write_all(fd, content[start:end])
            if end < len(content):
                self.any_pause_with(fd)

    def create(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)

    def close(self, fd: int, path: Path, content: bytes, since: float | None = None) -> None:
        """The file now holds `content`, and is left alone from here on."""
        now = time.monotonic()
        os.close(fd)
        self.leave(path, content, now if since is None else since)

    def leave(self, path: Path, content: bytes, since: float) -> None:
        self._states[path] = _State(hashlib.sha256(content).hexdigest(), since, (self._relative(path),))

    def put(self, path: Path, content: bytes) -> None:
        """Writes a file in one go."""
        fd = self.create(path)
        self.close(fd, path, content, write_all(fd, content))

    def append(self, path: Path, content: bytes, more: bytes) -> bytes:
        """As `>>` does: at the file's end, or as a file of its own where that has been taken; what it now holds."""
        fd = self.open_again(path)
        if fd is None:
            self.put(path, more)
            return more
        os.lseek(fd, 0, os.SEEK_END)
        self.close(fd, path, content + more, write_all(fd, more))
        return content + more

    def open_again(self, path: Path) -> int | None:
        """Opens a file that was left, to write to it; None: the factory has taken it."""
        end = time.monotonic() + _IN_HAND
        while True:
            try:
                fd = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                self.taken(path)
                return None
            except PermissionError:  # it is being placed, and shares its inode with the original
                if time.monotonic() > end:
                    raise
                time.sleep(0.002)
            else:
                self.touched(path)
                return fd

    def arrive(self, temporary: Path, path: Path, content: bytes) -> None:
        """By rename, also over what stands there."""
        os.rename(temporary, path)
        if path in self._states:
            self.touched(path)
        self.leave(path, content, float("-inf"))

    def move(self, path: Path, target: Path) -> bool:
        """Renames a file that was left; False: the factory has taken it."""
        try:
            os.rename(path, target)
        except FileNotFoundError:
            self.taken(path)
            return False
        self.moved(path, target)
        return True

    def moved(self, path: Path, target: Path) -> None:
        """A file that was left has another name now."""
        state = self.touched(path)
        self.left.allowed.add(state.sha256)  # it arrives by rename: complete
        self._states[target] = state._replace(since=float("-inf"), paths=(*state.paths, self._relative(target)))

    def remove(self, path: Path) -> bool:
        """Deletes a file that was left; False: the factory has taken it."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            self.taken(path)
            return False
        self.touched(path)
        return True

    def touched(self, path: Path) -> _State:
        """What was left at this path is no more. Whether the factory may have it depends on how long it rested."""
        state = self._states.pop(path)
        if time.monotonic() - state.since >= self.delay - _CLOCK:
            self.left.allowed.add(state.sha256)
        return state

    def taken(self, path: Path) -> None:
        """Only the factory can have removed what was left at this path: so it must be in the vault."""
        state = self._states.pop(path)
        self.left.caught += 1
        self.left.final.append(Final(state.sha256, state.paths))
        rested = time.monotonic() - state.since
        # Where nobody sees it open, an open file rests too: what was taken then is filed as it was, and comes back.
        if rested < self.delay - _CLOCK and not self.left.paused:
            self.left.early.append(f"{self._relative(path)} was taken after it had rested for {rested:.3f} s")

    # The factory's moves

    def until_read(self, path: Path, opens: int) -> None:
        """Waits until the factory opens a file for the n-th time, `opens` at most."""
        self._until(path, OPENED, self.chance.randint(1, opens))

    def until_placed(self, path: Path) -> None:
        """Waits until the vault has a link to it."""
        self._until(path, LINKED, 1)

    def until_gone(self, path: Path) -> None:
        """Waits until the factory has taken it."""
        end = time.monotonic() + self.delay + 5
        while path.exists() and time.monotonic() < end:
            time.sleep(0.01)

    def _until(self, path: Path, event: int, times: int) -> None:
        try:
            with Watch(path, event) as watch:
                if all(watch.came(self.delay + 5) for _ in range(times)):
                    self.left.caught += 1
        except FileNotFoundError:
            return  # taken already

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.inbox))


def write_all(fd: int, content: bytes) -> float:
    """All of it, at the descriptor's position; when the last write began."""
    rest = memoryview(content)
    while True:
        began = time.monotonic()
        rest = rest[os.write(fd, rest[:_CHUNK]) :]
        if not rest:
            return began


def become(user: int | None) -> None:
    """Makes this process an ordinary program, of this user (None: as we are): without root's power to write to what is
    read-only. Others may use what it makes."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice, 32 bits each
    if libc.capget(header, sets) != 0:
        return
    if user is not None:
        os.umask(0)
    if user:
        importlib.import_module("Stack.faults.writers")  # while it may be read
        libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        sets[0] = sets[1] = _READ_ALL  # the samples
        sets[2:] = [0] * 4
    else:
        sets[0] &= ~(_READ_ALL | _WRITE_ALL)
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
