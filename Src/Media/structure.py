"""What a file's own structure says, whichever kind it is: is it whole, and how long is it?"""

from __future__ import annotations

from typing import NamedTuple

from Src.Media import durations, isobmff, matroska, packets, picture_data, riff
from Src.Shared.disk.files import NotARegularFile, OpenFile, reading


class Structure(NamedTuple):
    """`is_known`: all of the kind's structure is looked at, and what ExifTool says of damage does not count."""

    is_known: bool
    damage: str | None = None
    duration: float | None = None
    """Seconds, where they are better known here than ExifTool knows them."""
    packed_metadata: bool = False
    """It has metadata compressed by Brotli, for which ExifTool needs a Perl module and to be of 2023 or later."""


_UNKNOWN = Structure(False)
_FILMS = frozenset({"MP4", "MOV", "M4V", "3GP", "CR3"})
_IMAGES = frozenset({"HEIC", "HEIF", "AVIF"})
_MATROSKA = frozenset({"MKV", "WEBM"})
_RIFF = frozenset({"AVI", "WEBP"})
_BOXED = frozenset({"JXL"})
_PACKETS = {"FLV": packets.flash_damage, "WMV": packets.asf_damage}
_STREAMS = {"MPEG": durations.of_program_stream, "OGV": durations.of_ogg}
_PLACED = {"BMP": picture_data.bitmap_damage, **dict.fromkeys(picture_data.OF_TIFF, picture_data.tiff_damage)}
_ENDING = {"OGV": packets.ogg_damage}


_LOOKED_AT = _FILMS | _IMAGES | _MATROSKA | _RIFF | _BOXED | _PACKETS.keys() | _STREAMS.keys() | _PLACED.keys()


def structure_of(file: str | OpenFile, kind: str) -> Structure:
    """The structure of a file. What cannot be read is not broken: whoever needs the bytes says so."""
    if kind not in _LOOKED_AT:
        return _UNKNOWN
    try:
        with reading(file) as fd:
            return _examined(fd, kind)
    except (OSError, ValueError, NotARegularFile):
        return _UNKNOWN


def _examined(fd: int, kind: str) -> Structure:
    if kind in _IMAGES:
        return Structure(True, isobmff.image_damage(fd))
    if kind in _BOXED:
        return Structure(True, isobmff.cut(fd), packed_metadata=isobmff.packed_metadata(fd))
    if kind in _FILMS:
        return Structure(True, isobmff.film_damage(fd))
    if kind in _PACKETS:
        return Structure(True, _PACKETS[kind](fd))
    if kind in _STREAMS:
        damage = _ENDING[kind](fd) if kind in _ENDING else None
        return Structure(False, damage, _STREAMS[kind](fd))
    if kind in _PLACED:
        return Structure(False, _PLACED[kind](fd))
    if kind in _MATROSKA:
        elements = matroska.examine(fd)
        return Structure(True, elements.damage, elements.duration)
    chunks = riff.examine(fd)
    return Structure(True, chunks.damage, chunks.duration)
