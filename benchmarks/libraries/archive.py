"""What an old archive holds: photos of early cameras, scans, small films in AVI, MPEG and QuickTime."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime

from benchmarks.libraries import jpeg, pieces
from benchmarks.libraries.iso import boxed
from benchmarks.libraries.library import Group, Make, Template, appended, varied
from benchmarks.libraries.moments import TAKEN
from benchmarks.libraries.tiff import Elsewhere, long, rational, short, text, tiff
from benchmarks.photos import SAMPLES

_FILM_SIZE = 12_000_000
_QUICKTIME = datetime(2005, 8, 11, 16, 3, 54)  # 14:03:54 in UTC
_DATE = TAKEN.strftime("%Y:%m:%d %H:%M:%S")


def archive() -> Sequence[Template | Group]:
    """One cycle of it."""
    return [
        Template("100_#.JPG", _old("Kodak_CX7530.jpg", datetime(2005, 8, 13, 9, 47, 23)), 4),
        Template("DSCN#.JPG", _old("DSCN0010.jpg", datetime(2008, 10, 22, 16, 28, 39)), 4),
        Template("IMG_#.JPG", _old("Canon_40D.jpg", datetime(2008, 5, 30, 15, 56, 1)), 4),
        Template("DSC_#.JPG", _old("Nikon_D70.jpg", datetime(2008, 3, 15, 9, 52, 1)), 3),
        Template("holiday #.jpg", _old("PaintTool_sample.jpg", TAKEN), 1),
        Template("Scan_#.jpg", varied(_scan_as_jpeg()), 4),
        Template("Album %Y-%m-%d #.jpg", varied(pieces.jpeg(2480, 1748, 1_200_000)), 4),
        Template("Scan_#.tif", varied(_scan()), 4),
        Template("MVI_#.AVI", _avi("RIFF.avi", datetime(2003, 3, 10, 15, 4, 43)), 3),
        Template("IMGP#.AVI", _avi("Pentax.avi", datetime(2009, 10, 27, 12, 14, 0)), 2),
        Template("IMGP#.MOV", varied(boxed(SAMPLES / "QuickTime.mov", _FILM_SIZE), _QUICKTIME), 2),
        Template("MOV#.MPG", varied(_mpeg()), 3),
        Template("banner#.gif", appended((SAMPLES / "GIF.gif").read_bytes()), 1),
        Template("clip %Y-%m-%d #.mpg", varied(_mpeg()), 1),
    ]


def _old(sample: str, taken: datetime) -> Make:
    """An early camera's real header before a picture of its time."""
    photo = jpeg.with_header_of(SAMPLES / sample, pieces.jpeg(2592, 1944, 1_500_000))
    assert photo is not None, f"{sample} is broken"
    return varied(photo, taken)


def _avi(sample: str, taken: datetime) -> Make:
    """A film that was cut down to its metadata, with data in place of what was cut off."""
    content = bytearray(pieces.filled((SAMPLES / sample).read_bytes(), _FILM_SIZE, sample))
    struct.pack_into("<I", content, 4, len(content) - 8)
    pictures = content.find(b"movi")
    if pictures >= 0:
        struct.pack_into("<I", content, pictures - 4, len(content) - pictures)
    return varied(bytes(content), taken)


def _mpeg() -> bytes:
    return pieces.clip("mpg", "-c:v", "mpeg1video", "-b:v", "6M", "-c:a", "mp2", seconds=12, size="640x480")


def _scan() -> bytes:
    """A scanner's TIFF, which knows when it was scanned."""
    width, height = 2480, 1748
    rows = pieces.kept("scan 1", lambda: pieces.picture(width, height).tobytes())
    return tiff(
        "<",
        [
            (0x0100, long(width)),
            (0x0101, long(height)),
            (0x0102, short(8, 8, 8)),
            (0x0103, short(1)),
            (0x0106, short(2)),
            (0x010F, text("EPSON")),
            (0x0110, text("Perfection V600")),
            (0x0111, Elsewhere(lambda _: rows)),
            (0x0115, short(3)),
            (0x0116, long(height)),
            (0x0117, long(len(rows))),
            (0x011A, rational(300, 1)),
            (0x011B, rational(300, 1)),
            (0x0128, short(2)),
            (0x0131, text("EPSON Scan")),
            (0x0132, text(_DATE)),
        ],
    )


def _scan_as_jpeg() -> bytes:
    head = tiff(
        "<",
        [
            (0x010F, text("EPSON")),
            (0x0110, text("Perfection V600")),
            (0x011A, rational(300, 1)),
            (0x011B, rational(300, 1)),
            (0x0128, short(2)),
            (0x0131, text("EPSON Scan")),
            (0x0132, text(_DATE)),
        ],
    )
    return jpeg.joined(pieces.jpeg(2480, 1748, 1_200_000), jpeg.exif(head))
