"""Landlock (landlock(7)): a thread takes rights from itself and its children, for good, without being root.

What is handled and not allowed by a rule is refused by the kernel. Each kernel knows a part of it (its ABI), which is
asked for first. glibc has no functions for it.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Mapping
from pathlib import Path

# The same on all of Linux's architectures but Alpha.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_FILE, MAKE_SYMLINK = 1 << 5, 1 << 8, 1 << 12
_REFER, CUT_FILE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | CUT_FILE | _IOCTL_DEVICE  # other rights are those of folders
_TCP = 1 << 0 | 1 << 1  # bind, connect
_SCOPES = 1 << 0 | 1 << 1  # abstract unix sockets, signals

# The ABI from on which a kernel can refuse it.
FILES, TRUNCATE, TCP, DEVICES, SIGNALS = 1, 3, 4, 5, 6

_kept_open: list[int] = []
_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """What this kernel can do; 0 where it has no Landlock, or not for us."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))))


def restrict(allowed: Mapping[Path, int]) -> int:
    """Leaves this thread and all that it starts only these rights below these paths; returns the ABI it used.

    Without Landlock it does nothing and returns 0. What is not there is passed over: nothing of it can be read anyway.
    Raises OSError where the kernel has Landlock and refuses. `no_new_privileges` must be set.
    """
    version = abi()
    if version < FILES:
        return 0
    files = (1 << 13) - 1
    files |= _REFER if version >= 2 else 0
    files |= CUT_FILE if version >= TRUNCATE else 0
    files |= _IOCTL_DEVICE if version >= DEVICES else 0
    wanted = _Ruleset(files, _TCP if version >= TCP else 0, _SCOPES if version >= SIGNALS else 0)
    size = 24 if version >= SIGNALS else 16 if version >= TCP else 8
    ruleset = _checked(_libc.syscall(_CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(size), ctypes.c_uint32(0)))
    try:
        for path, rights in allowed.items():
            _allow(ruleset, path, rights & files)
        _checked(_libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_FILES
        rule = ctypes.byref(_PathBeneath(rights, fd))
        kind, flags = ctypes.c_int(_PATH_BENEATH), ctypes.c_uint32(0)
        _checked(_libc.syscall(_ADD_RULE, ctypes.c_int(ruleset), kind, rule, flags))
        if path.parts[:2] == (
            "/",
            "proc",
        ):  # made anew when the kernel has forgotten it: not while open
            _kept_open.append(os.dup(fd))
    finally:
        os.close(fd)


def _checked(answer: int) -> int:
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return int(answer)
