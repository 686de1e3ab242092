"""What is on an Android phone: a Samsung's photos, a Pixel's photos and motion photos, films, screenshots, WhatsApp."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime

from benchmarks.libraries import exif, jpeg, pieces
from benchmarks.libraries.exif import Device
from benchmarks.libraries.iso import box, film, full_box, international, keys
from benchmarks.libraries.library import Group, Template, appended, varied
from benchmarks.libraries.png import screenshot
from benchmarks.libraries.tiff import long, notes, placed_directory, rational, short, text, undefined

_GALAXY = Device("samsung", "SM-G991B", "G991BXXU3AUE8", 4000, 3000)
_PIXEL = Device("Google", "Pixel 5", "HDR+ 1.0.377340841zd", 4032, 3024)
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
_MILLISECONDS = "1626268166527"  # of TAKEN, since 1970 in UTC


def android() -> Sequence[Template | Group]:
    """One cycle of it."""
    return [
        Template("%Y%m%d_%H%M%S.jpg", varied(_galaxy_photo()), 12),
        Template("%Y%m%d_%H%M%S(0).jpg", varied(_galaxy_photo(motion=True)), 2),
        Template("PXL_%Y%m%d_%H%M%S527.jpg", varied(_pixel_photo()), 4),
        Template("PXL_%Y%m%d_%H%M%S527.MP.jpg", varied(_pixel_photo(motion=True)), 6),
        Template("IMG-%Y%m%d-WA#.jpg", varied(pieces.jpeg(1600, 1200, 180_000, progressive=True)), 8),
        Template("Screenshot_%Y%m%d-%H%M%S.png", _screenshot, 4),
        Template("%Y%m%d_%H%M%S.mp4", varied(_galaxy_film()), 2),
        Template("PXL_%Y%m%d_%H%M%S527.TS.mp4", varied(_pixel_film()), 1),
        Template("VID-%Y%m%d-WA#.mp4", appended(_sent_film()), 1),
    ]


def _galaxy_photo(*, motion: bool = False) -> bytes:
    """Exif, then picture data, then Samsung's trailer of named blocks."""
    photo = [
        *exif.photo_ifd(_GALAXY, fraction="0527"),
        (0xA420, text("TCAKDPE00AM")),
        notes(lambda at: placed_directory("<", at, b"", _GALAXY_NOTES)),
        (0x9286, undefined(b"ASCII\0\0\0" + bytes(5000))),
    ]
    head = jpeg.exif(exif.whole(_GALAXY, photo, exif.place_ifd(), orientation=6))
    blocks = [(0x0A01, b"Image_UTC_Data", _MILLISECONDS.encode()), (0x0AA1, b"MCC_Data", b"262")]
    if motion:
        clip = film(_clip(2), 1_800_000, b"mp42\0\0\0\0isommp42")
        blocks = [(0x0A30, b"MotionPhoto_Data", clip), *blocks]
    return jpeg.joined(pieces.jpeg(4000, 3000, 3_400_000), head, trailer=_samsung_trailer(blocks))


_GALAXY_NOTES = [
    (0x0001, undefined(b"0100")),
    (0x0002, long(0x2000)),
    (0x000C, long(0)),
    (0x0010, long(0)),
    (0x0040, long(0)),
    (0x0050, long(1)),
    (0x0100, short(0)),
]


def _samsung_trailer(blocks: Sequence[tuple[int, bytes, bytes]]) -> bytes:
    """Blocks of a type, a name and data, and after them where each begins, counted back from that list."""
    data = b""
    starts = []
    for kind, name, content in blocks:
        starts.append((kind, len(data), 8 + len(name) + len(content)))
        data += struct.pack("<HHI", 0, kind, len(name)) + name + content
    entries = b"".join(struct.pack("<HHII", 0, kind, len(data) - at, size) for kind, at, size in starts)
    directory = b"SEFH" + struct.pack("<II", 107, len(blocks)) + entries
    return data + directory + struct.pack("<I", len(directory)) + b"SEFT"


def _pixel_photo(*, motion: bool = False) -> bytes:
    """Exif, XMP of two segments, colour profile; behind the picture a map of its brightness, and the film."""
    photo = [
        *exif.photo_ifd(_PIXEL),
        (0xA433, text("Google")),
        (0xA434, text("Pixel 5 back camera 4.38mm f/1.73")),
        (0xA460, short(3)),
    ]
    place = exif.place_ifd(*exif.gps_time(), (0x10, text("M")), (0x11, rational(184, 1)), (0x1B, _METHOD))
    clip = film(_clip(2), 2_000_000, b"mp42\0\0\0\0isommp42") if motion else b""
    gain = jpeg.joined(pieces.jpeg(1008, 756, 60_000), jpeg.xmp(_GAIN_MAP))
    head = b"".join(
        (
            jpeg.exif(exif.whole(_PIXEL, photo, place)),
            jpeg.xmp(_pixel_xmp(len(clip), len(gain))),
            jpeg.more_xmp(_HDR_PLUS),
            jpeg.profile(),
        )
    )
    picture = pieces.jpeg(4032, 3024, 3_200_000)
    size = len(jpeg.joined(picture, head, jpeg.multi_picture(0, 0)))
    return jpeg.joined(picture, head, jpeg.multi_picture(size, len(gain)), trailer=gain + clip)


_METHOD = undefined(b"ASCII\0\0\0fused")
_GAIN_MAP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 5.1.2"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" hdrgm:GainMapMax="2.8"/>'
    "</rdf:RDF></x:xmpmeta>"
)
_HDR_PLUS = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
    f'GCamera:HdrPlusMakernote="{"SERSUAKy" * 5000}"/></rdf:RDF></x:xmpmeta>'
).encode()


def _pixel_xmp(film_size: int, map_size: int) -> str:
    motion = (
        ' GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" GCamera:MotionPhotoPresentationTimestampUs="968644"'
        if film_size
        else ""
    )
    items = [("Primary", "image/jpeg", 0), ("GainMap", "image/jpeg", map_size)]
    if film_size:
        items.append(("MotionPhoto", "video/mp4", film_size))
    listed = "".join(
        '<rdf:li rdf:parseType="Resource"><Container:Item '
        f'Item:Mime="{mime}" Item:Semantic="{what}" Item:Length="{size}" Item:Padding="0"/></rdf:li>'
        for what, mime, size in items
    )
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 5.1.0-jc003"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
        'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
        'xmlns:Item="http://ns.google.com/photos/1.0/container/item/" '
        'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" '
        f'xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF"{motion}>'
        f"<Container:Directory><rdf:Seq>{listed}</rdf:Seq></Container:Directory>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def _clip(seconds: int) -> bytes:
    return pieces.clip("mp4", *_X264, seconds=seconds)


def _galaxy_film() -> bytes:
    place = international("©xyz", "+52.5164+013.3777/")
    made = box("smta", full_box("mdln", 0, 0, b"SM-G991B"))
    details = keys({"com.android.version": "11", "com.android.capture.fps": 30})
    return film(_clip(15), 30_000_000, b"mp42\0\0\0\0isommp42", box("udta", made, place), details)


def _pixel_film() -> bytes:
    place = international("©xyz", "+52.5164+013.3777/")
    details = keys({"com.android.manufacturer": "Google", "com.android.model": "Pixel 5", "com.android.version": "11"})
    return film(_clip(15), 25_000_000, b"isom\0\2\0\0isomiso2mp41", box("udta", place), details)


def _sent_film() -> bytes:
    """As WhatsApp sends it: no dates, no place, and the list of its parts first."""
    return pieces.clip("mp4", *_X264, "-movflags", "+faststart", seconds=10, size="848x480")


def _screenshot(number: int, _when: datetime) -> bytes:
    """No date but that of its name."""
    return screenshot(1080, 2340, number, (b"sBIT", b"\x08\x08\x08"))
