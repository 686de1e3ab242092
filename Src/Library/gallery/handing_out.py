"""Originals as they are, for whoever takes them out: one, or several as a zip archive that is made while it is sent."""

from __future__ import annotations

import io
import os
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from Src.Library.original import Original, open_original
from Src.Shared.ledger_text import from_ledger
from Src.Shared.logs import escaped

_AT_ONCE = 1 << 20  # bytes
_LONGEST = 200  # bytes of a name: what is put before and behind it must fit into 255
# What Windows allows in no name (Microsoft, "Naming Files, Paths, and Namespaces").
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_MISSING = "MISSING.txt"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An original that is taken out."""

    original: Original
    taken: datetime


def name_of(original: Original) -> str:
    """The name by which an original is kept, as it is safe for any computer."""
    return safe_name(from_ledger(original.final_path).rpartition("/")[2])


def safe_name(name: str) -> str:
    """A name that any computer takes, and that leads nowhere else: what is not allowed becomes an underscore."""
    readable = "".join("_" if _is_odd(letter) else letter for letter in _FORBIDDEN.sub("_", name))
    readable = readable.strip(" ").rstrip(". ").lstrip(".")
    stem, dot, ending = readable.rpartition(".") if "." in readable else (readable, "", "")
    if len(ending.encode()) > 20:
        stem, dot, ending = readable, "", ""
    stem = stem.encode()[: _LONGEST - len(dot + ending)].decode(errors="ignore")
    shown = f"{stem}{dot}{ending}" or "photo"
    return f"_{shown}" if _RESERVED.fullmatch(shown) else shown


def _is_odd(letter: str) -> bool:
    """Control and direction characters, and bytes that are no text."""
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def as_zip(storage: Path, wanted: Iterable[Wanted]) -> Iterator[bytes]:
    """A zip archive of originals, piece by piece, not compressed: photos are already.

    What cannot be opened is left out, and a text in the archive names it. Raises OSError where a file cannot be read to
    its end: an archive that is cut off is known to be broken, one with half a photo is not.
    """
    out = _Pieces()
    names: set[str] = set()
    missing: list[str] = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for one in wanted:
            name = _unused(name_of(one.original), names)
            try:
                fd = open_original(storage, one.original.final_path)
            except OSError as error:
                missing.append(f"{escaped(from_ledger(one.original.final_path))}: {error.strerror}")
                continue
            with open(fd, "rb") as source:
                size = os.fstat(fd).st_size
                entry = zipfile.ZipInfo(name, _zip_time(one.taken))
                entry.external_attr = 0o644 << 16
                entry.file_size = size
                with archive.open(entry, "w", force_zip64=size >= zipfile.ZIP64_LIMIT // 2) as into:
                    while block := source.read(_AT_ONCE):
                        into.write(block)
                        yield from out.taken()
        if missing:
            told = "These photos and videos could not be opened, and are not in this archive:\n\n"
            archive.writestr(_unused(_MISSING, names), told + "".join(f"{line}\n" for line in missing))
    yield from out.taken()


class _Pieces(io.RawIOBase):
    """What is written, until it is taken; there is no way back, so an archive's sizes stand behind its files."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        return len(piece)

    def taken(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        yield from pieces


def _unused(name: str, names: set[str]) -> str:
    """A name that no other file of the archive has, whatever the capitals and however it is composed."""
    stem, dot, ending = name.rpartition(".") if "." in name else (name, "", "")
    number, found = 1, name
    while (key := unicodedata.normalize("NFC", found).casefold()) in names:
        number += 1
        found = f"{stem} ({number}){dot}{ending}"
    names.add(key)
    return found


def _zip_time(taken: datetime) -> tuple[int, int, int, int, int, int]:
    """A zip archive knows no time outside 1980 to 2107 (APPNOTE, 4.4.6)."""
    year = min(max(taken.year, 1980), 2107)
    month, day = (taken.month, taken.day) if year == taken.year else (1, 1)
    return (year, month, day, taken.hour, taken.minute, taken.second)
