"""What opens a copy elsewhere: one file that only its owner may read, which COPIES_CREDENTIALS names.

It has a section for each copy, called as the copy is. Nothing of it goes into the ledger, a log or a command line.
"""

from __future__ import annotations

import configparser
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from Src.Library.custody.copies.trouble import CopyTrouble

_LONGEST = 1 << 20  # bytes


def credentials_of(file: Path | None, name: str) -> Mapping[str, str]:
    """What the file says of a copy; empty where no file is named, or it says nothing. Raises CopyTrouble."""
    if file is None:
        return {}
    try:
        with open(file, "rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read(_LONGEST).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CopyTrouble(f"COPIES_CREDENTIALS={file}: cannot be read ({error})") from error
    if stat.S_IMODE(mode) & 0o077:
        raise CopyTrouble(f"COPIES_CREDENTIALS={file}: others may read it; chmod 600 {file}")
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(content)
    except configparser.Error as error:
        line = getattr(error, "lineno", None)  # its message would have the line itself
        at = f" (line {line})" if line is not None else ""
        raise CopyTrouble(f"COPIES_CREDENTIALS={file}: is no list of [NAME] and KEY = VALUE{at}") from None
    section = next((one for one in parser.sections() if one.lower() == name.lower()), None)
    return {} if section is None else dict(parser[section])
