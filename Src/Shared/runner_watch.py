"""A process runner that was killed leaves nobody to stop its services: they notice, and end as if told to."""

from __future__ import annotations

import os
import signal
import threading
import time

VARIABLE = "FACTORY_RUNNER"  # the runner's process id, set by `./factory up`
_INTERVAL = 1.0  # seconds


def end_with_runner() -> None:
    """Sends this process SIGTERM when the runner that started it is gone. Without a runner, nothing happens."""
    runner = int(os.environ.get(VARIABLE, "0"))
    if runner:
        threading.Thread(target=_watch, args=(runner,), name="runner-watch", daemon=True).start()


def _watch(runner: int) -> None:
    while os.getppid() == runner:
        time.sleep(_INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)
