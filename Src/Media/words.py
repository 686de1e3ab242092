"""What a file says in words: its title, its description and its tags.

XMP comes before IPTC, and that before what Windows writes into EXIF, as the Metadata Working Group has it: who writes
XMP takes the others over, and IPTC cuts a word after 64 bytes. What a sidecar says comes before all of the file's.

A tag that is a path (digiKam's `Places/Italy/Rome`, Lightroom's `Places|Italy|Rome`) is its last word: these programs
write that into `dc:subject`, too. The path itself stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from Src.Media.tags import BETWEEN, Tags

LONGEST_TAG, LONGEST_TITLE, LONGEST_DESCRIPTION = 200, 1_000, 20_000
"""Characters that are kept."""
MOST_TAGS = 1_000

_TITLES = ("XMP:Title", "IPTC:ObjectName", "EXIF:XPTitle")
_DESCRIPTIONS = ("XMP:Description", "IPTC:Caption-Abstract")
_OF_DIGIKAM_ITSELF = "_Digikam"  # its notes on a file, and no words of a person


class Words(NamedTuple):
    """None, and no tags: it says nothing."""

    title: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    """Each once, in their order. Two that differ only in capitals are one."""


SAYS_NOTHING = Words()


def words_in(beside: Tags, tags: Tags) -> Words:
    """What a sidecar (`beside`) and its photo say."""
    if not beside and tags.keys().isdisjoint(_ALL):
        return SAYS_NOTHING
    return Words(
        _text(beside, tags, _TITLES, LONGEST_TITLE),
        _text(beside, tags, _DESCRIPTIONS, LONGEST_DESCRIPTION),
        _tags_in(beside) or _tags_in(tags),
    )


def _text(beside: Tags, tags: Tags, names: Sequence[str], longest: int) -> str | None:
    for one in (beside, tags):
        for name in names:
            said = _cleaned(one.get(name, "")).replace("\r\n", "\n").replace("\r", "\n").strip()
            if said:
                return said[:longest].rstrip()
    return None


def _tags_in(tags: Tags) -> tuple[str, ...]:
    ways: tuple[Iterable[str], ...] = (
        (
            *_listed(tags, "XMP:Subject"),
            *_last_words(_listed(tags, "XMP:TagsList"), "/"),
            *_last_words(_listed(tags, "XMP:HierarchicalSubject"), "|"),
        ),
        _listed(tags, "IPTC:Keywords"),
        tags.get("EXIF:XPKeywords", "").split(";"),
    )
    for words in ways:
        cleaned = (" ".join(_cleaned(word).split())[:LONGEST_TAG].rstrip() for word in words)
        once: dict[str, str] = {}
        for word in cleaned:
            if word and len(once) < MOST_TAGS:
                once.setdefault(word.lower(), word)
        if once:
            return tuple(once.values())
    return ()


def _listed(tags: Tags, name: str) -> list[str]:
    return tags.get(name, "").split(BETWEEN)


def _last_words(paths: Sequence[str], between: str) -> list[str]:
    return [path.rpartition(between)[2] for path in paths if not path.startswith(_OF_DIGIKAM_ITSELF)]


def _cleaned(text: str) -> str:
    return text.replace("\0", "")


_ALL = frozenset(
    {
        *(*_TITLES, *_DESCRIPTIONS),
        *("XMP:Subject", "XMP:TagsList", "XMP:HierarchicalSubject", "IPTC:Keywords", "EXIF:XPKeywords"),
    }
)
