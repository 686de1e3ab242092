"""A steady mixed load: photos small and large, duplicates, broken ones, what is no media, and lost originals."""

from __future__ import annotations

import hashlib
import os
import random
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from Stack.faults.writer import Final, Left
from Stack.tests.feeder import FOLDERS, NAMES
from Stack.tests.photos import unique_jpeg
from Stack.tests.real_factory import Factory

_LARGE = 2_000_000  # bytes
_A_DAY, _A_FOLDER = 50, 200  # photos
_MOST_NOT_MEDIA = 40  # that stand in the inbox at a time


class Load:
    """Puts files into the inbox by rename, each under a path that was never used before."""

    def __init__(self, factory: Factory, chance: random.Random) -> None:
        self._factory = factory
        self._chance = chance
        self._count = 0
        self._used: set[str] = set()
        self._recent: deque[bytes] = deque(maxlen=50)
        self.left = Left("steady load")
        self.not_media: dict[str, str] = {}  # path in the inbox -> SHA-256
        self.restored = 0

    def feed(self, count: int) -> None:
        """So many files of all kinds."""
        for content, is_media in self._contents(count):
            path = self._put(content)
            sha256 = hashlib.sha256(content).hexdigest()
            if is_media:
                self.left.final.append(Final(sha256, (path,)))
            else:
                self.not_media[path] = sha256
        while len(self.not_media) > _MOST_NOT_MEDIA:  # a person tidies up
            path = next(iter(self.not_media))
            del self.not_media[path]
            (self._factory.inbox / path).unlink()

    def lose_an_original(self) -> None:
        """An original is removed from the vault by somebody's mistake, and the same photo comes once more."""
        if not self._recent:
            return
        content = self._chance.choice(self._recent)
        sha256 = hashlib.sha256(content).hexdigest()
        for (final_path,) in self._factory.asked("SELECT final_path FROM media_assets WHERE file_hash = %s", sha256):
            original = self._factory.storage / final_path
            if original.is_file():  # its name may be one that the ledger writes otherwise
                original.unlink()
                self.left.final.append(Final(sha256, (self._put(content),)))
                self.restored += 1

    def _contents(self, count: int) -> Iterator[tuple[bytes, bool]]:
        for _ in range(count):
            kind = self._chance.random()
            if kind < 0.02:
                text = f"No photo: {self._chance.random()}\n".encode()
                yield text * self._chance.randrange(3), False  # or empty
            elif kind < 0.10 and self._recent:
                yield self._chance.choice(self._recent), True
            else:
                content = self._photo(_LARGE if kind < 0.12 else 0)
                if kind > 0.98:  # broken: what a card reader leaves of a photo
                    content = content[: self._chance.randrange(1000, len(content) // 2)] + self._count.to_bytes(8)
                self._recent.append(content)
                yield content, True

    def _photo(self, size: int) -> bytes:
        day = self._count // _A_DAY
        date = f"{2000 + day // 336:04d}:{1 + day // 28 % 12:02d}:{1 + day % 28:02d}".encode()
        return unique_jpeg(self._chance.getrandbits(60), size=size).replace(b"2008:05:30", date)

    def _put(self, content: bytes) -> str:
        self._count += 1
        self.left.files += 1
        if self._count % _A_FOLDER == 0:
            self._used.clear()
        while True:
            folder, name = self._chance.choice(FOLDERS), self._chance.choice(NAMES)
            path = os.fsdecode(os.path.join(b"load %d" % (self._count // _A_FOLDER), folder, name))
            if path not in self._used:
                break
        self._used.add(path)
        target, temporary = self._factory.inbox / path, self._factory.inbox / ".being-written"
        temporary.write_bytes(content)
        while True:
            with suppress(FileNotFoundError, FileExistsError):  # the factory removes folders that stand empty
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary.rename(target)
                return path
