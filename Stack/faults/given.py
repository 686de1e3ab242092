"""Files put into an inbox, remembered with what must become of them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Fate = Literal["filed", "stays", "either", "ignored"]
"""Filed; not media or failing, and told so; one of these two; left alone by rule, and nothing is said."""


@dataclass(frozen=True, slots=True)
class Given:
    path: bytes  # relative to the inbox
    sha256: str
    fate: Fate

    @property
    def shown(self) -> str:
        """As it may be printed anywhere."""
        return ascii(os.fsdecode(self.path))[1:-1][:200]

    @property
    def in_ledger(self) -> str:
        r"""As the ledger writes it: `\xNN` for a byte that is no UTF-8, and two backslashes for one."""
        return self.path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def give(inbox: Path, path: bytes, content: bytes, fate: Fate, zeros: int = 0) -> Given:
    """Writes a file whose folder is there; `zeros` more bytes follow as a hole.

    Raises OSError where the filesystem will not take the name, or has one that it takes for the same.
    """
    target = os.path.join(os.fsencode(inbox), path)
    with open(target, "xb") as file:
        file.write(content)
        file.truncate(len(content) + zeros)
    return Given(path, sha256_at(target), fate)


def sha256_at(path: bytes) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
