"""An XMP sidecar (ISO 16684-1): a packet in a file of its own, where its reading equals ExifTool's."""

from __future__ import annotations

import os
import re

from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.window import MOST_XMP
from Src.Media.readers.xmp_reader import read_xmp
from Src.Media.tags import Answer, Tags
from Src.Shared.disk.files import NotARegularFile, OpenFile, reading

# What else begins with "<" may be another kind of file for ExifTool: SVG, PLIST, HTML.
_BEGINS = re.compile(
    rb"(?:<\?xml version=[\"']1\.0[\"'](?: encoding=[\"']UTF-8[\"'])?\?>\s*)?<(?:\?xpacket begin=|x:xmpmeta\b)"
)
_MOST_BEFORE = 256  # bytes, by which ExifTool knows XMP


def read_sidecar(sidecar: str | OpenFile) -> Answer:
    """What a sidecar says of its photo. Raises Unusual: ask ExifTool."""
    try:
        with reading(sidecar) as fd:
            packet = os.pread(fd, MOST_XMP + 1, 0)
    except (OSError, NotARegularFile) as error:
        raise Unusual("an XMP file that could not be opened") from error
    if len(packet) > MOST_XMP:
        raise Unusual("a very large XMP file")
    if _BEGINS.match(packet[:_MOST_BEFORE]) is None:
        raise Unusual("an XMP file of odd form")
    tags: Tags = {}
    try:
        read_xmp(packet, tags)
    except Unusual as unusual:
        raise Unusual(f"{unusual.reason} in an XMP file") from unusual
    if not any(name.startswith("XMP:") for name in tags):  # ExifTool may find others, which say that it is XMP at all
        raise Unusual("an XMP file that says little")
    return Answer(tags)
