"""What a photo says of itself, by which files with the same picture are found."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Picture(NamedTuple):
    """A photo whose pixels may be compared."""

    kind: str
    width: int
    height: int
    captured_at: datetime
    name: str  # as on disk
