"""A reader that says of `liar.jpg` what stands in the file `say` beside it: `python -m` this instead of `reader`."""

from __future__ import annotations

import os

from Src.Librarian.read import reader
from Src.Librarian.read.inspection import Inspector
from Src.Librarian.read.wire import Request

_answer = reader._answer


def _lie(inspector: Inspector, request: Request) -> bytes:
    for file in request.files:
        if file.name == "liar.jpg":
            with open(os.path.join(os.path.dirname(file.path), "say"), "rb") as words:
                return words.read() + b"\n"
    return _answer(inspector, request)


if __name__ == "__main__":
    reader._answer = _lie
    reader.main()
