"""One Librarian per inbox: the lock is the inbox folder itself, freed by the kernel when its holder dies."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from Src.Shared.disk.locks import command_of, holder_of, lock_now, note_holder, open_lock, pid_of_holder
from Src.Shared.disk.making import PRIVATE, make_folder


class InboxLock:
    """Held from `acquire` until `release` or the end of the process."""

    def __init__(self, inbox: Path, fallback: Path) -> None:
        """`fallback`: a file to lock where the filesystem does not lock folders (some network shares).

        Its holder notes there who it is.
        """
        self._inbox = inbox
        self._fallback = fallback
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Takes the lock if it is free. Raises OSError where the inbox cannot be opened."""
        if self._fd is not None:
            return True
        fd = os.open(self._inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not lock_now(fd):
                os.close(fd)
                return False
        except OSError:
            os.close(fd)
            make_folder(self._fallback.parent, PRIVATE)
            fd = open_lock(self._fallback)
            if not lock_now(fd):
                os.close(fd)
                return False
        self._fd = fd
        self.note()
        return True

    def stranger(self) -> str | None:
        """Program and process id of the lock's holder, if that is no Librarian. None: it is one, or is not known."""
        with suppress(OSError):
            fd = os.open(self._inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                pid = pid_of_holder(fd)
                if pid is not None and pid != self._noted() and not _is_ours(pid):
                    return holder_of(fd)
            finally:
                os.close(fd)
        return None

    def note(self) -> None:
        """Writes this process's id beside the vault: any process may lock the folder, only a Librarian writes this.

        To be called again once the vault is there.
        """
        with suppress(OSError):  # of a vault that does not exist yet, for instance
            fd = open_lock(self._fallback)
            try:
                note_holder(fd)
            finally:
                os.close(fd)

    def _noted(self) -> int | None:
        try:
            return int(self._fallback.read_text(encoding="utf-8", errors="replace").split(" ")[0])
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> InboxLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _is_ours(pid: int) -> bool:
    """One that has not written its note yet, or is of an earlier version."""
    return pid == os.getpid() or any(word.startswith(("Src.Librarian", "Src.Factory")) for word in command_of(pid))
