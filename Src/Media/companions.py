"""Files that belong to another: which name belongs to which."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable
from types import TracebackType
from typing import Self

from Src.Media.kinds import KINDS
from Src.Shared.disk.files import NotARegularFile, OpenFile, reading

_SIDECAR_ENDINGS = (".xmp", ".XMP", ".Xmp", ".xMP", ".xmP", ".XMp", ".xMp", ".XmP")
MOST_BYTES = 16 * 1024 * 1024  # of a sidecar that is copied
# How a text begins that is not UTF-8: with a byte order mark, or with "<" in two or four bytes.
ENCODINGS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


# Endings of names. `IMG.xmp` beside several files of that stem belongs to the raw photo: programs that develop photos
# write it for that one; and to a photo rather than to the film that was taken with it.
RAW_ENDINGS = frozenset(f".{name.lower()}" for name, kind in KINDS.items() if kind.is_raw)
FILM_ENDINGS = frozenset(f".{name.lower()}" for name, kind in KINDS.items() if kind.is_video) | {".mpg", ".mts", ".mod"}
_PHOTOS = (".jpg", ".jpeg", ".heic", ".heif", ".hif", ".avif", ".png", ".webp", ".tif", ".tiff", ".jxl")


def find_sidecar(path: str, folder: int | None = None) -> str | None:
    """The XMP file that belongs to the photo at `path`: IMG.jpg.xmp before IMG.xmp, in any case.

    `folder`: the open folder that a name is in. Whoever opens what is found must not follow a link.
    """
    # (asked for one by one: to list an inbox of 100,000 files for each photo would not do)
    return sidecar_of(path, lambda name: os.access(name, os.F_OK, dir_fd=folder))


def sidecar_of(path: str, stands: Callable[[str], bool]) -> str | None:
    """As `find_sidecar`, where `stands` says whether a file of a name is there."""
    stem = os.path.splitext(path)[0]
    for start in (path, stem):
        for ending in _SIDECAR_ENDINGS:
            if start + ending != path and stands(start + ending):
                return start + ending if start == path or not _is_anothers(stem, path, stands) else None
    return None


def is_sidecar(name: str) -> bool:
    """Whether a name is that of an XMP sidecar."""
    return name.lower().endswith(".xmp")


def stem_rank(name: str) -> int:
    """Whose the sidecar is of several files of one stem: the first of the lowest."""
    ending = os.path.splitext(name)[1].lower()
    return 0 if ending in RAW_ENDINGS else 2 if ending in FILM_ENDINGS else 1


def _is_anothers(stem: str, path: str, stands: Callable[[str], bool]) -> bool:
    """Whether a file beside it has the better right to the sidecar of its stem."""
    rank = stem_rank(path)
    better = (*(RAW_ENDINGS if rank > 0 else ()), *(_PHOTOS if rank > 1 else ()))
    return any(stands(stem + case) for ending in better for case in (ending, ending.upper()))


class SidecarText:
    """Sidecars as UTF-8, for a reader that knows UTF-16 and UTF-32 only half; a context manager.

    The copies are in memory: whoever reads hostile files is confined, and can write none.
    """

    def __init__(self) -> None:
        self._copies: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for copy in self._copies:
            os.close(copy)
        self._copies.clear()

    def readable(self, sidecar: str | OpenFile) -> str | OpenFile:
        """The sidecar, or a copy of it in UTF-8."""
        text = _text_of(sidecar)
        if text is None:
            return sidecar
        try:
            copy = os.memfd_create("sidecar.xmp", os.MFD_CLOEXEC)
            self._copies.append(copy)
            with open(copy, "wb", closefd=False) as file:
                file.write(text.encode("utf-8", "replace"))
        except OSError:  # no room: as well as it can be read
            return sidecar
        return OpenFile(copy, "sidecar.xmp")


def _text_of(sidecar: str | OpenFile) -> str | None:
    """What a sidecar says, where it is not in UTF-8."""
    try:
        with reading(sidecar) as fd:
            start = os.pread(fd, 4, 0)
            encoding = next((name for mark, name in ENCODINGS if start.startswith(mark)), None)
            if encoding is None:
                return None
            text = os.pread(fd, MOST_BYTES, 0).decode(encoding, "replace")
    except (OSError, ValueError, NotARegularFile):
        return None
    # (what it states of its encoding was true of the original)
    return re.sub(r"""encoding=["']utf-(?:16|32)[a-z]*["']""", "", text, count=1, flags=re.IGNORECASE)
