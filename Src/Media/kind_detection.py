"""Which kind of photo or video is it, by content and never by the name's ending.

libmagic (the library behind `file`) answers for some kinds. The others are settled here: raw photos that are TIFF
inside, ISO media files by their brand, what its tracks make a film or a sound, and streams without any header.
"""

from __future__ import annotations

import os
import threading

import pylibmagic  # noqa: F401  puts its bundled libmagic where `magic` finds it
import magic

from Src.Media import isobmff, matroska, streams
from Src.Media.kinds import KINDS, Kind
from Src.Media.tiff_family import kind_of_panasonic, kind_of_tiff

HEAD_SIZE = 16 * 1024

_BY_MAGIC = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/jxl": "JXL",
    "image/x-canon-cr2": "CR2",
    "image/x-fuji-raf": "RAF",
    "image/x-olympus-orf": "ORF",
    "video/x-msvideo": "AVI",
}

# Brands of ISO/IEC 14496-12 (mp4ra.org). Any other brand is a video for all we know: MP4.
_BY_BRAND = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIC"),
    # Pictures in HEIF whose coding has no name of its own: AVC, JPEG, JPEG 2000, VVC, EVC, none at all.
    **dict.fromkeys(
        (b"avci", b"avcs", b"jpeg", b"jpgs", b"j2ki", b"j2is", b"vvic", b"vvis", b"evbi", b"evbs", b"evmi", b"evms"),
        "HEIF",
    ),
    **dict.fromkeys((b"unif", b"1pic"), "HEIF"),
    **dict.fromkeys((b"avif", b"avis", b"avio"), "AVIF"),
    b"crx ": "CR3",
    b"qt  ": "MOV",
    **dict.fromkeys((b"M4V ", b"M4VH", b"M4VP"), "M4V"),
    b"jxl ": "JXL",
}
_NOT_PICTURES = (b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ", b"aax ", b"aaxc", b"mjp2")
_JPEG_2000 = {b"jp2 ": "JP2", b"jpx ": "JPX", b"jph ": "JP2", b"jpm ": "JPM"}
# Atoms that QuickTime files may begin with: padding, room for a 64-bit size, a preview and its picture.
_BEFORE_THE_FIRST = (b"wide", b"free", b"skip", b"pnot", b"PICT", b"udta", b"uuid")
_GENERIC_IMAGE_BRANDS = (b"mif1", b"msf1", b"mif2", b"mif3", b"miaf")
_MOST_BRANDS = 4096  # bytes of the box of brands; longer ones are text that looks like it

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
        return _film(fd, _by_brand(head))
    if head[4:8] in (b"moov", b"mdat") or head[4:8] in _BEFORE_THE_FIRST:
        return _film(fd, "MOV") if _is_movie(fd) else None
    if head[:4] == b"IIU\0":
        return kind_of_panasonic(lambda offset, size: os.pread(fd, size, offset))
    if head[:4] == b"\x1aE\xdf\xa3":
        kind = {"matroska": "MKV", "webm": "WEBM"}.get(matroska.doc_type(fd) or "")
        return None if kind is None or matroska.has_only_sound(fd) else kind
    if head[:12] in (b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x0cjP\x1a\x1a\r\n\x87\n"):
        return _JPEG_2000.get(head[20:24])
    if _is_transport_stream(head):
        return "M2TS"
    by_signature = streams.kind_by_signature(head)
    if by_signature is not None:
        return by_signature
    mime_type = _magic().from_buffer(head)
    if mime_type == "image/tiff":
        return kind_of_tiff(lambda offset, size: os.pread(fd, size, offset))
    return _BY_MAGIC.get(mime_type)


def _film(fd: int, kind: str | None) -> str | None:
    """The kind, but for a film that has nothing to look at."""
    if kind is not None and KINDS[kind].is_video and isobmff.has_only_sound(fd):
        return None
    return kind


def _by_brand(head: bytes) -> str | None:
    size = int.from_bytes(head[:4], "big")
    if not 12 <= size <= _MOST_BRANDS:
        return None
    brand = head[8:12]
    # (`mif3` has its coding where other brands have their version)
    others = [head[at : at + 4] for at in range(12, min(size, len(head)) - 3, 4)]
    if brand in _GENERIC_IMAGE_BRANDS:  # says "some image"; the others say which coding
        return next((_BY_BRAND[other] for other in others if other in _BY_BRAND), "HEIF")
    if brand in _NOT_PICTURES:
        return None
    if brand[:2] == b"3g":
        return "3GP"
    return _BY_BRAND.get(brand, "MP4")


def _is_movie(fd: int) -> bool:
    """Whether there are real atoms, the first of them or behind those that a QuickTime file may begin with."""
    end = os.fstat(fd).st_size
    offset = 0
    for _ in range(8):  # far more than any file has
        header = os.pread(fd, 8, offset)
        size = int.from_bytes(header[:4], "big")
        if header[4:] in (b"mdat", b"moov"):
            # A cut film states more than there is; a text ("the moov…") states it in letters.
            return offset + size <= end or not isobmff.is_text(header[:4])
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
