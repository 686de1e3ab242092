"""Which names are those of companions, which original each may belong to, and what it is called beside it.

A name is compared with names only: what a file holds is its reader's to say.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

from Src.Media import takeout
from Src.Media.companions import FILM_ENDINGS, RAW_ENDINGS
from Src.Media.kinds import KINDS
from Src.Media.takeout import note_rank

# xmp: a sidecar. aae: what an iPhone did to a photo. thm: a film's picture. audio: a memo spoken to a photo.
# srt: a drone's log, as subtitles. lrv: a film once more, small. takeout: Google's JSON.
CompanionKind = Literal["xmp", "aae", "thm", "audio", "srt", "lrv", "takeout"]

_KINDS: dict[str, CompanionKind] = {
    ".xmp": "xmp",
    ".aae": "aae",
    ".thm": "thm",
    ".wav": "audio",
    ".mp3": "audio",
    ".srt": "srt",
    ".lrv": "lrv",
    ".lrf": "lrv",
    ".json": "takeout",
}
# What a name alone does not say: there is music, and there is any JSON.
_ONLY_BESIDE: frozenset[CompanionKind] = frozenset({"audio", "takeout"})
# What is a photo or video by its content, and is filed as one where it belongs to none.
PICTURED: frozenset[CompanionKind] = frozenset({"thm", "lrv"})

_Class = Literal["picture", "raw", "film"]
# Whose it is of several of one stem: the first's.
_ORDER: dict[CompanionKind, tuple[_Class, ...]] = {
    "xmp": ("raw", "picture", "film"),  # programs that develop photos write it for the raw one
    "aae": ("picture", "raw", "film"),
    "thm": ("film", "raw"),
    "audio": ("picture", "raw"),
    "srt": ("film",),
    "lrv": ("film",),
}
_GOPRO = re.compile(r"GL(\d{6})\.(?:LRV|THM)", re.IGNORECASE)  # the small film of GX… (HEVC) or GH… (AVC)
_IPHONES_ORIGINAL = re.compile(r"(IMG_)O(\d{4,})", re.IGNORECASE)  # IMG_O1234.AAE: IMG_1234's, as it was taken
_LONGEST = 255  # bytes of a name
LONG_STEM = 36  # characters of a stem that stay, however Takeout has cut a name
_ENDINGS = RAW_ENDINGS | FILM_ENDINGS | frozenset(f".{name.lower()}" for name in KINDS) | {".jpg", ".tif", ".hif"}
# The supplement, or what is left of it, behind a photo's name.
_IN_NOTE = re.compile(r".+?(\.s(?:u(?:p[a-z-]*)?)?)?(?:\(\d{1,4}\))?", re.DOTALL)


def companion_kind(name: str) -> CompanionKind | None:
    """What a file of that name may be to another; None: nothing."""
    return _KINDS.get(os.path.splitext(name)[1].lower())


def says_so_itself(kind: CompanionKind) -> bool:
    """Whether a file of that kind is a companion even where nothing stands beside it."""
    return kind not in _ONLY_BESIDE


def rank(kind: CompanionKind, name: str, photo: str) -> int | None:
    """How well a companion's name fits that of a photo or film, 0 the best; None: it cannot belong to it."""
    own = companion_kind(photo)
    if own is not None and own not in PICTURED:
        return None
    if kind == "takeout":
        return note_rank(name, photo)
    if own is not None:
        return None
    order, what = _ORDER[kind], _class_of(photo)
    if what not in order:
        return None
    stem = os.path.splitext(name)[0]
    if stem == photo:
        return 0
    place = 1 + order.index(what)
    photo_stem = os.path.splitext(photo)[0]
    if stem == photo_stem:
        return place
    gopro = _GOPRO.fullmatch(name)
    if gopro is not None and photo_stem.upper() in (f"GX{gopro[1]}", f"GH{gopro[1]}"):
        return place
    original = _IPHONES_ORIGINAL.fullmatch(stem) if kind == "aae" else None
    if original is not None and photo_stem == original[1] + original[2]:
        return place + len(order)
    return None


def stems(kind: CompanionKind, name: str) -> list[str]:
    """With what the names of all photos begin to which a companion may belong."""
    stem = os.path.splitext(name)[0]
    if kind == "takeout":  # it may be cut anywhere, and its number stands elsewhere
        return [re.sub(r"(?:\(\d{1,4}\))?\Z", "", re.sub(r"\..*", "", stem, flags=re.DOTALL) or stem)[:LONG_STEM]]
    found = [stem]
    gopro = _GOPRO.fullmatch(name)
    if gopro is not None:
        found += [f"GX{gopro[1]}", f"GH{gopro[1]}"]
    original = _IPHONES_ORIGINAL.fullmatch(stem) if kind == "aae" else None
    if original is not None:
        found.append(original[1] + original[2])
    return found


def group(name: str) -> str:
    """Equal for names that may belong together, of a photo and of what belongs to it."""
    stem = unicodedata.normalize("NFC", name).partition(".")[0] or name
    stem = re.sub(r"(?:\(\d{1,4}\))?\Z", "", stem)
    stem = re.sub(rf"{takeout.AN_EDIT}\Z", "", stem)[:LONG_STEM]
    return re.sub(r"\AG[LXH](?=\d{6}\Z)", "G", re.sub(r"\AIMG_[OE](?=\d)", "IMG_", stem)).lower()


def names_beside(name: str, original: str) -> Iterator[str]:
    """What a companion that came in under a name may be called beside its original, the best first. They never end.

    Where it had its photo's whole name with that one's ending (IMG.jpg.xmp), it has it again; else the stem.
    """
    stem, ending = os.path.splitext(name)
    if companion_kind(name) == "takeout":
        cut = _IN_NOTE.fullmatch(stem)
        tail = ((cut[1] or "") if cut is not None else "") + ending
    else:
        tail = ending
        if os.path.splitext(stem)[1].lower() not in _ENDINGS:
            yield from _if_short(os.path.splitext(original)[0] + tail)
    yield from _if_short(original + tail)
    number = 0
    while True:
        number += 1
        end = f"_{number}{tail}"
        start = original
        while len(os.fsencode(start + end)) > _LONGEST:
            start = start[:-1]
        yield start + end


def stands_beside(kind: CompanionKind, name: str, original: str) -> int | None:
    """`rank` in the vault, where companions have the names of `names_beside`."""
    numbered = re.fullmatch(re.escape(original) + r"_\d{1,9}(\..+)", name, re.DOTALL)
    if numbered is not None:
        return rank(kind, original + numbered[1], original)
    return rank(kind, name, original)


def _if_short(name: str) -> Iterator[str]:
    if len(os.fsencode(name)) <= _LONGEST:
        yield name


def _class_of(name: str) -> _Class:
    ending = os.path.splitext(name)[1].lower()
    return "raw" if ending in RAW_ENDINGS else "film" if ending in FILM_ENDINGS else "picture"
