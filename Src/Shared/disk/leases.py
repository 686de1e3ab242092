"""Who has a file open for writing, asked of the kernel with a read lease.

Three answers are possible, and they must be told apart. The kernel gives a lease only where nobody writes. It answers
that somebody does. Or it refuses: leases are for the owner of a file (and for root, with CAP_LEASE), and many network
filesystems have none. **A refusal says nothing about writers**: whoever gets one must protect the file by other means.
Neither does a lease that the kernel gives on FUSE, such as sshfs: it knows of its own programs, and nobody on the other
side waits for it. That counts as a refusal.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path
from typing import Literal, Self

from Src.Shared.disk.files import NotARegularFile, open_regular
from Src.Shared.disk.filesystem import leases_tell, sends_events

LeaseAnswer = Literal["given", "somebody_writes", "refused"]


class ReadLease:
    """A read lease on an open file (fcntl(2), F_SETLEASE), which is only given where nobody writes.

    While it is held, whoever opens the file for writing, or truncates it, waits until it is given back.
    """

    __slots__ = ("_fd", "_held", "answer")

    def __init__(self, fd: int) -> None:
        self._fd, self._held = fd, False
        self.answer: LeaseAnswer = "refused"
        try:
            # Who waits makes the kernel signal us, by default with one that kills.
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            self._held = True
            if leases_tell(fd):
                self.answer = "given"
        except BlockingIOError:
            # NFS and SMB say the same where the server has merely not handed the file over to us.
            if sends_events(Path(f"/proc/self/fd/{fd}")):
                self.answer = "somebody_writes"
        except (OSError, AttributeError):  # EACCES: not our file; EINVAL, ENOSYS, …: no leases here
            pass

    @property
    def given(self) -> bool:
        """Whether it was given, and says something: then nobody had the file open for writing."""
        return self.answer == "given"

    @property
    def somebody_writes(self) -> bool:
        """Whether the kernel says that somebody has the file open for writing. False does not say that nobody has."""
        return self.answer == "somebody_writes"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def somebody_waits(self) -> bool:
        """Whether somebody wants to write by now. To be asked before it is given back: then they go on."""
        return self._held and fcntl.fcntl(self._fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK

    def release(self) -> None:
        if self._held:
            self._held = False
            with contextlib.suppress(BlockingIOError):  # the kernel took it: somebody had waited for too long
                fcntl.fcntl(self._fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def lease_answer(fd: int) -> LeaseAnswer:
    """What the kernel says about writers of an open file now."""
    with ReadLease(fd) as lease:
        return lease.answer


def open_for_writing_elsewhere(fd: int) -> bool:
    """Whether the kernel says that a process has this file open for writing. False does not say that none has."""
    return lease_answer(fd) == "somebody_writes"


def lease_answer_at(path: str, dir_fd: int | None = None) -> LeaseAnswer:
    """What the kernel says about writers of the file at a path now; "refused" where it cannot even be opened.

    `dir_fd`: the open folder that a name is in.
    """
    try:
        fd = open_regular(path, dir_fd)
    except BlockingIOError:  # another program holds a write lease on it (Samba does), and is asked to give it back
        return "somebody_writes"
    except (OSError, NotARegularFile):
        return "refused"
    try:
        return lease_answer(fd)
    finally:
        os.close(fd)
