"""Companions: which one photo each belongs to, and what one changes that comes after its photo.

A sidecar that had a say when its photo was filed is recorded with it, and is never believed for another of that name.
A late companion is joined to the photo that was filed from beside it, if there is just one that it can be: the row
takes over what it says (date, place, rating), and the original moves to its right day with all its companions. Then the
companion is filed beside it (`companion_filing.py`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from Src.Librarian import late_changes, takeout_decisions, whose
from Src.Librarian.companion_filing import CompanionFiling, ToFile
from Src.Librarian.joining import Changes, Joiner
from Src.Librarian.passage import Companion, EventRow, Inspected, LedgerEntry, Outcome, Sidecar
from Src.Librarian.record import companions, ledger_entry
from Src.Librarian.record.companions import Key, Known
from Src.Librarian.record.recorder import Recorder
from Src.Librarian.whose import LedgerAway, NotJoined
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Media import capture_date
from Src.Media.companion_names import PICTURED, CompanionKind, companion_kind, says_so_itself
from Src.Shared.ledger_text import to_ledger

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")
ByItself = Sidecar | Companion


class Sidecars:
    """Says whose companions are, joins late ones, and has them filed."""

    def __init__(self, recorder: Recorder, vault: Vault, filing: CompanionFiling, zone: ZoneInfo) -> None:
        self._recorder = recorder
        self._vault = vault
        self._filing = filing
        self._zone = zone
        self._joiner = Joiner(recorder, vault, filing)

    def believed(self, media: Sequence[Inspected]) -> list[Inspected]:
        """The files with what their own sidecars say, and without what those of others say. Raises VaultTrouble."""
        keys = {found.file.path: _key(found) for found in media if found.metadata.sidecar is not None}
        if not keys:
            return list(media)
        with self._vault.lock():
            self._recorder.catch_up()
            known = self._recorder.ask(lambda session: companions.owners(session, list(keys.values())))
        owners = dict(known or {})
        return [
            found
            if key is None or (known is not None and owners.setdefault(key, found.sha256) == found.sha256)
            else _disbelieving(found)
            for found in media
            for key in [keys.get(found.file.path)]
        ]

    def join_filed(self, media: Sequence[Inspected], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes of photos with the sidecars that were recorded with them.

        What was filed before gets from its new sidecar what it says.
        """
        of_path = {found.file.path: found for found in media if found.metadata.sidecar is not None}
        return [
            self._join_filed(found, outcome) if (found := of_path.get(outcome.file.path)) is not None else outcome
            for outcome in outcomes
        ]

    def settle(self, found: Sequence[ByItself], unrecorded: Collection[str] = ()) -> list[Outcome]:
        """What becomes of companions by themselves.

        `unrecorded`: the paths of those that become something else where they belong to no photo.
        """
        if not found:
            return []
        try:
            with self._vault.lock():
                return self._settle_all(found, unrecorded)
        except VaultTrouble as trouble:  # what was filed with them is filed
            logger.warning("files that belong to photos wait: %s", trouble)
            return [Outcome(one.file, "changing") for one in found]
        except LedgerAway:
            return [self._waiting(one) for one in found]

    def _settle_all(self, found: Sequence[ByItself], unrecorded: Collection[str]) -> list[Outcome]:
        """Raises LedgerAway, VaultTrouble."""
        self._recorder.catch_up()
        self._joiner.finish()
        keys = [Key(one.file.original_path, one.sha256) for one in found]
        known = self._ask(partial(companions.known, keys=keys))
        asked = self._ask(partial(companions.asked_for, original_paths=[key.original_path for key in keys]))
        before = set(known)
        outcomes: dict[int, Outcome] = {}
        joined: list[int] = []
        untold: set[int] = set()  # of which no event was written when they were joined
        for index, (one, key) in enumerate(zip(found, keys, strict=True)):
            try:
                if key not in known:
                    known[key] = self._joined(one, key, alone=key.original_path in asked)
                if key in before or known[key].original_hash is None:
                    untold.add(index)
                joined.append(index)
            except LedgerAway:
                outcomes[index] = self._waiting(one)
            except NotJoined as reason:
                outcomes[index] = _not_joined(one, str(reason))
        self._joiner.finish()
        # What was joined may have moved its photo, and with it what stood beside that.
        now = self._ask(partial(companions.known, keys=[keys[index] for index in joined]))
        places = self._paths([row.original_hash for row in now.values() if row.original_hash is not None])
        to_file: dict[int, ToFile] = {}
        for index in joined:
            row = now[keys[index]]
            where = places.get(row.original_hash) if row.original_hash is not None else None
            if where is None and row.original_hash is not None:
                why = f"{whose.what(row.kind)} of a photo that is not in the library any more"
                outcomes[index] = _not_joined(found[index], why)
                continue
            event = _event(found[index], where) if index in untold else None
            to_file[index] = ToFile(found[index].file, row, where, self._day_of(found[index]), event)
        outcomes |= dict(zip(to_file, self._filing.file(list(to_file.values())), strict=True))
        refused = [
            one
            for one in outcomes.values()
            if one.result in ("sidecar", "not_media") and not one.busy and one.file.path not in unrecorded
        ]
        self._recorder.record(
            [LedgerEntry(ledger_entry.event_row(one.file, "not_media", message=one.reason)) for one in refused]
        )
        return [outcomes[index] for index in range(len(found))]

    def asked_for(self, original_paths: Sequence[str]) -> set[str]:
        """Which of these files a person wants to be filed, though they belong to none here. Raises VaultTrouble."""
        if not original_paths:
            return set()
        with self._vault.lock():
            return self._recorder.ask(partial(companions.asked_for, original_paths=original_paths)) or set()

    def finish_moves(self) -> None:
        """Ends what killed runs have begun. Raises VaultTrouble."""
        with self._vault.lock():
            self._filing.clean_up()
            self._joiner.finish()

    def _joined(self, one: ByItself, key: Key, *, alone: bool) -> Known:
        """A companion's new row; `alone`: it gets one even without a photo. Raises NotJoined, VaultTrouble."""
        kind, size = _kind_of(one), one.file.state.size
        try:
            owner = whose.photo_of(self._recorder, one.file, kind).sha256
        except LedgerAway:
            raise
        except NotJoined:
            if not alone:
                raise
            row = ledger_entry.companion_row(None, kind, key.original_path, key.sha256, size)
            self._ask(partial(companions.add, rows=[row]))
        else:
            if isinstance(one, Companion) and one.note is not None:
                # Before it is joined: a run that is killed in between does it again, which changes nothing.
                self._ask(partial(takeout_decisions.decide, note=one.note, album=one.album, sha256=owner))
            self._joiner.join(one.file, key, size, owner, kind, self._changes_by(one))
        return self._ask(partial(companions.known, keys=[key]))[key]

    def _changes_by(self, one: ByItself) -> Changes:
        if isinstance(one, Sidecar):
            return partial(late_changes.of_sidecar, one.says)
        if one.note is None:
            return lambda _row: {}
        return partial(late_changes.of_takeout, one.note, zone=self._zone)

    def _join_filed(self, found: Inspected, outcome: Outcome) -> Outcome:
        used = found.metadata.sidecar
        assert used is not None
        if outcome.result not in ("new", "duplicate", "restored"):
            return outcome
        key = _key(found)
        if outcome.result != "new":
            beside = found.file._replace(
                path=os.path.join(os.path.dirname(found.file.path), used.name), original_path=key.original_path
            )
            try:
                with self._vault.lock():
                    if key not in self._ask(partial(companions.owners, keys=[key])):
                        says = partial(late_changes.of_sidecar_beside, found.metadata)
                        self._joiner.join(beside, key, used.size, found.sha256, "xmp", says)
                        self._joiner.finish()
            except (NotJoined, VaultTrouble) as reason:
                logger.warning("%s: %s", beside.original_path, reason)
                return outcome
        return replace(outcome, sidecar=key.original_path)

    def _waiting(self, one: ByItself) -> Outcome:
        kind = whose.what(_kind_of(one))
        reason = f"{kind}; only the database knows whose it is, and it cannot be reached: {self._recorder.away}"
        return Outcome(one.file, "sidecar", reason=reason, busy=True)

    def _ask(self, question: Callable[[Session], _Answer]) -> _Answer:
        """Raises LedgerAway."""
        answer = self._recorder.ask(question)
        if answer is None:
            raise LedgerAway
        return answer

    def _paths(self, hashes: Sequence[str]) -> dict[str, str]:
        """Where these originals are."""
        kept = self._recorder.known(hashes)
        return {sha256: one.final_path for sha256, one in kept.items() if one.final_path is not None}

    def _day_of(self, one: ByItself) -> date:
        """The day of a companion that is filed by itself."""
        if isinstance(one, Sidecar):
            return one.says.captured_at.date()
        at = capture_date.from_nanoseconds(one.file.state.mtime_ns, self._zone)
        return (at or datetime.now(self._zone)).date()


def as_companion(found: Inspected) -> Companion | None:
    """A photo or video that is a film's picture or small copy by its name; None where it is none."""
    kind = companion_kind(found.file.name)
    return Companion(found.file, found.sha256, kind) if kind in PICTURED else None


def _kind_of(one: ByItself) -> CompanionKind:
    return "xmp" if isinstance(one, Sidecar) else one.kind


def _not_joined(one: ByItself, reason: str) -> Outcome:
    """(Music is not media, and is left in peace.)"""
    kind = _kind_of(one)
    waits = says_so_itself(kind) or kind == "takeout"
    return Outcome(one.file, "sidecar" if waits else "not_media", reason=reason)


def _event(one: ByItself, beside: str | None) -> EventRow:
    """What the ledger is to say of a companion beside an original (at a path as on disk), or of one by itself."""
    message = f"belongs to {to_ledger(beside)}" if beside is not None else "filed by itself, as a person wanted"
    return ledger_entry.event_row(one.file, "companion", sha256=one.sha256, final_path=beside, message=message)


def _key(found: Inspected) -> Key:
    used = found.metadata.sidecar
    assert used is not None
    return Key(ledger_entry.sidecar_path(found.file, used.name), used.sha256)


def _disbelieving(found: Inspected) -> Inspected:
    used = found.metadata.sidecar
    assert used is not None
    logger.info("%s: the XMP file %s is not (yet) known to be its own", found.file.original_path, used.name)
    return found._replace(metadata=used.without)
