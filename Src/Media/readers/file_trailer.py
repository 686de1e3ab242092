"""What programs and cameras append to a file: trailers that ExifTool reads tags from."""

from __future__ import annotations

import os
import re

from Src.Media.readers.fast_answer import Unusual

# Known by the last 64 bytes (ExifTool's IdentifyTrailer).
_LOOKED_AT = 64
_TRAILERS = {
    "AFCP": rb"AXS[!*]",
    "FotoStation": rb"\xa1\xb2\xc3\xd4\Z",
    "PhotoMechanic": rb"cbipcbbl",
    "CanonVRD": rb"CANON OPTIONAL DATA",
    "MIE": rb"zmie",
    "QDIO": rb"QDIOBS",
    "SEFT": rb"SEFT",
    "NikonApp": rb"NIKON APP",
    "Insta360": rb"8db42d694ccc418790edff439fe026bf",
}
_ANY = re.compile(b"|".join(_TRAILERS.values()))


def check_no_trailer(fd: int, end: int) -> None:
    """Raises Unusual where one stands before `end`, a place in the file."""
    start = max(0, end - _LOOKED_AT)
    tail = os.pread(fd, end - start, start)
    if _ANY.search(tail):
        raise Unusual(f"trailer {next(name for name, sign in _TRAILERS.items() if re.search(sign, tail))}")
