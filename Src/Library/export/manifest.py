"""What an export leaves beside the files: `MANIFEST.sha256` for `sha256sum -c`, and `MANIFEST.jsonl`.

The first has each file as it was written, the second one line for each original whose copy got metadata: what it was.
Lines of earlier exports to the same place stay. Both are written whole or not at all, and only over ones of ours.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from Src.Library.export import copying
from Src.Library.export.destination import Destination, ExportRefused
from Src.Shared.disk.files import NotARegularFile, open_regular

SUMS, ORIGINS = "MANIFEST.sha256", "MANIFEST.jsonl"
_LINE = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
# As all versions of GNU's sha256sum read names (a backslash before the line says so).
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n"}
_BACK = {escape: byte for byte, escape in _ESCAPES.items()}


class Manifest:
    """The two files of one destination."""

    def __init__(self, destination: Destination) -> None:
        """Raises ExportRefused where one of them is there and is none of ours."""
        self._destination = destination
        self._sums: dict[str, str] = {}  # path below the destination -> SHA-256
        self._origins: dict[str, dict[str, Any]] = {}  # path below the destination, as ledger text -> its line
        self._by_original: dict[str, list[str]] = {}
        self._changed = False
        for line in filter(None, self._read(SUMS).split(b"\n")):
            found = _LINE.fullmatch(line)
            if found is None:
                raise self._refused(SUMS)
            self._sums[_path_of(found[3], is_escaped=bool(found[1]))] = found[2].decode()
        for line in filter(None, self._read(ORIGINS).split(b"\n")):
            try:
                origin = json.loads(line)
                self._origins[origin["path"]] = origin
                self._by_original.setdefault(origin["original"], []).append(origin["path"])
            except (ValueError, TypeError, LookupError):
                raise self._refused(ORIGINS) from None

    def origins(self, sha256: str) -> list[Mapping[str, Any]]:
        """What was noted of an original when copies of it got metadata."""
        return [self._origins[path] for path in self._by_original.get(sha256, ())]

    def add(self, path: str, sha256: str) -> None:
        """A file that stands at a path below the destination, with these bytes."""
        self._changed = self._changed or self._sums.get(path) != sha256
        self._sums[path] = sha256

    def add_origin(self, origin: dict[str, Any]) -> None:
        """`origin`: words of JSON, among them `path` and `original`, which is a hash."""
        path = origin["path"]
        self._changed = self._changed or self._origins.get(path) != origin
        if path not in self._origins:
            self._by_original.setdefault(origin["original"], []).append(path)
        self._origins[path] = origin

    def write(self) -> None:
        """Raises DestinationTrouble and OSError; then the old ones are as they were."""
        if not self._changed:
            return
        if self._origins:
            lines = [
                json.dumps(self._origins[key], ensure_ascii=False, sort_keys=True) for key in sorted(self._origins)
            ]
            self._write(ORIGINS, "".join(f"{line}\n" for line in lines).encode())
        self._write(SUMS, b"".join(_line(path, self._sums[path]) for path in sorted(self._sums)))
        self._changed = False

    def _write(self, name: str, content: bytes) -> None:
        copying.write(content, self._destination, name, time.time_ns())
        self._destination.replace(name, name)

    def _read(self, name: str) -> bytes:
        try:
            with os.fdopen(open_regular(name, self._destination.root), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""
        except (OSError, NotARegularFile):
            raise self._refused(name) from None

    def _refused(self, name: str) -> ExportRefused:
        path = self._destination.path / name
        return ExportRefused(f"{path}: is there, and is no manifest of an export; move it away")


def _line(path: str, sha256: str) -> bytes:
    name = os.fsencode(path)
    shown = re.sub(rb"[\\\n]", lambda found: _ESCAPES[found[0]], name)
    return b"%s%s  %s\n" % (b"\\" if shown != name else b"", sha256.encode(), shown)


def _path_of(shown: bytes, *, is_escaped: bool) -> str:
    if is_escaped:
        shown = re.sub(rb"\\[\\n]", lambda found: _BACK[found[0]], shown)
    return os.fsdecode(shown)
