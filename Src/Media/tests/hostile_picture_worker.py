"""A picture process that an original has taken over: `python -m` this instead of `worker`.

The original holds its orders. What came of them stands where the picture should be.
"""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from Src.Media.pictures import worker
from Src.Testing.hostile_acts import attempts, inherited, secrets_known


def _taken_over(_request: Any, file: BinaryIO, out: BinaryIO) -> dict[str, object]:
    orders = json.loads(file.read())
    said = {"acts": attempts(orders), "secrets": secrets_known(), "open": len(inherited())}
    out.write(json.dumps(said).encode())
    return {}


if __name__ == "__main__":
    worker._make = _taken_over  # type: ignore[assignment]
    worker.main()
