"""A reader that never comes to its end with `slow.jpg` among other files: `python -m` this instead of `reader`."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from datetime import datetime

from Src.Librarian.passage import IncomingFile
from Src.Librarian.read import reader
from Src.Librarian.read.inspection import Inspector
from Src.Librarian.read.wire import Finding, Known

_inspect = Inspector.inspect


def _held_up(
    self: Inspector,
    files: Sequence[IncomingFile],
    now: datetime,
    *,
    alone: bool = False,
    known: Sequence[Known] | None = None,
) -> list[Finding]:
    for file in files:
        if file.name == "slow.jpg" and not alone:
            with open(file.path, "rb"):
                signal.pause()
    return _inspect(self, files, now, alone=alone, known=known)


if __name__ == "__main__":
    Inspector.inspect = _held_up  # type: ignore[method-assign]
    reader.main()
