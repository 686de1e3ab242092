"""The kinds of photo and video that are filed: one row each, and everybody who must tell kinds apart reads it here."""

from __future__ import annotations

from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A kind of media."""

    name: str
    """As ExifTool's FileType gives it (H264 and HEVC, raw streams, it does not know)."""
    mime_type: str
    """As ExifTool gives it."""
    is_raw: bool = False
    """A raw photo: shown by the preview it carries."""
    is_video: bool = False
    moves: bool = False
    """It has a duration. (A CR3 or a HEIC has one only because its container is made for films.)"""
    turns_by_container: bool = False
    """Its container says how it is turned; an EXIF Orientation in it does not count."""
    pillow: tuple[str, ...] = ()
    """The readers of Pillow that may open it."""
    av: str | None = None
    """The demuxer of FFmpeg that may open it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _kind_named, (self.name,)  # between processes only its name travels

    @property
    def is_shown(self) -> bool:
        """Whether a picture can be made of it at all."""
        return self.is_raw or bool(self.pillow) or self.av is not None


def _kind_named(name: str) -> Kind:
    return KINDS[name]


def _photo(name: str, mime_type: str, *pillow: str, moves: bool = False, turns: bool = False) -> Kind:
    return Kind(name, mime_type, moves=moves, turns_by_container=turns, pillow=pillow)


def _raw(name: str, mime_type: str) -> Kind:
    return Kind(name, mime_type, is_raw=True)


def _video(name: str, mime_type: str, av: str | None, *, turns: bool = False) -> Kind:
    return Kind(name, mime_type, is_video=True, moves=True, turns_by_container=turns, av=av)


_ROWS = (
    _photo("JPEG", "image/jpeg", "JPEG", "MPO"),
    _photo("HEIC", "image/heic", "HEIF", turns=True),
    _photo("HEIF", "image/heif", "HEIF", turns=True),
    _photo("AVIF", "image/avif", "AVIF", turns=True),
    _photo("PNG", "image/png", "PNG"),
    _photo("GIF", "image/gif", "GIF", moves=True),
    _photo("WEBP", "image/webp", "WEBP", moves=True),
    _photo("TIFF", "image/tiff", "TIFF"),
    _photo("JXL", "image/jxl"),
    _photo("BMP", "image/bmp", "BMP"),
    _photo("JP2", "image/jp2", "JPEG2000"),
    _photo("JPX", "image/jpx", "JPEG2000"),
    _photo("JPM", "image/jpm"),
    _photo("J2C", "image/x-j2c", "JPEG2000"),
    _photo("PSD", "application/vnd.adobe.photoshop", "PSD"),
    _photo("PSB", "application/vnd.adobe.photoshop"),
    _raw("DNG", "image/x-adobe-dng"),
    _raw("GPR", "image/x-gopro-gpr"),
    _raw("CR2", "image/x-canon-cr2"),
    _raw("CR3", "image/x-canon-cr3"),
    _raw("CRW", "image/x-canon-crw"),
    _raw("NEF", "image/x-nikon-nef"),
    _raw("NRW", "image/x-nikon-nrw"),
    _raw("ARW", "image/x-sony-arw"),
    _raw("SR2", "image/x-sony-sr2"),
    _raw("SRF", "image/x-sony-srf"),
    _raw("RAF", "image/x-fujifilm-raf"),
    _raw("ORF", "image/x-olympus-orf"),
    _raw("RW2", "image/x-panasonic-rw2"),
    _raw("RWL", "image/x-leica-rwl"),
    _raw("PEF", "image/x-pentax-pef"),
    _raw("SRW", "image/x-samsung-srw"),
    _raw("MRW", "image/x-minolta-mrw"),
    _raw("X3F", "image/x-sigma-x3f"),
    _raw("3FR", "image/x-hasselblad-3fr"),
    _raw("ERF", "image/x-epson-erf"),
    _raw("MEF", "image/x-mamiya-mef"),
    _raw("MOS", "image/x-raw"),
    _raw("IIQ", "image/x-raw"),
    _raw("KDC", "image/x-kodak-kdc"),
    _raw("DCR", "image/x-kodak-dcr"),
    _video("MP4", "video/mp4", "mov", turns=True),
    _video("MOV", "video/quicktime", "mov", turns=True),
    _video("M4V", "video/x-m4v", "mov", turns=True),
    _video("3GP", "video/3gpp", "mov", turns=True),
    _video("AVI", "video/x-msvideo", "avi"),
    _video("M2TS", "video/m2ts", "mpegts"),
    _video("MKV", "video/x-matroska", "matroska"),
    _video("WEBM", "video/webm", "matroska"),
    _video("MPEG", "video/mpeg", "mpeg"),
    _video("WMV", "video/x-ms-wmv", "asf"),
    _video("FLV", "video/x-flv", "flv"),
    _video("OGV", "video/ogg", "ogg"),
    _video("MXF", "application/mxf", "mxf"),
    _video("RM", "application/vnd.rn-realmedia", "rm"),
    _video("DV", "video/x-dv", "dv"),
    _video("H264", "video/h264", "h264"),
    _video("HEVC", "video/h265", "hevc"),
    _video("R3D", "video/x-red-r3d", None),
)
KINDS = {kind.name: kind for kind in _ROWS}
