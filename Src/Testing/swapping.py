"""Other processes, of another user or of ours, that exchange names while something else works with them."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534  # a user without rights
_EXCHANGE = 2  # renameat2(2)
_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one: Path, other: Path) -> None:
    """Each name gets what the other one had, in one step."""
    if _libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), _EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), f"renameat2: {os.strerror(ctypes.get_errno())}", str(one))


@contextmanager
def other_process(act: Callable[[], None], user: int | None) -> Iterator[int]:
    """Another process, which does something as this user (None: as we are), and is killed at the end; its id."""
    child = os.fork()
    if child == 0:
        try:
            if user is not None:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
            act()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)  # whatever became of it: what follows here is the parent's code
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@contextmanager
def swapping(
    pairs: Sequence[tuple[Path, Path]], *, user: int | None, seed: int = 7, away: float = 0.0002
) -> Iterator[Callable[[], int]]:
    """Another process, which exchanges the two names of each pair for as long as the block lasts; how often it has.

    Before it, the first name of each has what belongs there. `away`: for how many seconds, at most, it has the other
    at a time. A pair of which a name has gone is left alone.
    """
    counter = mmap.mmap(-1, 8)

    def swap() -> None:
        chance, count = random.Random(seed), 0
        while True:
            done = 0
            for pair in pairs:
                try:
                    exchange(*pair)
                    done += 1
                except OSError as error:
                    if error.errno != errno.ENOENT:
                        raise
            count += 1
            if done:
                counter[:8] = (int.from_bytes(counter[:8], "little") + done).to_bytes(8, "little")
            # What belongs there stands there ever longer, so that some files get through on the busiest machine.
            time.sleep(chance.random() * (away if count % 2 else 0.004 * (1 + count / 250)))

    with other_process(swap, user):
        yield lambda: int.from_bytes(counter[:8], "little")
