"""What other programs write into XMP files beside originals, taken over as decisions.

Only what a file says now, and did not say when it was last seen, is an edit. What we wrote is known by its hash.
Where somebody has decided here about the same thing, and later than the file was written, that stands, and is written
into the file: again, where an older file has come back, out of a backup for one. A file that nobody knew yet (another
program made it) says nothing about what has been decided here, and corrects a date only where that is a guess:
programs write down what they read in the photo.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from Src.Library.file_acts import FileActs
from Src.Library.overlay import acts
from Src.Library.overlay.changes import LONGEST_DESCRIPTION
from Src.Library.overlay.current import Key, key_of, write
from Src.Library.overlay.events import Change, record
from Src.Library.xmp.saying import Decided, Edit, edits
from Src.Media.capture_date import Stamp
from Src.Media.date_sources import GUESSES
from Src.Media.words import LONGEST_TAG, LONGEST_TITLE
from Src.Media.xmp_sidecar import Said
from Src.Shared.errors import FactoryError
from Src.Shared.ledger_text import plain_text
from Src.Shared.models import Act

logger = logging.getLogger(__name__)

KIND = "xmp"
_GUESSED = (*GUESSES, "filename")
_COARSE = (10**9, 2 * 10**9)  # nanoseconds: times of programs and filesystems that know no finer ones
_LONGEST = {"title": LONGEST_TITLE, "description": LONGEST_DESCRIPTION, "tag": LONGEST_TAG}


class Edited(NamedTuple):
    """An XMP file that is not as we knew it."""

    original: str  # its hash
    path: str
    program: str
    said: Said
    before: Mapping[str, Any] | None  # what it said; None: nobody knew it
    written_at: datetime
    is_older: bool  # than the file that stood there when it was last seen: both times are of the same clock


def take_over(
    session: Session,
    file_acts: FileActs,
    some: Sequence[Edited],
    decided: Mapping[str, Sequence[Decided]],
    now: Mapping[Key, Any],
) -> int:
    """Decides what other programs have decided, in the session's transaction; of how many files.

    `now`: what is true of their originals, which the caller has locked. A date becomes an act that moves the original:
    whoever carries out acts does that next.
    """
    of_program: dict[str, list[Change]] = {}
    taken: set[str] = set()
    for one in some:
        news = _edits(one, decided.get(one.original, ()), now)
        for edit in news:
            if edit.date is not None:
                if _redate(session, file_acts, one, edit.date, now):
                    taken.add(one.path)
                continue
            change = _change(one, edit, now)
            if change is not None:
                of_program.setdefault(one.program, []).append(change)
                taken.add(one.path)
    for program, changes in of_program.items():
        parameters = {"files": len({change.file_hash for change in changes})}
        act: Act = acts.begin(session, KIND, program, parameters=parameters)
        write(session, changes)
        record(session, act, changes)
    return len(taken)


def _edits(one: Edited, decided: Sequence[Decided], now: Mapping[Key, Any]) -> list[Edit]:
    """What the file decides: where nobody has decided since, or, of a file that nobody knew, at all."""
    about: dict[Key, list[Decided]] = {}
    for event in decided:
        about.setdefault(key_of(one.original, event.field, event.before, event.after), []).append(event)
    if one.before is None:
        date = now.get(Key(one.original, "captured_at"), {})
        is_guess = date.get("date_source", "").startswith(_GUESSED) or date.get("date_precision") in ("month", "year")
        found = [edit for edit in edits({}, one.said) if edit.date is None or is_guess]
        return [
            edit for edit in found if _key(one, edit) not in about and not (edit.field == "rating" and not edit.after)
        ]
    theirs = edits(one.before, one.said)
    later = [edit for edit in theirs if not any(_stands(event, one) for event in about.get(_key(one, edit), ()))]
    if earlier := sorted({_words(edit) for edit in theirs if edit not in later}):
        logger.info("%s: what was decided here is later than its %s, and stands", one.path, ", ".join(earlier))
    return later


def _stands(event: Decided, one: Edited) -> bool:
    """Whether a decision is later than the file, of which the file that stood there had said it already or not."""
    return event.happened_at > one.written_at and (one.is_older or not event.is_in_xmp)


def not_said(some: Sequence[Edited], decided: Mapping[str, Sequence[Decided]]) -> list[int]:
    """The decisions that stand, and that these files may not say any more."""
    return [
        event.seq
        for one in some
        for event in decided.get(one.original, ())
        if event.is_in_xmp and (one.before is None or _stands(event, one))
    ]


def _words(edit: Edit) -> str:
    return "date" if edit.date is not None else edit.field


def _key(one: Edited, edit: Edit) -> Key:
    if edit.date is not None:
        return Key(one.original, "captured_at")
    return key_of(one.original, edit.field, edit.before, edit.after)


def _change(one: Edited, edit: Edit, now: Mapping[Key, Any]) -> Change | None:
    """The change that an edit is; None where it changes nothing, or cannot be decided here."""
    key = _key(one, edit)
    if Key(one.original, "rating") not in now:  # not in the library any more
        return None
    before, after = now.get(key), edit.after
    if isinstance(after, str):
        after = plain_text(" ".join(after.split()) if edit.field == "tag" else after).strip() or None
        if len(after or "") > _LONGEST[edit.field]:
            logger.warning("%s: its %s is too long, and was not taken over", one.path, edit.field)
            return None
    if before == after or (edit.field == "tag" and (before is None) == (after is None)):
        return None
    return Change(one.original, edit.field, before, after)


def _redate(session: Session, file_acts: FileActs, one: Edited, date: Stamp, now: Mapping[Key, Any]) -> bool:
    """Begins the act that gives an original another date; whether that changes anything."""
    known = now.get(Key(one.original, "captured_at"))
    if known is None:
        return False
    when = datetime.fromisoformat(known["captured_at"])
    if when.replace(microsecond=0) == date.when.replace(microsecond=0) and known["date_precision"] == date.precision:
        return False
    parameters = {"set": date.when.isoformat(), "offset": date.offset, "precision": date.precision, "every": 0}
    try:
        with session.begin_nested():
            file_acts.begin(session, "redate", one.program, [one.original], parameters)
    except FactoryError as refused:
        logger.warning("%s: its date was not taken over: %s", one.path, refused)
        return False
    return True


def written_at(mtime_ns: int) -> datetime:
    """When a file was written, by its own word; not later than now."""
    try:
        at = datetime.fromtimestamp(mtime_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):
        at = datetime.fromtimestamp(0, UTC)
    return min(at, datetime.now(UTC))


def is_before(mtime_ns: int, standing_mtime_ns: int) -> bool:
    """Whether a file was written before the one that stood there.

    Not where its time is that one's in whole seconds, or in FAT's two: a program has changed that very file, and put
    its time back as well as it could (`exiftool -P`).
    """
    same = {standing_mtime_ns - standing_mtime_ns % unit for unit in _COARSE}
    return mtime_ns < standing_mtime_ns and mtime_ns not in same


_PROGRAMS = (
    (b"http://darktable.sf.net/", acts.DARKTABLE),
    (b"http://www.digikam.org/ns/", acts.DIGIKAM),
    (b"http://ns.adobe.com/camera-raw-settings/", acts.LIGHTROOM),
)


def program_of(content: bytes) -> str:
    """Which program wrote a file, by the words that are its own: it has decided."""
    return next((name for space, name in _PROGRAMS if space in content), acts.ANOTHER)
