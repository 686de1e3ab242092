"""Fingerprint: what is it, byte for byte? One read gives SHA-256, size and kind."""

from __future__ import annotations

import os
from dataclasses import dataclass

from Src.Librarian.passage import StillChanging
from Src.Media.kind_detection import HEAD_SIZE, kind_of
from Src.Media.kinds import Kind
from Src.Shared.disk.files import FileState, sha256_of
from Src.Shared.disk.leases import open_for_writing_elsewhere


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A file as it was read."""

    sha256: str  # lower-case hex; empty where it is no media and was not read
    kind: Kind | None


def fingerprint(fd: int, expected: FileState) -> Fingerprint:
    """Reads an open file once.

    Raises StillChanging where it is not in the expected state before or after, and OSError.
    """
    if FileState.of(os.fstat(fd)) != expected or open_for_writing_elsewhere(fd):
        raise StillChanging
    head = os.pread(fd, HEAD_SIZE, 0)
    kind = kind_of(fd, head)
    sha256 = sha256_of(fd) if kind is not None else ""
    if FileState.of(os.fstat(fd)) != expected:
        raise StillChanging
    return Fingerprint(sha256, kind)
