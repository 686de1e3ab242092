"""What is known of a photo, written into a copy of it by ExifTool. Never into an original: callers make a copy.

EXIF and XMP are written where a kind has them, Apple's keys into films. What is not known is left as the file has it.
IPTC is left alone. ExifTool gets the values as a file of JSON: on its command line a line break begins another option.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from exiftool.exceptions import ExifToolException

from Src.Media.copy_tags import Known, exiftool_tags
from Src.Media.readers.stay_open import ExifToolDied, ExifToolSilent, StayOpen
from Src.Shared.confinement import clean_environment
from Src.Shared.settings import PROJECT_ROOT

MODULE = "Src.Media.tagging_process"
_TIME_LIMIT = 60.0  # seconds for one file ...
_SECONDS_FOR_A_BYTE = 0.2e-6  # ... and more for a film, which is written anew
_VALUES = "tags.json"
# They would stand beside a date that they do not belong to.
_PARTS_OF_A_DATE = ("-EXIF:SubSecTimeOriginal=", "-EXIF:OffsetTimeOriginal=")


class _Writer(StayOpen):
    """ExifTool that reads and writes in one folder."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(common_args=["-n", "-api", "largefilesupport=1"], encoding="utf-8")
        self._scratch = scratch
        self._surroundings = {"cwd": PROJECT_ROOT, "env": {**clean_environment(), "LC_ALL": "C.UTF-8"}}

    def _command(self) -> list[str]:
        return [sys.executable, "-m", MODULE, str(self._scratch), *super()._command()]


class Tagger:
    """Writes into copies in one scratch folder; a context manager. The process starts with the first one.

    On Linux the kernel ends it with the thread that started it.
    """

    def __init__(self, scratch: Path, *, is_used: bool = True, time_limit: float = _TIME_LIMIT) -> None:
        """`is_used`: whether the ExifTool that is here may be (`exiftool_program.py`)."""
        self._scratch = scratch
        self._time_limit = time_limit
        self._writer: _Writer | None = None
        with suppress(FileNotFoundError):
            self._writer = _Writer(scratch) if is_used else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.stop()

    def tag(self, copy: str, made: str, known: Known, kind: str) -> str | None:
        """Makes the file `made` of `copy`, both in the scratch folder; why it could not, or None.

        `copy` and `made` are plain names of ours, with the ending of the kind.
        """
        if self._writer is None:
            return "there is no ExifTool that may be used"
        tags = exiftool_tags(known, kind)
        values, target = self._scratch / _VALUES, self._scratch / made
        target.unlink(missing_ok=True)  # what was made of another copy must never be taken for this one's
        values.write_text(json.dumps([{"SourceFile": "*", **tags}], ensure_ascii=False), encoding="utf-8")
        cleared = _PARTS_OF_A_DATE if "EXIF:DateTimeOriginal" in tags else ()
        # Names of ours, in its working folder: the folder's own could mean something to ExifTool.
        arguments = [*cleared, f"-json={_VALUES}", "-o", made, copy]
        try:
            if not self._writer.alive:
                self._writer.run()
            size = os.stat(self._scratch / copy).st_size
            self._writer.time_limit = self._time_limit + size * _SECONDS_FOR_A_BYTE
            self._writer.ask([os.fsencode(argument) for argument in arguments])
        except (ExifToolSilent, ExifToolDied) as reason:
            return str(reason)
        except (OSError, RuntimeError, subprocess.SubprocessError, ExifToolException) as reason:
            return f"ExifTool does not start: {reason}"
        if not target.is_file() or not target.stat().st_size:
            return f"ExifTool cannot write a {kind} file of this form"
        return None
