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

TOUCH_INTERVAL = 1.0  # seconds; a touch sooner than that after the last one does nothing

log = logging.getLogger(__name__)


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
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.touch()
        except OSError as error:
            if not self._failing:
                log.warning("The liveness file cannot be touched, health checks will fail: %s", error)
            self._failing = True
        else:
            self._failing = False


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
