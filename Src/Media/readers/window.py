"""Pieces of a file at any place of it, in few reads and bounded: what lies close together is read at once."""

from __future__ import annotations

import os

from Src.Media.readers.fast_answer import Unusual

_HEAD = 16 * 1024
_AHEAD = 4 * 1024
MOST_OF_A_PIECE = 4 * 2**20
"""Bytes: no metadata that a camera or a phone writes is larger."""
MOST_PIECES = 20_000
"""That are looked at: a PNG of 100 MB has 12,000 of picture data."""
MOST_XMP = 2**18
"""Bytes of an XMP packet. As a tree it takes far more."""


class Window:
    """A file that is read from here and there; `base`: where in it offsets begin to count."""

    __slots__ = ("_base", "_data", "_fd", "_reads", "_start", "size")

    def __init__(self, fd: int, base: int = 0) -> None:
        self._fd, self._base = fd, base
        self.size = os.fstat(fd).st_size - base
        """Bytes from there to the end."""
        self._start, self._data, self._reads = 0, os.pread(fd, _HEAD, base), 1

    def at(self, offset: int, size: int) -> bytes:
        """The `size` bytes at `offset`. Raises Unusual where the file has fewer, or they are absurdly many."""
        begin = offset - self._start
        if not 0 <= begin <= begin + size <= len(self._data):
            if offset < 0 or offset + size > self.size:
                raise Unusual("cut short")
            if size > MOST_OF_A_PIECE:
                raise Unusual("very large metadata")
            if self._reads == MOST_PIECES:
                raise Unusual("very many pieces")
            self._start, self._data = offset, os.pread(self._fd, max(size, _AHEAD), self._base + offset)
            self._reads, begin = self._reads + 1, 0
            if len(self._data) < size:
                raise Unusual("cut short")
        return self._data[begin : begin + size]
