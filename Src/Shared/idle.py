"""A thread that works when nobody else wants to: processor and disk."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from contextlib import suppress

_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}  # by machine: the number of ioprio_set(2)
_THIS_THREAD, _CLASS_IDLE = 1, 3 << 13


def be_idle() -> None:
    """Of the thread that calls it, for as long as it lives; threads that it starts are idle too."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _THIS_THREAD, 0, _CLASS_IDLE)
