"""Which kinds have a fast reader: one that answers in this process, without asking ExifTool."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping

from Src.Media.readers import (
    avi_reader,
    cr3_reader,
    film_reader,
    gif_reader,
    heif_reader,
    jpeg_reader,
    mpeg_reader,
    png_reader,
    raf_reader,
    rw2_reader,
    tiff_reader,
    webp_reader,
)
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Shared.disk.files import NotARegularFile, OpenFile, reading

# Takes a descriptor of the file; raises Unusual, ValueError or struct.error where ExifTool must be asked.
FastReader = Callable[[int], FastAnswer]
FAST_READERS: Mapping[str, FastReader] = {
    "JPEG": jpeg_reader.read_jpeg,
    "PNG": png_reader.read_png,
    "WEBP": webp_reader.read_webp,
    **tiff_reader.READERS,
    "RAF": raf_reader.read_raf,
    "RW2": rw2_reader.read_rw2,
    "CR3": cr3_reader.read_cr3,
    **dict.fromkeys(("HEIC", "HEIF", "AVIF"), heif_reader.read_heif),
    **dict.fromkeys(("MP4", "MOV", "M4V", "3GP"), film_reader.read_film),
    "AVI": avi_reader.read_avi,
    "GIF": gif_reader.read_gif,
    "MPEG": mpeg_reader.read_mpeg,
}

# By a name of another ending ExifTool may take these for something else: it tries what the name says first, and an MP3
# or a transport stream may begin anywhere.
_OWN_ENDINGS = {
    "AVI": frozenset({".avi"}),
    "GIF": frozenset({".gif"}),
    "MPEG": frozenset({".mpg", ".mpeg", ".m2v", ".vob"}),
}


def read_fast(kind: str, file: str | OpenFile) -> FastAnswer:
    """The tags of a file of this kind, equal to ExifTool's. Raises Unusual: ask ExifTool."""
    reader = FAST_READERS.get(kind)
    if reader is None:
        raise Unusual("no fast reader of this kind")
    name = file.name if isinstance(file, OpenFile) else file
    if tiff_reader.is_misnamed(kind, name):
        raise Unusual("name of another kind of raw photo")
    if kind in _OWN_ENDINGS and os.path.splitext(name)[1].lower() not in _OWN_ENDINGS[kind]:
        raise Unusual("name of another kind")
    try:
        with reading(file) as fd:
            return reader(fd)
    except (ValueError, struct.error) as error:
        raise Unusual("broken structure") from error
    except (OSError, NotARegularFile) as error:
        raise Unusual("could not be opened") from error
