"""Joining: a late companion becomes a photo's, which moves to its right day with all its companions.

A move is durable at every step: the new names beside the old ones, all on disk; then the rows, with the old names in
`companions.moved_from` and `left_path`; then the old names go, and the notes of them. Whoever is killed in between goes
on from there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from Src.Librarian import late_changes
from Src.Librarian.companion_filing import CompanionFiling
from Src.Librarian.passage import IncomingFile, LedgerEntry
from Src.Librarian.record import companions, ledger_entry, tags_said
from Src.Librarian.record.companions import Key, Known, Move, Original
from Src.Librarian.record.recorder import Recorder
from Src.Librarian.whose import LedgerAway, NotJoined
from Src.Library.vault import Vault
from Src.Library.vault_folder import is_one_entry
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Gone, Living
from Src.Media.companion_names import CompanionKind
from Src.Shared.disk.syncing import fsync
from Src.Shared.ledger_text import from_ledger, to_ledger

logger = logging.getLogger(__name__)

Changes = Callable[[Original], dict[str, Any]]  # of a photo's row


class Joiner:
    """Joins late companions to photos. To be used under the vault's lock."""

    def __init__(self, recorder: Recorder, vault: Vault, filing: CompanionFiling) -> None:
        self._recorder = recorder
        self._vault = vault
        self._filing = filing

    def join(
        self, file: IncomingFile, key: Key, size: int, original_hash: str, kind: CompanionKind, changes_by: Changes
    ) -> None:
        """Records that a companion is a photo's; `changes_by`: what it changes in the photo's row.

        Raises NotJoined, VaultTrouble.
        """
        row = self._recorder.ask(lambda session: companions.original(session, original_hash))
        decided = self._recorder.ask(lambda session: companions.decided(session, original_hash))
        if row is None or decided is None:
            raise LedgerAway
        changes, old = late_changes.undecided(changes_by(row), decided), from_ledger(row.final_path)
        new, moved = old, list[tuple[Known, str]]()
        told, tags = late_changes.told(changes, row), changes.pop(late_changes.TAGS, ())
        if "captured_at" in changes and changes["captured_at"].date() != row.captured_at.date():
            self.finish()  # of one that moves on before its last move has ended, an old name would be forgotten
            new = self._named_at_day(old, row, original_hash, self._vault.day_folder(changes["captured_at"].date()))
            moved = self._with_companions(original_hash, old, new)
            changes["final_path"] = to_ledger(new)
            told.append(f"moved from {row.final_path}")
        event = ledger_entry.event_row(
            file,
            "companion",
            sha256=key.sha256,
            final_path=new,
            message=f"joined to {to_ledger(new)}: {'; '.join(told) or 'no change'}",
        )
        moved_from = old if new != old else None
        entry = LedgerEntry(
            {**event, "file_size": size},
            companion=ledger_entry.companion_row(original_hash, kind, key.original_path, key.sha256, size, moved_from),
        )

        def write(session: Session) -> bool:
            now = companions.original(session, original_hash)
            if now != row or companions.decided(session, original_hash) != decided:
                return False
            tags_said.take_over(session, row.id, original_hash, tags)
            companions.join(session, row, changes, entry, moved)
            return True

        if not self._recorder.ask(write):  # what was named is found again when it is asked the next time
            raise LedgerAway
        logger.info("%s: %s", key.original_path, entry.event["message"])

    def _named_at_day(self, old: str, row: Original, sha256: str, day_folder: str) -> str:
        """Gives an original a second name in its right day's folder, durably; the new path."""
        if not isinstance(self._vault.verdict(old, sha256, row.size), Living):
            raise NotJoined(f"its photo {row.final_path} is not as it was filed; see ./factory status")
        (old_folder, old_name), name = os.path.split(old), from_ledger(row.name)
        source, target = self._vault.folder(old_folder), self._vault.folder(day_folder)
        standing = target.standing(name, row.size, sha256)  # by a run that was killed
        if standing is not None:
            return f"{day_folder}/{standing[0]}"
        at, refused = source.at(old_name), set[str]()
        while True:
            try:
                with self._vault.durably():
                    new = target.first_free(name, lambda free: os.link(at, free, follow_symlinks=False), refused)
                    inode = os.lstat(target.at(new)).st_ino
            except OSError as error:
                raise NotJoined(f"its photo {row.final_path} cannot be moved to its day: {error.strerror}") from error
            path = f"{day_folder}/{new}"
            # (no path is used twice, not that of an original which has gone either)
            taken = self._recorder.ask(partial(companions.is_anothers, final_path=path, sha256=sha256))
            if taken is False:
                target.add(new, inode)
                target.changed_only_by_us()
                return path
            os.unlink(target.at(new))
            if taken is None:
                raise LedgerAway
            refused.add(new)

    def _with_companions(self, original_hash: str, old: str, new: str) -> list[tuple[Known, str]]:
        """Gives its companions second names beside an original's new one, durably."""
        try:
            with self._vault.durably():
                return self._filing.link_at(original_hash, old, new)
        except OSError as error:
            raise NotJoined(f"what belongs to its photo {to_ledger(old)} cannot be moved: {error.strerror}") from error

    def finish(self) -> None:
        """Ends what killed runs have begun: old names of what was moved go. Raises VaultTrouble."""
        for move in self._recorder.ask(companions.moves_left) or ():
            if self._has_left(move):
                self._recorder.ask(partial(companions.moved, companion=move.companion))
        self._filing.finish()

    def _has_left(self, move: Move) -> bool:
        """Whether nothing stands any more where an original was; what is right there goes, now that it is elsewhere."""
        old, new = self._vault.storage / move.moved_from, self._vault.storage / move.final_path
        verdict = self._vault.verdict(move.moved_from, move.sha256, move.size)
        if isinstance(verdict, Gone) or move.moved_from == move.final_path:
            return True
        if not isinstance(verdict, Living) or self._recorder.unrecorded([move.moved_from]) != [move.moved_from]:
            return False
        if not isinstance(self._vault.verdict(move.final_path, move.sha256, move.size), Living):
            return False
        parent, name = os.path.split(move.moved_from)
        folder = self._vault.folder(parent)
        try:
            if is_one_entry(str(old), str(new)):
                return True
            inode = os.lstat(folder.at(name)).st_ino
            os.unlink(folder.at(name))
            fsync(folder.fd)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"move {move.moved_from} to {move.final_path}") from error
        folder.remove(name, inode)
        folder.changed_only_by_us()
        return True
