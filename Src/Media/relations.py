"""What two photos or films from one folder have to do with each other, by name, camera and time."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

from Src.Media import takeout
from Src.Media.companions import RAW_ENDINGS
from Src.Media.kinds import KINDS

RelationKind = Literal["live_photo", "raw_jpeg", "edited"]

_LIVE = timedelta(seconds=60)  # between a Live Photo and its film
_ONE_SHOT = timedelta(seconds=2)  # between the raw photo and the picture of one shot
_NUMBER = re.compile(r"(?:\(\d{1,4}\))?\Z")
_IPHONES_PHOTO = re.compile(r"\AIMG_(?=\d{4,}\Z)", re.IGNORECASE)
_IPHONES_EDIT = re.compile(r"(IMG_)E(\d{4,})", re.IGNORECASE)
_LIVE_PHOTOS = ("HEIC", "HEIF", "JPEG")
_LIVE_FILMS = ("MOV", "MP4")
_PICTURES = ("JPEG", "HEIC", "HEIF")


_PHOTO_ENDINGS = (".heic", ".jpg", ".jpeg", ".heif")
_FILM_ENDINGS = (".mov", ".mp4")
_HALVES = {
    **dict.fromkeys(_PHOTO_ENDINGS, (*_FILM_ENDINGS, *sorted(RAW_ENDINGS))),
    **dict.fromkeys((*_FILM_ENDINGS, *RAW_ENDINGS), _PHOTO_ENDINGS),
}


def other_halves(name: str) -> tuple[str, ...]:
    """With what the names of files end that may be one shot with one of that name; none: it has no other half."""
    return _HALVES.get(os.path.splitext(name)[1].lower(), ())


class Item(NamedTuple):
    """A photo or film, as it came in."""

    sha256: str
    name: str
    kind: str  # by content
    captured_at: datetime
    camera: str | None
    content_id: str | None = None
    """Apple's: a Live Photo and its film have the same."""


class Relation(NamedTuple):
    """`from_hash` is the film of the photo, the picture of the raw photo, or the edited copy."""

    kind: RelationKind
    from_hash: str
    to_hash: str


def relations(one: Item, other: Item) -> list[Relation]:
    """What they are to each other, in both directions."""
    if one.sha256 == other.sha256:
        return []
    found = [(kind, a, b) for a, b in ((one, other), (other, one)) for kind in _of(a, b)]
    return [Relation(kind, a.sha256, b.sha256) for kind, a, b in found]


def is_pair(one: Item, other: Item) -> bool:
    """Whether they are one shot, and are called alike in the vault."""
    return any(relation.kind != "edited" for relation in relations(one, other))


def _of(one: Item, other: Item) -> list[RelationKind]:
    apart = abs(one.captured_at - other.captured_at)
    found: list[RelationKind] = []
    if one.kind in _LIVE_FILMS and other.kind in _LIVE_PHOTOS and _is_live(one, other, apart):
        found.append("live_photo")
    if _stem(one.name) == _stem(other.name):
        is_shot = one.kind in _PICTURES and KINDS[other.kind].is_raw and one.camera == other.camera
        if is_shot and apart <= _ONE_SHOT:
            found.append("raw_jpeg")
    before = before_edit(one.name)
    if before is not None and before == _stem(other.name) and KINDS[one.kind].is_video == KINDS[other.kind].is_video:
        found.append("edited")
    return found


def _is_live(film: Item, photo: Item, apart: timedelta) -> bool:
    if film.content_id and photo.content_id:  # an edited Live Photo and its film have the id of the first ones
        both_or_none = (before_edit(film.name) is None) == (before_edit(photo.name) is None)
        return film.content_id == photo.content_id and both_or_none
    return _stem(film.name) == _stem(photo.name) and apart <= _LIVE


@lru_cache(maxsize=2048)
def before_edit(name: str) -> str | None:
    """The stem of what a file of that name is an edited copy of; None: it is none."""
    stem = _stem(name)
    edited = _IPHONES_EDIT.fullmatch(stem)
    if edited is not None:
        return edited[1] + edited[2]
    first = takeout.before_edit(name)
    return _stem(first) if first is not None else None


@lru_cache(maxsize=2048)
def beginnings(name: str) -> tuple[str, ...]:
    """With what the names of files begin that may be related to one of that name; "(", "-" or "." comes next."""
    stem = before_edit(name) or _stem(name)
    stem = _NUMBER.sub("", stem)
    edited = _IPHONES_PHOTO.sub("IMG_E", stem)
    return tuple(dict.fromkeys((stem, edited)))


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]
