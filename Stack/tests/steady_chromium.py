#!/usr/bin/env python3
"""Becomes Chromium, to which the kernel does not tell of network interfaces that come and go.

At each of them it would drop whatever it is loading (ERR_NETWORK_CHANGED), and beside these tests Docker may make and
remove some. So it gets no netlink socket (seccomp), and takes the network for one that never changes.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_AF_NETLINK, _EAFNOSUPPORT = 16, 97
_SOCKET = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}  # the architecture's number, and the call's in it
_LOAD, _UNLESS_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def without_netlink() -> None:
    """For this process and all that it becomes and starts: socket(AF_NETLINK, ...) is an error."""
    architecture, call = _SOCKET[platform.machine()]
    code = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, 4),
            (_UNLESS_EQUAL, 0, 5, architecture),
            (_LOAD, 0, 0, 0),
            (_UNLESS_EQUAL, 0, 3, call),
            (_LOAD, 0, 0, 16),  # its first argument
            (_UNLESS_EQUAL, 0, 1, _AF_NETLINK),
            (_RETURN, 0, 0, _FAIL | _EAFNOSUPPORT),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(code) // 8, code)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    if platform.machine() in _SOCKET:
        without_netlink()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed")
    os.execv(chromium, [chromium, *sys.argv[1:]])
