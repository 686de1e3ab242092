"""What this machine cannot read of the kinds that are filed: what is missing here, and what to do."""

from __future__ import annotations

import re

from Src.Media.exiftool_program import exiftool_here

# What ExifTool reads only with a Perl module of its own (as its `-ver -v` names it), and since which version.
_BY_MODULE = (
    ("IO::Compress::Brotli", (12, 60), "dates and places that a JPEG XL holds compressed (Brotli)"),
    ("Compress::Zlib", (0, 0), "texts that a PNG holds compressed"),
)
_DEBIAN = {"IO::Compress::Brotli": "libio-compress-brotli-perl", "Compress::Zlib": "perl"}


def unread_here(*, trust_any_version: bool) -> list[str]:
    """One sentence for each; none where ExifTool is missing or refused: another line says that.

    Of pictures it says only what the decoders of this Python environment cannot do: in the stack they are in
    another container.
    """
    found: list[str] = []
    exiftool = exiftool_here(trust_any_version=trust_any_version)
    if exiftool.is_used and exiftool.version is not None:
        version = tuple(int(part) for part in re.findall(r"\d+", exiftool.version)[:2])
        for module, since, what in _BY_MODULE:
            if version < since:
                needed = ".".join(map(str, since))
                found.append(f"{what}: ExifTool {exiftool.version} is too old; install {needed} or newer")
            elif module in exiftool.missing_modules:
                found.append(f"{what}: install Perl's {module} (Debian: apt install {_DEBIAN[module]})")
    return [*found, *_undecoded()]


def _undecoded() -> list[str]:
    """Kinds of which no picture can be made, where pictures are made in this environment at all."""
    decoders = _heif_decoders()
    if decoders is None:
        return []
    found = []
    if "HEVC" not in decoders.upper():
        found.append("pictures of HEIC photos: this pillow-heif has no HEVC decoder; install its wheel from PyPI")
    if not _has_avif():
        found.append("pictures of AVIF photos: this Pillow has no AVIF decoder; install its wheel from PyPI")
    return found


# Both ask the libraries themselves: `pillow_heif` and `PIL.features` would load all of Pillow, a fifth of a status.


def _heif_decoders() -> str | None:
    """The names of the decoders; None: pictures are made elsewhere."""
    try:
        from _pillow_heif import get_lib_info  # type: ignore[import-not-found]
    except ImportError:
        return None
    return " ".join(map(str, get_lib_info().get("decoders", {}).values()))


def _has_avif() -> bool:
    try:
        import PIL._avif  # noqa: F401
    except ImportError:
        return False
    return True
