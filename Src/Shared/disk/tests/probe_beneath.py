"""What `beneath` answers for paths below a folder: also run as a program, under a kernel that refuses openat2.

python probe_beneath.py FOLDER < paths.json > answers.json
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable
from typing import Any

from Src.Shared.disk import beneath

Answer = list[Any]


def answers(root: str, paths: Iterable[str]) -> list[list[Answer]]:
    """For each path what it leads to, or why not, asked in each of the ways."""
    fd = beneath.open_folder(root)
    try:
        return [[_try(way, fd, path) for way in _WAYS] for path in paths]
    finally:
        os.close(fd)


def _try(way: Callable[[int, str], os.stat_result], root: int, path: str) -> Answer:
    try:
        status = way(root, path)
    except OSError as error:
        return [errno.errorcode[error.errno or 0]]
    return [stat.S_IFMT(status.st_mode), status.st_dev, status.st_ino]


def _opened(flags: int) -> Callable[[int, str], os.stat_result]:
    def way(root: int, path: str) -> os.stat_result:
        fd = beneath.open_beneath(root, path, flags)
        try:
            assert not os.get_inheritable(fd)
            return os.fstat(fd)
        finally:
            os.close(fd)

    return way


def _parent(root: int, path: str) -> os.stat_result:
    with beneath.parent_beneath(root, path) as (folder, _):
        return os.fstat(folder)


_WAYS = (
    _opened(os.O_RDONLY | os.O_NONBLOCK),
    _opened(os.O_RDONLY | os.O_DIRECTORY),
    _opened(os.O_PATH),
    _opened(os.O_WRONLY | os.O_NONBLOCK),
    beneath.lstat_beneath,
    _parent,
)


if __name__ == "__main__":
    found = answers(sys.argv[1], json.load(sys.stdin))
    json.dump({"openat2": beneath._kernel_has_openat2(), "answers": found}, sys.stdout)
