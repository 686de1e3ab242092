"""What comes from cameras of six makers: raw photos and their JPEGs, with maker notes; some have sidecars.

Canon's, Nikon's, Fujifilm's and Panasonic's headers are real ones, of the tests' samples. Sony's and Olympus' are
written here, as their cameras write them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from benchmarks.libraries import exif, jpeg, pieces
from benchmarks.libraries.exif import Device
from benchmarks.libraries.iso import boxed
from benchmarks.libraries.library import Group, Make, Template, varied
from benchmarks.libraries.moments import dated
from benchmarks.libraries.tiff import (
    Elsewhere,
    Ifd,
    long,
    notes,
    placed_directory,
    rational,
    raw_bytes,
    short,
    signed,
    text,
    tiff,
    undefined,
)
from benchmarks.photos import SAMPLES

_RAW_SIZE = 14_000_000
_JPEG_SIZE = 5_000_000
_SONY = Device("SONY", "ILCE-7M3", "ILCE-7M3 v3.10", 6000, 4000)
_OLYMPUS = Device("OLYMPUS CORPORATION", "E-M1MarkII", "Version 3.4", 5184, 3888)


def camera() -> Sequence[Template | Group]:
    """One cycle of it."""
    canon, nikon = datetime(2018, 2, 21, 12, 8, 56), datetime(2004, 6, 9, 16, 2, 35)
    fuji, panasonic = datetime(2007, 5, 22, 13, 58, 30), datetime(2008, 8, 6, 15, 21, 56)
    return [
        *_pairs("IMG_#", "CR3", _canon_raw(canon), _copied("CanonRaw.cr3", canon)),
        *_pairs("DSC_#", "NEF", _raw("Nikon.nef", nikon), _copied("Nikon.nef", nikon)),
        *_pairs("DSCF#", "RAF", _raw("FujiFilm.raf", fuji), _copied("FujiFilm.raf", fuji)),
        *_pairs("P#", "RW2", _raw("Panasonic.rw2", panasonic), _copied("Panasonic.rw2", panasonic)),
        *_pairs("_DSC#", "ARW", varied(_sony_raw()), varied(_sony_photo())),
        *_pairs("_M#", "ORF", varied(_olympus_raw()), varied(_olympus_photo())),
    ]


def _pairs(name: str, raw_ending: str, raw: Make, photo: Make) -> list[Template | Group]:
    """Raw photos with their JPEGs, one of them developed; and a JPEG alone."""
    both = [Template(f"{name}.{raw_ending}", raw), Template(f"{name}.JPG", photo)]
    return [
        Group(both, 2),
        Group([*both, Template(f"{name}.xmp", lambda number, when: dated(_SIDECAR % number, when))]),
        Template(f"{name}.JPG", photo),
    ]


_SIDECAR = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000">\n'
    b' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    b'  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    b' xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"\n'
    b'   xmp:Rating="4" xmp:MetadataDate="2021-07-14T15:09:26" crs:Version="13.3" crs:Exposure2012="+0.35"'
    b' xmpMM:DocumentID="xmp.did:%08d"/>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>\n'
)


def _canon_raw(taken: datetime) -> Make:
    return varied(boxed(SAMPLES / "CanonRaw.cr3", _RAW_SIZE), taken)


def _raw(sample: str, taken: datetime) -> Make:
    """A raw photo that was cut down to its metadata, with data in place of what was cut off."""
    return varied(pieces.filled((SAMPLES / sample).read_bytes(), _RAW_SIZE, sample), taken)


def _copied(sample: str, taken: datetime) -> Make:
    """The camera's JPEG: what its raw photo says."""
    # (TIFF/EP has the date in the first directory, too; Exif has not)
    photo = pieces.with_tags_of(SAMPLES / sample, pieces.jpeg(5472, 3648, _JPEG_SIZE), "--IFD0:DateTimeOriginal")
    return varied(photo, taken)


def _sony_notes(at: int) -> bytes:
    """Offsets count from the start of the file; what is undefined is scrambled there."""
    return placed_directory(
        "<",
        at,
        b"SONY DSC \0\0\0",
        [
            (0x0102, long(2)),
            (0x0104, signed(0, 10)),
            (0x0105, long(0)),
            (0x0112, long(0)),
            (0x0115, long(0)),
            (0x2010, undefined(pieces.noise(10_000, "sony 2010")[:10_000])),
            (0x201B, raw_bytes(b"\0")),
            (0x9050, undefined(pieces.noise(4000, "sony 9050")[:4000])),
            (0x9400, undefined(pieces.noise(1000, "sony 9400")[:1000])),
            (0x9402, undefined(pieces.noise(1000, "sony 9402")[:1000])),
            (0x9403, undefined(pieces.noise(1000, "sony 9403")[:1000])),
            (0xB000, raw_bytes(b"\0\0\2\0")),
            (0xB001, short(362)),
            (0xB020, text("Standard")),
            (0xB026, long(1)),
            (0xB027, long(65535)),
            (0xB041, short(15)),
        ],
    )


def _olympus_notes(_at: int) -> bytes:
    """Offsets count from the start of the notes."""
    version = (0, undefined(b"0100"))
    equipment = [version, (0x100, text("S0046")), (0x101, text("BHP225847")), (0x203, text("M.12-40mm"))]
    settings = [version, (0x100, long(1)), (0x301, short(2)), (0x500, short(0)), (0x603, short(1))]
    return placed_directory(
        "<", 0, b"OLYMPUS\0II\3\0", [(0x2010, equipment), (0x2020, settings), (0x0207, text("E-M1MarkII"))]
    )


def _sony_raw() -> bytes:
    """Preview in the first directory, the raw data below it."""
    raw: Ifd = [
        (0x00FE, long(0)),
        (0x0100, short(_SONY.width + 48)),
        (0x0101, short(_SONY.height + 24)),
        (0x0102, short(14)),
        (0x0103, short(32767)),
        (0x0106, short(32803)),
        (0x0111, Elsewhere(lambda _: pieces.noise(_RAW_SIZE, "sony")[:_RAW_SIZE])),
        (0x0115, short(1)),
        (0x0116, short(_SONY.height + 24)),
        (0x0117, long(_RAW_SIZE)),
        (0x828D, short(2, 2)),
        (0x828E, raw_bytes(b"\0\1\1\2")),
    ]
    preview = pieces.jpeg(1616, 1080, 400_000)
    photo = [*exif.photo_ifd(_SONY, offsets=False), notes(_sony_notes)]
    first = [
        *exif.camera_ifd(_SONY),
        (0x00FE, long(1)),
        (0x0103, short(6)),
        (0x0201, Elsewhere(lambda _: preview)),
        (0x0202, long(len(preview))),
        (0x8769, photo),
        (0x014A, raw),
    ]
    return tiff("<", first, exif.thumbnail_ifd())


def _sony_photo() -> bytes:
    photo = [*exif.photo_ifd(_SONY), notes(_sony_notes), (0xA432, rational(24, 1, 70, 1, 4, 1, 4, 1))]
    head = jpeg.exif(exif.whole(_SONY, photo, None))
    picture = pieces.jpeg(5472, 3648, _JPEG_SIZE)
    preview = pieces.jpeg(1616, 1080, 400_000)
    size = len(jpeg.joined(picture, head, jpeg.multi_picture(0, 0)))
    return jpeg.joined(picture, head, jpeg.multi_picture(size, len(preview)), trailer=preview)


def _olympus_raw() -> bytes:
    photo = [*exif.photo_ifd(_OLYMPUS, offsets=False), notes(_olympus_notes)]
    first = [
        *exif.camera_ifd(_OLYMPUS),
        (0x0100, long(_OLYMPUS.width)),
        (0x0101, long(_OLYMPUS.height)),
        (0x0102, short(16)),
        (0x0103, short(1)),
        (0x0106, short(1)),
        (0x010E, text("OLYMPUS DIGITAL CAMERA")),
        (0x0111, Elsewhere(lambda _: pieces.noise(_RAW_SIZE, "olympus")[:_RAW_SIZE])),
        (0x0115, short(1)),
        (0x0116, long(_OLYMPUS.height)),
        (0x0117, long(_RAW_SIZE)),
        (0x8769, photo),
    ]
    return tiff("<", first, magic=b"IIRO")


def _olympus_photo() -> bytes:
    photo = [*exif.photo_ifd(_OLYMPUS, offsets=False), notes(_olympus_notes), (0x9286, undefined(bytes(125)))]
    head = jpeg.exif(exif.whole(_OLYMPUS, photo, None))
    return jpeg.joined(pieces.jpeg(5472, 3648, _JPEG_SIZE), head)
