"""Photos that keep arriving in an inbox, and what must have become of them all in the end."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from Src.Testing.promise import Source
from Stack.tests.photos import unique_jpegs

PAUSE = 0.04  # seconds between two photos
DUPLICATES = 0.15  # share of photos that came before
FOLDERS = 4  # as many phones, which all number their photos alike


class Arrival(NamedTuple):
    """A photo that was put into the inbox."""

    source: Source
    path: Path
    at: float  # monotonic time

    @property
    def is_filed(self) -> bool:
        """The inbox copy goes last: without it, the photo is in the vault and its row in the ledger or journal."""
        return not os.path.lexists(self.path)


class Arrivals:
    """Puts photos into an inbox, each by rename and under a path that was never used, and remembers them."""

    def __init__(self, inbox: Path, chance: random.Random, waiting_room: Path | None = None) -> None:
        """`waiting_room`: where photos are written first; on the inbox's filesystem."""
        self._inbox = inbox
        self._chance = chance
        self._waiting_room = waiting_room or inbox.with_name("arriving")
        self._waiting_room.mkdir(parents=True, exist_ok=True)
        self._contents = unique_jpegs(chance)
        self._recent: deque[bytes] = deque(maxlen=30)
        self._written: deque[tuple[Path, str]] = deque()
        self._count = 0
        self._come: list[Arrival] = []
        self.held_back = threading.Lock()  # while somebody has it, none comes

    @property
    def sources(self) -> list[Source]:
        return [one.source for one in list(self._come)]

    def write_ahead(self, count: int) -> None:
        """Writes photos that come next: to put these into the inbox takes no room on its disk."""
        for _ in range(count):
            content = next(self._contents)
            if self._recent and self._chance.random() < DUPLICATES:
                content = self._chance.choice(self._recent)
            self._recent.append(content)
            path = self._waiting_room / f"{self._count}"
            self._count += 1
            try:
                path.write_bytes(content)
            except OSError:
                path.unlink(missing_ok=True)
                raise
            self._written.append((path, hashlib.sha256(content).hexdigest()))

    def put(self, count: int) -> None:
        """Raises OSError where the inbox does not take them; the photo in hand then comes next time."""
        for _ in range(count):
            if not self._written:
                self.write_ahead(1)
            written, sha256 = self._written[0]
            number = len(self._come)
            name = f"phone {number % FOLDERS}/DCIM {number // 400}/IMG_{number // FOLDERS % 100:04}.JPG"
            path = self._inbox / name
            self._rename(written, path)
            self._written.popleft()
            self._come.append(Arrival(Source(name, sha256), path, time.monotonic()))

    def _rename(self, written: Path, path: Path) -> None:
        for _ in range(100):
            # The inbox itself is never made: where its disk is away, this would be another one.
            for folder in (path.parent.parent, path.parent):
                with suppress(FileExistsError):
                    os.mkdir(folder)
            with suppress(FileNotFoundError):  # the factory removes folders that stand empty
                os.rename(written, path)
                return
        raise FileNotFoundError(written)  # its disk is away

    @contextmanager
    def coming(self) -> Iterator[None]:
        """They come, one after another, until the end of the block, and stay out while the inbox takes none."""
        stopped = threading.Event()

        def come() -> None:
            while not stopped.wait(PAUSE):
                with self.held_back, suppress(OSError):
                    self.put(1)

        thread = threading.Thread(target=come, name="arrivals", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def since(self, moment: float) -> list[Arrival]:
        return [one for one in list(self._come) if one.at >= moment]

    def filed(self) -> int:
        """How many have been filed, looked at now."""
        return sum(one.is_filed for one in list(self._come))

    def waiting(self) -> list[Arrival]:
        """Those whose inbox copy is still there."""
        return [one for one in list(self._come) if not one.is_filed]
