"""Which shot a file is of: what it shares with the other files of one Live Photo or one burst, and a film in it."""

from __future__ import annotations

import re
from typing import NamedTuple

from Src.Media.tags import Tags

_ID = re.compile(r"[0-9A-Za-z-]{8,64}")
# Google's camera and Sony's phones: IMG_20190203_102530_BURST1.jpg says too little, but
# 00001IMG_00001_BURST20190203102530123.jpg and DSC_0001_BURST20190203102530123_COVER.JPG the moment in milliseconds.
_BURST_IN_NAME = re.compile(r"_BURST(\d{17})(?:_COVER)?(?:\(\d{1,4}\))?\.\w+\Z", re.ASCII)
# PXL_20210101_120000123.BURST-01.COVER.jpg
_PIXELS_BURST = re.compile(r"(PXL_\d{8}_\d{9})\.BURST-\d\d(?:\.COVER)?(?:\(\d{1,4}\))?\.\w+\Z", re.ASCII)
_SAMSUNGS_FILM = "MotionPhoto_Data"


class Shot(NamedTuple):
    """None: the file does not say."""

    content_id: str | None = None
    """Apple's content identifier: a Live Photo and its film have the same."""
    burst_id: str | None = None
    """The same for all photos of one burst."""
    is_motion_photo: bool = False
    """A photo with a short film in the same file."""


NO_SHOT = Shot()


def shot_of(tags: Tags, name: str) -> Shot:
    """Of a file of that name."""
    content_id = next((id_ for key in _CONTENT_IDS if (id_ := _id(tags.get(key))) is not None), None)
    burst_id = _id(tags.get("MakerNotes:BurstUUID")) or _id(tags.get("XMP:BurstID")) or _burst_in(name)
    is_motion_photo = (
        tags.get("XMP:MotionPhoto") == "1"
        or tags.get("XMP:MicroVideo") == "1"
        or tags.get("MakerNotes:EmbeddedVideoType") == _SAMSUNGS_FILM
        or "QuickTime:MotionPhotoVideo" in tags
    )
    return Shot(content_id, burst_id, is_motion_photo) if content_id or burst_id or is_motion_photo else NO_SHOT


# (ExifTool has called Apple's tag by two names)
_CONTENT_IDS = ("MakerNotes:ContentIdentifier", "MakerNotes:MediaGroupUUID", "QuickTime:ContentIdentifier")


def _id(text: str | None) -> str | None:
    return text.upper() if text and _ID.fullmatch(text) else None


def _burst_in(name: str) -> str | None:
    if "BURST" not in name:
        return None
    found = _BURST_IN_NAME.search(name) or _PIXELS_BURST.match(name)
    return found[1] if found is not None else None
