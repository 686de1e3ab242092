"""A wall clock that jumps, for the processes of one factory only (libfaketime)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from Stack.faults.orders import NotPossible


class Clock:
    """What the processes that have `environment` take for the time."""

    def __init__(self, note: Path) -> None:
        """Raises NotPossible where libfaketime is not there."""
        if shutil.which("faketime") is None:
            raise NotPossible("to let a clock jump, faketime must be installed")
        # It knows where its library is; the one for programs with threads.
        command = ["faketime", "-m", "2020-01-01 00:00:00", "printenv", "LD_PRELOAD"]
        library = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        self._note = note
        self.jump(0)
        self.environment = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(note),
            "FAKETIME_NO_CACHE": "1",
            # A clock that is set jumps, while the steady one and the times of files that are there do not.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def forgive(self, said: str) -> str:
        """What was said, without as many tracebacks as libfaketime is to blame for.

        Up to 0.9.10 it lets `time.sleep` of Python 3.11 and newer fail where the steady clock is not faked (its issue
        426). The lines of two services may be mixed, so they are counted.
        """
        defects = min(said.count("    time.sleep("), said.count("OSError: [Errno 22] "))
        return said.replace("Traceback ", "", defects)

    @staticmethod
    def clean_up(pid: int) -> None:
        """Removes what the first of the processes has made in shared memory for all, and leaves when it is killed."""
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            Path("/dev/shm", name).unlink(missing_ok=True)

    def jump(self, days: int) -> None:
        """So many days from the true time."""
        new = self._note.with_suffix(".new")
        new.write_text(f"{days:+d}d\n")
        os.replace(new, self._note)
