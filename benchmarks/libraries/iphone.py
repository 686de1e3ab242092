"""What is on an iPhone: photos in HEIC, most of them live with their films, edited ones, screenshots, films."""

from __future__ import annotations

import plistlib
from collections.abc import Sequence
from datetime import datetime

from benchmarks.libraries import exif, jpeg, pieces
from benchmarks.libraries.exif import Device
from benchmarks.libraries.iso import film, heic, keys
from benchmarks.libraries.library import Group, Make, Template, varied
from benchmarks.libraries.moments import OFFSET, TAKEN, dated
from benchmarks.libraries.png import screenshot
from benchmarks.libraries.tiff import (
    long,
    notes,
    placed_directory,
    rational,
    short,
    signed,
    text,
    tiff,
    undefined,
)

_PHONE = Device("Apple", "iPhone 12", "14.6", 4032, 3024, ">")
_HEIC = b"heic\0\0\0\0mif1MiHBMiHEMiPrmiafheictmap"
_QUICKTIME = b"qt  \0\0\0\0qt  "
_FILM = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
_PAIR = "8C4A3A3E-6E0F-4C2C-9B1E-{:012d}"  # what a live photo and its film have in common


def iphone() -> Sequence[Template | Group]:
    """One cycle of it."""
    photo = varied(_photo(live=False))
    live = [Template("IMG_#.HEIC", _paired(_photo(live=True))), Template("IMG_#.MOV", _paired(_live_film()))]
    edited = [
        Template("IMG_#.HEIC", photo),
        Template("IMG_#.AAE", lambda _, when: dated(_adjustments(), when)),
        Template("IMG_E#.JPG", varied(_compatible(edited=True))),
    ]
    return [
        Group(live, 10),
        Template("IMG_#.HEIC", photo, 6),
        Group(edited, 2),
        Template("IMG_#.JPG", varied(_compatible()), 2),
        Template("IMG_#.PNG", _screenshot, 3),
        Template("IMG_#.MOV", varied(_film()), 3),
    ]


def _paired(content: bytes) -> Make:
    """Both files of one number get the same content identifier."""

    def make(number: int, when: datetime) -> bytes:
        other = content.replace(_PAIR.format(0).encode(), _PAIR.format(number).encode())
        return varied(other)(number, when)

    return make


def _exif(*, live: bool) -> bytes:
    photo = [
        *exif.photo_ifd(_PHONE),
        notes(lambda _: placed_directory(">", 0, b"Apple iOS\0\0\1MM", _notes(live=live))),
        (0x9214, short(2009, 1503, 2208, 1387)),
        (0xA432, rational(807365, 524263, 17, 4, 8, 5, 12, 5)),
        (0xA433, text("Apple")),
        (0xA434, text("iPhone 12 back dual wide camera 4.25mm f/1.6")),
        (0xA460, short(2)),
    ]
    place = exif.place_ifd(
        *exif.gps_time(),
        (0x0C, text("K")),
        (0x0D, rational(0, 1)),
        (0x10, text("T")),
        (0x11, rational(1134, 10)),
        (0x17, text("T")),
        (0x18, rational(1134, 10)),
        (0x1F, rational(479, 100)),
    )
    return exif.whole(_PHONE, photo, place, orientation=6, thumbnail=False)


def _notes(*, live: bool) -> exif.Entries:
    clock = plistlib.dumps({"flags": 1, "value": 74938, "timescale": 10**9, "epoch": 0}, fmt=plistlib.FMT_BINARY)
    entries: exif.Entries = [
        (0x0001, long(14)),
        (0x0002, undefined(bytes(512))),
        (0x0003, undefined(clock)),
        (0x0004, long(1)),
        (0x0005, long(180)),
        (0x0006, long(187)),
        (0x0007, long(1)),
        (0x0008, signed(-31, 1000, -975, 1000, -201, 1000)),
        (0x000C, signed(85, 256, 11, 256)),
        (0x000D, long(24)),
        (0x000E, long(4)),
        (0x0010, long(1)),
        (0x0014, long(12)),
        (0x0017, long(4595185)),
        (0x0019, long(8194)),
        (0x001A, text("q750n")),
        (0x001F, long(0)),
        (0x0020, text("E1C2A0B6-93D8-4C31-A8C0-5C2E7B4B3A55")),
        (0x0021, signed(1009, 1000)),
        (0x0023, long(0, 268435564)),
        (0x0025, long(14531)),
        (0x0026, long(3)),
        (0x0027, signed(4311, 100)),
        (0x002B, text("F2B8B7B7-70E7-4CFF-8E5B-0B9C1D0E63D1")),
        (0x002D, long(5512)),
        (0x002E, long(1)),
        (0x002F, long(47)),
    ]
    if live:
        entries.append((0x0011, text(_PAIR.format(0))))
    return entries


def _photo(*, live: bool) -> bytes:
    return heic(_PHONE.width, _PHONE.height, _exif(live=live), 1_900_000, brand=_HEIC, turned=3)


def _keys(**more: str) -> bytes:
    """What an iPhone's film says of itself."""
    said = {
        **more,
        "make": "Apple",
        "model": "iPhone 12",
        "software": "14.6",
        "creationdate": TAKEN.strftime("%Y-%m-%dT%H:%M:%S") + OFFSET.replace(":", ""),
        "location.ISO6709": "+52.5164+013.3777+034.500/",
        "location.accuracy.horizontal": "4.79",
    }
    return keys({f"com.apple.quicktime.{name}": value for name, value in said.items()})


def _live_film() -> bytes:
    clip = pieces.clip("mov", *_FILM, seconds=3, size="1440x1080")
    return film(clip, 2_600_000, _QUICKTIME, _keys(**{"content.identifier": _PAIR.format(0)}))


def _film() -> bytes:
    return film(pieces.clip("mov", *_FILM, seconds=15), 30_000_000, _QUICKTIME, _keys())


def _compatible(*, edited: bool = False) -> bytes:
    """A JPEG of the camera app, or what the photos app makes of an edited photo: XMP beside its Exif."""
    head = [jpeg.exif(_exif(live=False))]
    if edited:
        head.append(jpeg.xmp(_XMP))
    return jpeg.joined(pieces.jpeg(4032, 3024, 2_600_000), *head, jpeg.profile())


_DATE = TAKEN.strftime("%Y-%m-%dT%H:%M:%S")
_EXIF_DATE = TAKEN.strftime("%Y:%m:%d %H:%M:%S")
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6.0.0"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
    f'xmp:CreateDate="{_DATE}" xmp:ModifyDate="{_DATE}" xmp:CreatorTool="14.6" '
    f'photoshop:DateCreated="{_DATE}"/></rdf:RDF></x:xmpmeta>'
)
_XMP_OF_SCREENSHOT = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6.0.0"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/">'
    f"<photoshop:DateCreated>{_DATE}</photoshop:DateCreated>"
    '<exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">Screenshot</rdf:li></rdf:Alt></exif:UserComment>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def _screenshot(number: int, when: datetime) -> bytes:
    """Exif and XMP stand before its rows."""
    photo = [(0x9003, text(_EXIF_DATE)), (0x9286, undefined(b"ASCII\0\0\0Screenshot")), (0xA002, long(1170))]
    data = dated(tiff(">", [(0x0112, short(1)), (0x8769, photo)]), when)
    packet = b"XML:com.adobe.xmp\0\0\0\0\0" + dated(_XMP_OF_SCREENSHOT.encode(), when)
    return screenshot(1170, 2532, number, (b"sRGB", b"\0"), (b"eXIf", data), (b"iTXt", packet), piece=16384)


def _adjustments() -> bytes:
    """What was changed, as the photos app writes it."""
    return plistlib.dumps(
        {
            "adjustmentBaseVersion": 0,
            "adjustmentData": bytes(range(256)),
            "adjustmentEditorBundleID": "com.apple.mobileslideshow",
            "adjustmentFormatIdentifier": "com.apple.photo",
            "adjustmentFormatVersion": "1.5",
            "adjustmentTimestamp": TAKEN,
        }
    )
