"""A reader that a file called `hostile.jpg` has taken over: `python -m` this instead of `reader`.

Its orders stand beside the file. What came of them is its inspection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime

from Src.Librarian.passage import IncomingFile, Unreadable
from Src.Librarian.read import reader
from Src.Librarian.read.inspection import Inspector
from Src.Librarian.read.wire import Finding, Known
from Src.Testing.hostile_acts import attempts, inherited, secrets_known

_inspect = Inspector.inspect


def _taken_over(
    self: Inspector,
    files: Sequence[IncomingFile],
    now: datetime,
    *,
    alone: bool = False,
    known: Sequence[Known] | None = None,
) -> list[Finding]:
    inspections = _inspect(self, files, now, alone=alone, known=known)
    for at, file in enumerate(files):
        if file.name == "hostile.jpg":
            with open(os.path.join(os.path.dirname(file.path), "orders.json"), encoding="utf-8") as orders:
                said = {
                    "acts": attempts(json.load(orders)),
                    "secrets": secrets_known(),
                    "open": inherited(),
                }
            inspections[at] = Unreadable(file, json.dumps(said))
    return inspections


if __name__ == "__main__":
    Inspector.inspect = _taken_over  # type: ignore[method-assign]
    reader.main()
