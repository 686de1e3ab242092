"""Which kind of photo or video is it, by content and never by the name's ending.

libmagic (the library behind `file`) answers for most kinds. It leaves four families open, which are settled here:
raw photos that are TIFF inside, ISO media files by their brand, MPEG transport streams, and Panasonic's RW2.
"""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

import pylibmagic  # noqa: F401  puts its bundled libmagic where `magic` finds it
import magic

from Src.Librarian.tiff_family import kind_of_tiff

HEAD_SIZE = 16 * 1024


class Kind(NamedTuple):
    """A kind of media: its name as ExifTool's FileType gives it, and its MIME type."""

    name: str
    mime_type: str


_KINDS = {
    "JPEG": "image/jpeg",
    "HEIC": "image/heic",
    "HEIF": "image/heif",
    "AVIF": "image/avif",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "JXL": "image/jxl",
    "DNG": "image/x-adobe-dng",
    "CR2": "image/x-canon-cr2",
    "CR3": "image/x-canon-cr3",
    "NEF": "image/x-nikon-nef",
    "ARW": "image/x-sony-arw",
    "RAF": "image/x-fujifilm-raf",
    "ORF": "image/x-olympus-orf",
    "RW2": "image/x-panasonic-rw2",
    "PEF": "image/x-pentax-pef",
    "SRW": "image/x-samsung-srw",
    "MP4": "video/mp4",
    "MOV": "video/quicktime",
    "M4V": "video/x-m4v",
    "3GP": "video/3gpp",
    "AVI": "video/x-msvideo",
    "M2TS": "video/m2ts",
    "MKV": "video/x-matroska",
    "WEBM": "video/webm",
}
KINDS = {name: Kind(name, mime_type) for name, mime_type in _KINDS.items()}

_BY_MAGIC = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/jxl": "JXL",
    "image/x-canon-cr2": "CR2",
    "image/x-fuji-raf": "RAF",
    "image/x-olympus-orf": "ORF",
    "video/quicktime": "MOV",  # the old kind without a brand
    "video/x-msvideo": "AVI",
    "video/x-matroska": "MKV",
    "video/webm": "WEBM",
}

# Brands of ISO/IEC 14496-12 (mp4ra.org). Any other brand is a video for all we know: MP4.
_BY_BRAND = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "HEIC"),
    **dict.fromkeys((b"mif1", b"msf1", b"mif2"), "HEIF"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    b"crx ": "CR3",
    b"qt  ": "MOV",
    **dict.fromkeys((b"M4V ", b"M4VH", b"M4VP"), "M4V"),
}
_NOT_PICTURES = (b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ", b"aax ", b"jp2 ", b"jpx ", b"jpm ", b"mjp2")
# Atoms that QuickTime files may begin with: padding, room for a 64-bit size, a preview and its picture.
_BEFORE_THE_FIRST = (b"wide", b"free", b"skip", b"pnot", b"PICT")
_GENERIC_IMAGE_BRANDS = (b"mif1", b"msf1", b"mif2")

# What can never answer with a kind of ours, and takes most of the time: looking into compressed data, tar, EMX, text,
# office files, CSV, tokens, encodings, JSON (libmagic(3)).
_NO_CHECKS = 0x1000 | 0x2000 | 0x8000 | 0x20000 | 0x40000 | 0x80000 | 0x100000 | 0x200000 | 0x400000

_libmagic = threading.local()  # its handle is not to be shared between threads


def kind_of(fd: int, head: bytes) -> Kind | None:
    """The kind of an open file, given its first `HEAD_SIZE` bytes; None where it is no photo or video we file."""
    name = _name_of(fd, head)
    return KINDS[name] if name is not None else None


def _name_of(fd: int, head: bytes) -> str | None:
    if head[:3] == b"\xff\xd8\xff" and head[3:4] != b"\xf7":  # F7: JPEG-LS
        return "JPEG"
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[4:8] in _BEFORE_THE_FIRST and _is_movie(fd):
        return "MOV"
    if head[:4] == b"IIU\0":
        return "RW2"
    if _is_transport_stream(head):
        return "M2TS"
    mime_type = _magic().from_buffer(head)
    if mime_type == "image/tiff":
        return kind_of_tiff(lambda offset, size: os.pread(fd, size, offset))
    return _BY_MAGIC.get(mime_type)


def _by_brand(head: bytes) -> str | None:
    box_end = min(int.from_bytes(head[:4], "big"), len(head))
    brand = head[8:12]
    compatible = [head[at : at + 4] for at in range(16, box_end - 3, 4)]
    if brand in _GENERIC_IMAGE_BRANDS:  # says "some image"; the compatible brands say which coding
        specific = next((b for b in compatible if b in _BY_BRAND and b not in _GENERIC_IMAGE_BRANDS), brand)
        return _BY_BRAND[specific]
    if brand in _NOT_PICTURES:
        return None
    if brand[:2] == b"3g":
        return "3GP"
    return _BY_BRAND.get(brand, "MP4")


def _is_movie(fd: int) -> bool:
    """Whether real atoms follow those that a QuickTime file may begin with."""
    offset = 0
    for _ in range(8):  # far more than any file has
        header = os.pread(fd, 8, offset)
        if header[4:] in (b"mdat", b"moov"):
            return True
        size = int.from_bytes(header[:4], "big")
        if header[4:] not in _BEFORE_THE_FIRST or size < 8:
            return False
        offset += size
    return False


def _is_transport_stream(head: bytes) -> bool:
    """ISO/IEC 13818-1: sync byte 0x47 every 188 bytes; every 192, after a time code, on Blu-ray and AVCHD."""
    for first, step in ((0, 188), (4, 192)):
        syncs = head[first::step][:8]
        if len(syncs) >= 4 and syncs == b"\x47" * len(syncs):
            return True
    return False


def _magic() -> magic.Magic:
    found: magic.Magic | None = getattr(_libmagic, "handle", None)
    if found is None:
        found = _libmagic.handle = magic.Magic(mime=True)
        found.flags |= _NO_CHECKS
        magic.magic_setflags(found.cookie, found.flags)
    return found
