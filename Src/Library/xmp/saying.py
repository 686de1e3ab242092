"""What an XMP file says, as the ledger remembers it; what it is to say; and how two such differ."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from Src.Library.overlay.current import Key, key_of, same_word
from Src.Library.redating import CORRECTION
from Src.Media.capture_date import Stamp
from Src.Media.places import Place
from Src.Media.xmp_document import sayable
from Src.Media.xmp_sidecar import Said
from Src.Media.xmp_writing import KEEP, Changes, Keep

logger = logging.getLogger(__name__)

_NEARLY = 1e-6  # degrees, a decimetre: programs round


class Decided(NamedTuple):
    """An event of an original, as far as an XMP file can say it."""

    seq: int
    field: str
    before: Any
    after: Any
    happened_at: datetime
    is_in_xmp: bool
    takes_back: bool  # another event


class Edit(NamedTuple):
    """What somebody has changed in an XMP file. `date`: when it was taken; then `field` is `captured_at`."""

    field: str
    before: Any
    after: Any
    date: Stamp | None = None


def as_json(said: Said) -> dict[str, Any]:
    """As `companions.says` holds it; without regions."""
    taken = said.taken
    place = said.place
    return {
        "rating": said.rating,
        "taken": None if taken is None else [taken.when.isoformat(), taken.offset, taken.precision],
        "place": None if place is None else [place.latitude, place.longitude],
        "title": said.title,
        "description": said.description,
        "tags": list(said.tags),
    }


def edits(before: Mapping[str, Any], said: Said) -> list[Edit]:
    """What a file says now, and did not say before. That it has no date any more is no decision about that."""
    found: list[Edit] = []
    for field in ("rating", "title", "description"):
        was, now = before.get(field), getattr(said, field)
        if (was or None) != (now or None):
            found.append(Edit(field, was, now))
    was, now = before.get("place"), said.place
    if not _is_same_place(was, now):
        found.append(Edit("location", _location(was), None if now is None else _location(now)))
    if said.taken is not None and before.get("taken") != as_json(said)["taken"]:
        found.append(Edit("captured_at", None, None, said.taken))
    tags = {same_word(tag): tag for tag in before.get("tags") or ()}
    new = {same_word(tag): tag for tag in said.tags}
    found += [Edit("tag", None, tag) for word, tag in new.items() if word not in tags]
    found += [Edit("tag", tag, None) for word, tag in tags.items() if word not in new]
    return found


def wanted(decided: Sequence[Decided], now: Mapping[Key, Any], sha256: str, came: Said, has: Sequence[str]) -> Changes:
    """What a file is to say, by all that was ever decided about its original.

    `now`: what is true of the original. `came`: what the file said when it came in, which it says again where all that
    was decided about a field is taken back. `has`: the tags that stand in it.
    """
    first: dict[Key, Any] = {}
    last: dict[Key, Decided] = {}
    for one in decided:
        key = key_of(sha256, one.field, one.before, one.after)
        first.setdefault(key, one.before)
        last[key] = one
    changes: dict[str, Any] = {}
    tags = list(has)
    for key, before in first.items():
        value = now.get(key)
        is_back = last[key].takes_back and value == before
        match key.field:
            case "tag":
                is_back = last[key].takes_back and (value is None) == (before is None)
                came_tag = next((tag for tag in came.tags if same_word(tag) == key.part), None)
                tags = _with_word(tags, key.part, came_tag if is_back else value)
            case "captured_at":
                changes["taken"] = came.taken
                if value is not None and value["date_source"] == CORRECTION:
                    when = datetime.fromisoformat(value["captured_at"])
                    changes["taken"] = Stamp(when, value["captured_at_offset"], value["date_precision"])
            case "location":
                place = None if value is None else Place(value["lat"], value["lon"])
                changes["place"] = came.place if is_back else place
            case "rating":
                changes["rating"] = came.rating if is_back else _rating(value)
            case "title" | "description":
                text = getattr(came, key.field) if is_back else value
                changes[key.field] = text and sayable(text)
    if set(tags) != set(has):
        changes["tags"] = tuple(tags)
    return Changes(**changes)


def _with_word(tags: list[str], word: str, spelt: str | None) -> list[str]:
    """Tags with a word (None: without it), whose capitals stay where it stands there already."""
    word = sayable(word)
    if spelt is None:
        return [tag for tag in tags if same_word(tag) != word]
    return tags if any(same_word(tag) == word for tag in tags) else [*tags, sayable(spelt)]


def _rating(value: Any) -> int | Keep | None:
    return value if value is None or -1 <= value <= 5 else KEEP


def _location(place: Any) -> dict[str, float] | None:
    return None if place is None else {"lat": place[0], "lon": place[1]}


def _is_same_place(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is None and other is None
    return all(abs(mine - theirs) < _NEARLY for mine, theirs in zip(one, other, strict=True))
