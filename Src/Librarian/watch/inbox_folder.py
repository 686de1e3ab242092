"""The inbox as a folder: which one it is now, and what stands in it.

Its files are reached from its descriptor and through no link. Paths are absolute, below the inbox's own.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from Src.Library.inbox import identity
from Src.Shared.disk.beneath import lstat_beneath, open_beneath, parent_beneath
from Src.Shared.disk.files import FileState
from Src.Shared.disk.leases import LeaseAnswer, lease_answer_at
from Src.Shared.disk.top import Top, open_top
from Src.Shared.errors import FactoryError


class InboxTrouble(FactoryError):
    """The inbox cannot be read now. The message is one line: what, where, what to do."""

    about = "inbox"


class InboxFolder:
    """One inbox. Open from the first `find` on, until `close`."""

    def __init__(self, inbox: Path) -> None:
        self.path = str(inbox.resolve())
        self.top = Top(self.path, None)  # `find` sees which folder stands there
        self.fd = -1  # that folder, open

    def __del__(self) -> None:
        self.close()

    def find(self) -> bool:
        """Sees which folder is the inbox now, and whether it is another one than before. Raises InboxTrouble."""
        with self._trouble():
            try:
                top = Top(self.path, identity(self.path))
                if top == self.top and self.fd >= 0:
                    return False
                self.close()
                self.fd = open_top(top)
            except OSError:
                self.close()
                raise
        before, self.top = self.top, top
        return before != top

    def close(self) -> None:
        """Files in it can be reached no longer, until the next `find`."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InboxTrouble(f"the inbox {self.path} is not there; create or mount it") from error
        except OSError as error:
            raise InboxTrouble(f"the inbox {self.path} cannot be read: {error.strerror}") from error

    def check(self) -> None:
        """Raises InboxTrouble where the inbox as a whole cannot be read."""
        self.find()
        with self._trouble():
            fd = open_beneath(self.fd, "", os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.listdir(fd)
            finally:
                os.close(fd)

    def name(self, path: str) -> str:
        """A path relative to the inbox."""
        return path[len(self.path) + 1 :]

    def look(self, path: str) -> os.stat_result | None:
        """What stands at a path; None also where its folder cannot be read now, which the next scan will say."""
        try:
            if self.fd < 0:
                self.find()
            return lstat_beneath(self.fd, self.name(path))
        except (OSError, InboxTrouble):
            return None

    def state_of(self, path: str) -> FileState | None:
        """The state of a regular file; None where there is none, or none to be seen."""
        status = self.look(path)
        return FileState.of(status) if status is not None and stat.S_ISREG(status.st_mode) else None

    def state_if(self, path: str, size: int, mtime_ns: int, inode: int) -> FileState | None:
        """The state of a file that is still the one that is meant."""
        state = self.state_of(path)
        return state if state and (state.size, state.mtime_ns, state.inode) == (size, mtime_ns, inode) else None

    def has_one_name(self, path: str) -> bool:
        """False for a link to a file that stood elsewhere: nobody need have that open."""
        status = self.look(path)
        return status is not None and status.st_nlink == 1

    def lease_answer(self, path: str) -> LeaseAnswer:
        """What the kernel says about writers of a file; "refused" where it cannot even be opened."""
        try:
            with parent_beneath(self.fd, self.name(path)) as (folder, name):
                return lease_answer_at(name, folder)
        except OSError:
            return "refused"
