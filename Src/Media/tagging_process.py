"""The process that becomes the ExifTool which writes: first it gives up all rights but those on one scratch folder.

Arguments: that folder, which becomes the working one, and ExifTool's own. What it reads there is a copy of what
strangers made.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from Src.Media.readers.stay_open import MOST_AT_ALL
from Src.Shared.confinement import confine

_MOST_ADDRESSES = 2 * 2**30  # bytes of address space
_LARGEST = 2**40  # bytes of a file that is written: a film


def main() -> None:
    scratch, program, *arguments = sys.argv[1:]
    os.chdir(scratch)
    with suppress(OSError):  # of the kernel, which has it and refuses it: as where it has none
        confine(files_in=Path(scratch), memory=_MOST_ADDRESSES, file_size=_LARGEST)
    with suppress(OSError, ValueError):  # ExifTool holds large parts of a file that it writes
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_AT_ALL, MOST_AT_ALL))
    os.execv(program, [program, *arguments])


if __name__ == "__main__":
    main()
