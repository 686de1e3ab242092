"""Liveness files: a service touches its file in each round of its main loop, a health check looks at its age.

`python -m Src.Shared.liveness FILE --max-age SECONDS` is the check: one line, exit code 0 (alive) or 1. It
imports next to nothing, because it runs often.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from Src.Shared.disk.making import PRIVATE, PRIVATE_FILE, make_folder

TOUCH_INTERVAL = 1.0  # seconds; a touch sooner than that after the last one does nothing

ONLY = "1"  # the instance of a service of which there is one at a time

logger = logging.getLogger(__name__)


def liveness_file(run: Path, service: str, instance: str = ONLY) -> Path:
    """The file of one instance; its number, which its name ends with, is its own on this machine."""
    number = instance.rpartition("/")[2]
    return run / (f"{service}.alive" if number == ONLY else f"{service}-{number}.alive")


class LivenessFile:
    """The file whose modification time says when its service was last seen alive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._touched = float("-inf")
        self._failing = False

    def touch(self) -> None:
        """Says: alive. Cheap enough for every round of a loop; never raises."""
        now = time.monotonic()
        if now - self._touched < TOUCH_INTERVAL:
            return
        self._touched = now
        try:
            try:
                os.utime(self._path)
            except FileNotFoundError:
                make_folder(self._path.parent, PRIVATE)
                self._path.touch(PRIVATE_FILE)
        except OSError as error:
            if not self._failing:
                logger.warning("The liveness file cannot be touched, health checks will fail: %s", error)
            self._failing = True
        else:
            self._failing = False


class Lives:
    """What the liveness files of services on this machine say."""

    def __init__(self, folder: Path, loop_limit: float, host: str | None = None) -> None:
        """`host`: this machine, as heartbeats name it."""
        self._folder = folder
        self._loop_limit = loop_limit
        self._host = host

    def age(self, service: str, instance: str = ONLY) -> float | None:
        """Seconds since its loop moved; None: it never did, or not here."""
        try:
            return max(0.0, time.time() - liveness_file(self._folder, service, instance).stat().st_mtime)
        except OSError:
            return None

    def stands_still(
        self, service: str, heartbeat_age: float, instance: str = ONLY, host: str | None = None
    ) -> float | None:
        """For how many seconds a loop has stood still that should move; None: it moves, or nobody can say here.

        The file alone may be of a service that has moved to another machine: only where the heartbeats have stopped as
        well, and came from here, is it the process. (Where they go on, they say it themselves.)
        """
        if host is not None and self._host is not None and host != self._host:
            return None
        age = self.age(service, instance)
        return age if age is not None and min(age, heartbeat_age) > self._loop_limit else None


def still_words(seconds: float) -> str:
    """What is said of a loop that has not moved for so long."""
    return f"the loop has stood still for {seconds:.0f} s"


def problem_with(path: Path, max_age: float) -> str | None:
    """What is wrong if the file was not touched within `max_age` seconds; None if all is well."""
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return "not alive yet: there is no liveness file"
    except OSError as error:
        return f"no telling: {error.strerror}"
    if age > max_age:
        return f"not seen alive for {age:.0f} s (limit {max_age:g} s)"
    if age < -max_age:  # the clock was set back; a living service would have touched it since
        return f"last seen alive {-age:.0f} s in the future"
    return None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="liveness", description="Is the service behind this file alive?")
    parser.add_argument("file", type=Path)
    parser.add_argument("--max-age", type=float, required=True, metavar="SECONDS")
    options = parser.parse_args(arguments)
    problem = problem_with(options.file, options.max_age)
    print(problem or "alive")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
