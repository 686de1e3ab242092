"""Where what goes to or comes from a copy stands meanwhile, on this machine: in memory, or in a file without a name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from Src.Library.custody.copies.trouble import CopyTrouble
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.ledger_text import to_ledger


@contextmanager
def spooled(folder: Path, in_memory: int) -> Iterator[tempfile.SpooledTemporaryFile[bytes]]:
    """`in_memory`: bytes; what is longer is in the folder. Raises CopyTrouble where that disk takes no more."""
    try:
        if folder.parent.is_dir():
            make_folder(folder, PRIVATE)
        with tempfile.SpooledTemporaryFile(in_memory, dir=str(folder)) as file:
            yield file
    except OSError as error:
        raise spool_trouble(folder, error.strerror or str(error)) from error


def spool_trouble(folder: Path, why: str) -> CopyTrouble:
    return CopyTrouble(f"{to_ledger(str(folder))}: what goes to the copy has no room there: {why}; free some space")
