"""Lines as `sha256sum` writes and reads them; names are bytes, whatever they are."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_LINE = re.compile(rb"(\\?)([0-9a-f]{64})  (.+)", re.DOTALL)
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_ESCAPED = {escape: one for one, escape in _ESCAPES.items()}
_TO_ESCAPE, _TO_UNESCAPE = re.compile(rb"[\\\n\r]"), re.compile(rb"\\[\\nr]")


def written(hashes: Mapping[str, str]) -> bytes:
    """The lines of files (SHA-256 by path, as on disk), in the order of the paths' bytes."""
    return b"".join(_line(path, hashes[name]) for path, name in sorted((os.fsencode(name), name) for name in hashes))


def read(content: bytes) -> dict[str, str]:
    """The other way. Raises ValueError where a line is none of ours."""
    hashes: dict[str, str] = {}
    for line in content.split(b"\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError("a line of it is none that sha256sum writes")
        path = _TO_UNESCAPE.sub(lambda found: _ESCAPED[found[0]], match[3]) if match[1] else match[3]
        hashes[os.fsdecode(path)] = match[2].decode()
    return hashes


def _line(path: bytes, sha256: str) -> bytes:
    """`\\` at the beginning says that the name is escaped (coreutils, `sha256sum` output modes)."""
    name = _TO_ESCAPE.sub(lambda found: _ESCAPES[found[0]], path)
    return (b"\\" if name != path else b"") + sha256.encode() + b"  " + name + b"\n"
