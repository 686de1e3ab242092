"""Reach files below a folder that was opened once, without following any link on the way.

A path names whatever stands there at the moment it is used. Who may write in one of its folders can put a symbolic
link in that folder's place between two uses, and then the path leads somewhere else. A descriptor cannot be moved like
that. So whatever lies in a folder that others may write to is reached from that folder's descriptor, by its path
relative to it, and a link on the way is an error (ELOOP), also as the last part.

`openat2(2)` does this in one call (Linux 5.6). Elsewhere the path is walked part by part. Either way a path may be
longer than the 4,096 bytes that the kernel takes at once, and file systems mounted below the folder are entered.

A relative path is parts joined by `/`; an empty one is the folder itself. `.`, `..`, empty parts and absolute paths are
refused with EXDEV, as the kernel refuses what leads outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import stat
import sys
from collections.abc import Iterator

_PATH_ONLY: int = getattr(os, "O_PATH", 0)
# To open a folder only to reach what is in it: for that, one need not be able to read it.
THROUGH = _PATH_ONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPENAT2 = 437  # the same number on every architecture of Linux but alpha
_NO_SYMLINKS, _BENEATH = 0x04, 0x08  # openat2(2): resolve
_LONGEST_PIECE = 4000  # bytes: below what the kernel takes at once
_SURELY_SHORT = _LONGEST_PIECE // 4  # characters
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2  # renameat2(2)

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_folder(path: str | os.PathLike[str]) -> int:
    """Opens the folder at the top, the only one to whose path links may belong, to reach what is below it."""
    return os.open(path, _PATH_ONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_beneath(root: int, relative: str, flags: int, mode: int = 0o666) -> int:
    """Opens a file or folder and returns its descriptor, which no other program inherits.

    Raises OSError: ELOOP where a link stands on the way or at the end, EXDEV where the path is not one beneath.
    """
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW
    if not flags & os.O_CREAT:
        mode = 0
    if len(relative) < _SURELY_SHORT and "/" in relative and _kernel_has_openat2():  # nearly always
        _refuse_other_than_names(relative, relative.split("/"))
        return _openat2(root, relative, flags, mode)
    folder, last = _before_last_piece(root, relative)
    try:
        if not last:
            return os.open(".", flags, dir_fd=folder)
        if "/" in last:
            return _openat2(folder, last, flags, mode)
        return _open_last_part(folder, last, flags, mode)
    finally:
        if folder != root:
            os.close(folder)


def parent_and_name(relative: str) -> tuple[str, str]:
    """The path of the folder that a path's last part is in, and that part. Raises OSError: EXDEV."""
    before, slash, name = relative.rpartition("/")
    if slash and not before:
        raise _leads_outside(relative)
    _refuse_other_than_names(relative, (name,))
    return before, name


@contextlib.contextmanager
def parent_beneath(root: int, relative: str) -> Iterator[tuple[int, str]]:
    """The descriptor of the folder that a path's last part is in, and that part: for whatever `dir_fd` is taken.

    The folder may be searched, not read. Raises OSError as `open_beneath` does; the last part need not exist.
    """
    before, name = parent_and_name(relative)
    if not before:
        yield root, name
        return
    folder = open_beneath(root, before, THROUGH)
    try:
        yield folder, name
    finally:
        os.close(folder)


def lstat_beneath(root: int, relative: str) -> os.stat_result:
    """What stands at a path, where that is a link the link itself. Raises OSError as `open_beneath` does."""
    if not relative:
        return os.fstat(root)
    before, name = parent_and_name(relative)
    if not before:
        return os.stat(name, dir_fd=root, follow_symlinks=False)
    folder = open_beneath(root, before, THROUGH)
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)


def link_open_file(fd: int, folder: int, name: str) -> None:
    """Gives an open file one more name in an open folder, whatever may stand at its old path by now.

    Raises FileExistsError where the name is taken, FileNotFoundError where the file has no name left, and OSError.
    """
    try:
        # The file itself, not a path: and without the privilege that AT_EMPTY_PATH asks for (CAP_DAC_READ_SEARCH).
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=folder, follow_symlinks=True)
    except FileNotFoundError:
        if os.path.lexists(f"/proc/self/fd/{fd}"):
            raise
        if _libc.linkat(fd, b"", folder, _encoded(name), _AT_EMPTY_PATH) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), name) from None


def rename_unless_taken_at(from_folder: int, name: str, to_folder: int, new_name: str) -> None:
    """Renames between open folders; raises FileExistsError where the new name exists, instead of replacing it."""
    if _libc.renameat2(from_folder, _encoded(name), to_folder, _encoded(new_name), _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), name, None, new_name)
    # A filesystem that knows no rename which spares: reserve the name, then rename over the reservation.
    reserve = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    os.close(os.open(new_name, reserve, 0o600, dir_fd=to_folder))
    try:
        os.rename(name, new_name, src_dir_fd=from_folder, dst_dir_fd=to_folder)
    except OSError:
        os.unlink(new_name, dir_fd=to_folder)
        raise


def exchange_at(folder: int, name: str, other: str) -> None:
    """Two names of an open folder get each other's file, in one step.

    Raises OSError: EINVAL or ENOSYS where the filesystem cannot.
    """
    if _libc.renameat2(folder, _encoded(name), folder, _encoded(other), _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name, None, other)


def _before_last_piece(root: int, relative: str) -> tuple[int, str]:
    """The folder that the last piece of a path begins in (the root itself where there is but one), and that piece.

    A piece is what the kernel resolves at once: some 4,000 bytes where it has openat2, else one part.
    """
    parts = relative.split("/") if relative else []
    _refuse_other_than_names(relative, parts)
    if not parts:
        return root, relative
    folder = root
    pieces = _long_pieces(parts) if _kernel_has_openat2() else parts
    try:
        for piece in pieces[:-1]:
            inner = _openat2(folder, piece, THROUGH, 0) if "/" in piece else _open_last_part(folder, piece, THROUGH, 0)
            if folder != root:
                os.close(folder)
            folder = inner
    except BaseException:
        if folder != root:
            os.close(folder)
        raise
    return folder, pieces[-1]


def _long_pieces(parts: list[str]) -> list[str]:
    pieces, piece, size = [], [parts[0]], len(os.fsencode(parts[0]))
    for part in parts[1:]:
        size += 1 + len(os.fsencode(part))
        if size > _LONGEST_PIECE:
            pieces.append("/".join(piece))
            piece, size = [], len(os.fsencode(part))
        piece.append(part)
    return [*pieces, "/".join(piece)]


def _open_last_part(folder: int, name: str, flags: int, mode: int) -> int:
    """Opens what has a name in an open folder; a link is no way to anything (ELOOP)."""
    try:
        fd = os.open(name, flags, mode, dir_fd=folder)
    except NotADirectoryError:  # so it says of a link, too
        if _is_link(folder, name):
            raise _is_a_link(name) from None
        raise
    if flags & _PATH_ONLY and stat.S_ISLNK(os.fstat(fd).st_mode):  # O_PATH opens the link itself
        os.close(fd)
        raise _is_a_link(name)
    return fd


def _openat2(folder: int, path: str, flags: int, mode: int) -> int:
    encoded = _encoded(path)
    how = _how(flags & ~os.O_NOFOLLOW, mode)  # which would make O_PATH open a link itself
    while True:
        fd: int = _libc.syscall(
            ctypes.c_long(_OPENAT2), folder, encoded, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
        )
        if fd >= 0:
            break
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code), path)
    return fd


@functools.lru_cache(maxsize=64)
def _how(flags: int, mode: int) -> _OpenHow:
    """The kernel only reads it, so one serves all threads."""
    return _OpenHow(flags, mode, _BENEATH | _NO_SYMLINKS)


@functools.cache
def _kernel_has_openat2() -> bool:
    """ENOSYS says an old kernel, EPERM a container's filter of system calls from before openat2."""
    if sys.platform != "linux":
        return False
    try:
        root = os.open("/", THROUGH)
    except OSError:
        return False
    try:
        os.close(_openat2(root, ".", THROUGH, 0))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


def _refuse_other_than_names(relative: str, parts: list[str] | tuple[str, ...]) -> None:
    if "\0" in relative:  # C would take the path to end there
        raise ValueError("embedded null byte")
    for part in parts:
        if part in ("", ".", ".."):
            raise _leads_outside(relative)


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _encoded(path: str) -> bytes:
    if "\0" in path:
        raise ValueError("embedded null byte")
    return os.fsencode(path)


def _is_a_link(path: str) -> OSError:
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _leads_outside(relative: str) -> OSError:
    return OSError(errno.EXDEV, "the path leads outside of its folder", relative)
