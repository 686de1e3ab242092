"""What happens to one file, told by the kernel (inotify(7)): so that a fault comes while the factory is at it."""

from __future__ import annotations

import ctypes
import os
import select
from pathlib import Path
from types import TracebackType

OPENED = 0x20  # IN_OPEN
LINKED = 0x04  # IN_ATTRIB: also its mode or its times were changed

_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Counts one kind of event of one file, from `with` on."""

    def __init__(self, path: Path, event: int) -> None:
        self._fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0 or _libc.inotify_add_watch(self._fd, os.fsencode(path), event) < 0:
            number = ctypes.get_errno()
            self.__exit__(None, None, None)
            raise OSError(number, os.strerror(number), str(path))

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def came(self, limit: float) -> bool:
        """Waits until it happens once more; False: not within so many seconds, or the file has gone."""
        if not select.select([self._fd], [], [], limit)[0]:
            return False
        mask = int.from_bytes(os.read(self._fd, 16)[4:8], "little")  # a watched file's event has no name
        return not mask & 0x8000  # IN_IGNORED
