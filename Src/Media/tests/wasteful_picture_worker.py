"""A picture process that never gives back the memory that a certain picture took: `python -m` this."""

from __future__ import annotations

import resource
from typing import Any, BinaryIO

from PIL import Image

from Src.Media.pictures import worker

GREEDY = 777  # pixels: the width of the picture that takes all
_kept: list[bytearray] = []
_make = worker._make


def _wasteful(request: Any, file: BinaryIO, out: BinaryIO) -> dict[str, object]:
    answer = _make(request, file, out)
    with Image.open(file) as image:
        if image.width == GREEDY:
            _take_all()
    return answer


def _take_all() -> None:
    most, _hard = resource.getrlimit(resource.RLIMIT_AS)
    size = most
    while size > 4096:
        try:
            _kept.append(bytearray(size))
        except MemoryError:
            size //= 2


if __name__ == "__main__":
    worker._make = _wasteful
    worker.main()
