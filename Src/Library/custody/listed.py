"""A list of files elsewhere: names, and what is known of each. Each line is one file; none is passed over.

Lines of `sha256sum` (and of our manifests), `SHA256 (NAME) = HASH`, JSON objects with `path`, `size` and `sha256`, or a
name, with tabs before its size and hash where there are any. No other hash than SHA-256 says anything here.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from Src.Library.custody.receipt import Elsewhere
from Src.Shared.disk.files import NotARegularFile, open_regular
from Src.Shared.errors import FactoryError

_ENDINGS = (".txt", ".lst", ".list", ".tsv", ".sha256", ".sha256sum", ".jsonl", ".ndjson")
_NAMES = ("sha256sums", "sha256sum")
_MOST_BYTES = 1 << 30
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_SHA256SUM = re.compile(r"(\\?)([0-9a-fA-F]{32,128}) [ *](.+)", re.DOTALL)
_TAGGED = re.compile(r"(\\?)([A-Z0-9-]{3,12}) \((.+)\) = ([0-9a-fA-F]{32,128})", re.DOTALL)
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_LETTERS = {"\\": "\\", "n": "\n", "r": "\r"}


class ListProblem(FactoryError):
    """A list that cannot be read. The message is one line: which line, and why."""

    about = "safe"


def is_list(path: Path) -> bool:
    """Whether a file is a list by its name: no photo or video has such a one."""
    return path.name.lower().endswith(_ENDINGS) or path.name.lower() in _NAMES


def read_list(path: Path) -> list[Elsewhere]:
    """What a list names, in its order. Raises ListProblem."""
    try:
        with os.fdopen(open_regular(os.path.realpath(path)), "rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except NotARegularFile:
        raise ListProblem(f"{path}: is no regular file") from None
    except OSError as error:
        raise ListProblem(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise ListProblem(f"{path}: is longer than 1 GB; give it in parts")
    found: list[Elsewhere] = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        text = os.fsdecode(line.removesuffix(b"\r"))
        if not text:
            continue
        try:
            found.append(_read(text))
        except ValueError as error:
            raise ListProblem(f"{path}: line {number}: {error}") from None
    if not found:
        raise ListProblem(f"{path}: names no file")
    return found


def _read(text: str) -> Elsewhere:
    """Raises ValueError, with the reason."""
    if "\0" in text:
        raise ValueError("it is no text")
    if "\r" in text:  # a list of an old Mac is one line, of which only the last hash would be believed
        raise ValueError("a carriage return stands in it; end lines as Unix or Windows do, or write it as \\r")
    if text.startswith("{"):
        return _of_json(text)
    if (match := _SHA256SUM.fullmatch(text)) is not None:
        return Elsewhere(_name(match[3], is_escaped=bool(match[1])), _hash(match[2]))
    if (match := _TAGGED.fullmatch(text)) is not None:
        if match[2] != "SHA256":
            raise ValueError(f"{match[2]} says nothing here; only SHA-256 does")
        return Elsewhere(_name(match[3], is_escaped=bool(match[1])), _hash(match[4]))
    name, *rest = text.split("\t")
    if not name or len(rest) > 2:
        raise ValueError("a name is expected, and after tabs its size and its SHA-256")
    size = _size(rest[0]) if rest and rest[0] else None
    return Elsewhere(name, _hash(rest[1]) if len(rest) == 2 and rest[1] else None, size)


def _of_json(text: str) -> Elsewhere:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it begins as a JSON object, and is none") from None
    path, size, sha256 = said.get("path"), said.get("size"), said.get("sha256")
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError("a JSON object with a path is expected")
    if not (sha256 is None or isinstance(sha256, str)):
        raise ValueError("its sha256 is no text")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise ValueError("its size is no number of bytes")
    return Elsewhere(path, None if sha256 is None else _hash(sha256), size)


def _hash(text: str) -> str:
    if _HASH.fullmatch(text) is None:
        raise ValueError("a hash is expected that is SHA-256, of 64 digits; no other one says anything here")
    return text.lower()


def _size(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,18}", text) is None:
        raise ValueError(f"{text!r} is no number of bytes")
    return int(text)


def _name(text: str, *, is_escaped: bool) -> str:
    if not is_escaped:
        return text

    def letter(match: re.Match[str]) -> str:
        if match[1] not in _LETTERS:
            raise ValueError("its name is not escaped as sha256sum does it")
        return _LETTERS[match[1]]

    return _ESCAPED.sub(letter, text)
