"""seccomp (seccomp(2)): system calls that are refused, whatever they are asked to do.

It closes what Landlock leaves open: UDP, sockets of databases and of Docker, the modes, owners and times of files,
other processes' memory, and parts of the kernel that nobody needs who reads a photo.
"""

from __future__ import annotations

import ctypes
import errno
import platform

_SET_MODE_FILTER, _ASK_ACTION = 1, 2
_SPECULATION_ALLOWED = 4  # the filter is no reason to slow the process down
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in struct seccomp_data
_X32 = 0x40000000

# By architecture: its number in audit(7), the number of seccomp itself, and the calls that are refused.
# socket, ptrace, process_vm_readv, process_vm_writev, pidfd_getfd;
# chmod, fchmod, fchmodat, fchmodat2, chown, fchown, lchown, fchownat, utime, utimes, futimesat, utimensat;
# setxattr, lsetxattr, fsetxattr, removexattr, lremovexattr, fremovexattr; mount, umount2, pivot_root, chroot;
# unshare, setns; add_key, request_key, keyctl; bpf, perf_event_open, userfaultfd, io_uring_setup;
# init_module, finit_module, delete_module, kexec_load, kexec_file_load, open_by_handle_at, the new mount calls.
_NEW = (*range(425, 434), 438, 442, 452, 463, 466)  # have the same numbers everywhere
_KNOWN: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        317,
        (
            41, 101, 310, 311, 90, 91, 268, 92, 93, 94, 260, 132, 235, 261, 280, 188, 189, 190, 197, 198, 199, 165, 166,
            155, 161, 272, 308, 248, 249, 250, 321, 298, 323, 175, 313, 176, 246, 320, 304, *_NEW,
        ),
    ),
    "aarch64": (
        0xC00000B7,
        277,
        (
            198, 117, 270, 271, 52, 53, 54, 55, 88, 5, 6, 7, 14, 15, 16, 40, 39, 41, 51, 97, 268, 217, 218, 219, 280,
            241, 282, 105, 273, 106, 104, 294, 265, *_NEW,
        ),
    ),
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def is_here() -> bool:
    """Whether there is a list for this machine, and the kernel takes filters."""
    if platform.machine() not in _KNOWN:
        return False
    action = ctypes.c_uint32(_REFUSE & 0xFFFF0000)
    number = _KNOWN[platform.machine()][1]
    return bool(_libc.syscall(number, ctypes.c_uint(_ASK_ACTION), ctypes.c_uint(0), ctypes.byref(action)) == 0)


def refuse() -> bool:
    """Refuses the calls to this thread and all that it starts; whether the kernel agreed.

    `no_new_privileges` must be set.
    """
    if platform.machine() not in _KNOWN:
        return False
    architecture, number, refused = _KNOWN[platform.machine()]
    steps = [
        _Instruction(_LOAD, 0, 0, _ARCHITECTURE_AT),
        _Instruction(_JUMP_IF_EQUAL, 1, 0, architecture),
        _Instruction(_RETURN, 0, 0, _REFUSE),  # the calls of another architecture have other numbers
        _Instruction(_LOAD, 0, 0, _NUMBER_AT),
        _Instruction(_JUMP_IF_AT_LEAST, len(refused) + 1, 0, _X32),
        *(_Instruction(_JUMP_IF_EQUAL, len(refused) - at, 0, one) for at, one in enumerate(refused)),
        _Instruction(_RETURN, 0, 0, _ALLOW),
        _Instruction(_RETURN, 0, 0, _REFUSE),
    ]
    program = _Program(len(steps), (_Instruction * len(steps))(*steps))
    flags = ctypes.c_uint(_SPECULATION_ALLOWED)
    return bool(_libc.syscall(number, ctypes.c_uint(_SET_MODE_FILTER), flags, ctypes.byref(program)) == 0)
