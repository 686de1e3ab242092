"""Reconcile: what an entry must say once the ledger and the vault have been asked about its original.

What was decided while the ledger was away, or a moment ago, may not hold any more: the ledger has the content already,
the path belongs to another original, or the file has gone. Files are moved here, and a second copy is dropped
(promise 4), so all of it happens under the vault's lock, before the rows are written.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy.orm import Session

from Src.Librarian.passage import Kept, LedgerEntry
from Src.Librarian.record import statements
from Src.Librarian.record.journal import Journal
from Src.Librarian.record.ledger_entry import damaged_words, placed_at, turned, with_error
from Src.Library.damaged import CannotMoveAside
from Src.Library.move_plan import claims
from Src.Library.vault import Vault
from Src.Library.vault_folder import is_one_entry
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Gone, Living, Rotten, Unknown, Verdict
from Src.Shared.database import LedgerUnavailable
from Src.Shared.ledger_text import from_ledger, to_ledger

logger = logging.getLogger(__name__)


class Reconciler:
    """Brings entries into line with ledger and vault. Every method may raise VaultTrouble."""

    def __init__(self, vault: Vault, journal: Journal) -> None:
        self._vault = vault
        self._journal = journal

    def known(self, session: Session, entry: LedgerEntry, kept: Kept | None, *, replaying: bool) -> LedgerEntry:
        """An original whose hash the ledger has already."""
        assert entry.asset is not None
        if kept is None:  # no hash in the way, but a path, that was free a moment ago
            raise LedgerUnavailable("somebody else writes originals into this database; it is tried again")
        own_path = from_ledger(entry.asset["final_path"])
        if kept.final_path == own_path:  # replayed before; or dropped, and the replay was cut off before its commit
            mine = kept.row == entry.asset["id"] or entry.event["fate"] == "restored"
            return entry if mine else _duplicate_of(entry, own_path)
        verdict = self._verdict(kept, entry.asset["file_hash"])
        if isinstance(verdict, Living) and kept.final_path is not None:
            # Written while the ledger was away. The kept one lives, so this one is the duplicate (promise 4).
            self._drop(session, entry, kept.final_path)
            return _duplicate_of(entry, kept.final_path)
        own = self._own_verdict(entry)
        if not isinstance(own, Living):  # two that are none
            self._put_away_if_nobodys(session, own_path, own)
            return _gone(entry)
        return self._restore(entry, kept.final_path, verdict, replaying=replaying)

    def _restore(self, entry: LedgerEntry, kept_path: str | None, verdict: Verdict, *, replaying: bool) -> LedgerEntry:
        """The entry's file takes the place of a kept original that lives no more."""
        assert entry.asset is not None
        what = "which had gone"
        if kept_path is not None:
            own_path = from_ledger(entry.asset["final_path"])
            is_same_day = os.path.dirname(kept_path) == os.path.dirname(own_path)
            # A batch that is just being placed is taken back by the folders that it was placed in: it stays in them.
            may_move = replaying or is_same_day
            if isinstance(verdict, Rotten):
                what = damaged_words(verdict.reason, self._put_away(kept_path, verdict))
            elif is_same_day:
                may_move = False
            # (else the row's day is a corrected date's)
            if may_move and self._vault.take_place(own_path, kept_path):
                entry = placed_at(entry, to_ledger(kept_path))
        if entry.event["fate"] == "restored":
            return entry
        assert entry.asset is not None
        whose = to_ledger(kept_path) if kept_path is not None else "the original"
        return turned(entry, "restored", entry.asset["final_path"], f"takes the place of {whose}, {what}")

    def known_elsewhere(self, entry: LedgerEntry, kept: Kept | None) -> LedgerEntry:
        """An original that is not where the journal says: it may have been dropped, or have taken the place of another,
        by a replay that was cut off before its commit."""
        sha256 = entry.event["file_hash"]
        if kept is None or kept.final_path is None or sha256 is None or not _is_gone(entry):
            return entry
        living = isinstance(self._verdict(kept, sha256), Living)
        return _duplicate_of(entry, kept.final_path) if living else entry

    def _verdict(self, kept: Kept, sha256: str) -> Verdict:
        """Raises VaultTrouble where nobody knows: then nothing may be dropped, and nothing moved."""
        if kept.final_path is None:
            return Gone()
        return _certain(self._vault.verdict(kept.final_path, sha256, kept.size))

    def _own_verdict(self, entry: LedgerEntry) -> Verdict:
        """Of the file that an entry is about. Raises VaultTrouble where nobody knows."""
        assert entry.asset is not None
        asset = entry.asset
        return _certain(self._vault.verdict(from_ledger(asset["final_path"]), asset["file_hash"], asset["file_size"]))

    def _put_away_if_nobodys(self, session: Session, path: str, verdict: Verdict) -> None:
        """Moves a damaged journaled file aside; not another original, which only stands at that path."""
        if isinstance(verdict, Rotten) and not self._is_another(session, verdict):
            self._put_away(path, verdict)

    def _is_another(self, session: Session, rotten: Rotten) -> bool:
        """Whether what was found in an original's place is another one that is known."""
        sha256 = [rotten.sha256] if rotten.sha256 else []
        return bool(statements.kept(session, sha256) or self._journal.known(sha256))

    def _put_away(self, path: str, rotten: Rotten) -> str:
        try:
            return self._vault.put_away(path, rotten)
        except CannotMoveAside as problem:
            raise VaultTrouble(f"{problem}; it is damaged, move it away or let this user do so") from problem

    def leave_taken_paths(self, session: Session, entries: list[LedgerEntry]) -> None:
        """Moves originals aside whose path belongs to another one, that has gone: no path is used twice (promise 1)."""
        refused: defaultdict[int, set[str]] = defaultdict(set)
        claimed: dict[str, str] = {}
        unchecked = list(range(len(entries)))
        while unchecked:
            at = {index: asset for index in unchecked if (asset := entries[index].asset) is not None}
            whose = claims(session, [asset["final_path"] for asset in at.values()])
            unchecked = []
            for index, asset in at.items():
                path, sha256 = asset["final_path"], asset["file_hash"]
                owners = whose.get(path) or {claimed.setdefault(path, sha256)}
                if owners != {sha256}:
                    entries[index] = self._moved_aside(entries[index], refused[index])
                    unchecked.append(index)

    def _moved_aside(self, entry: LedgerEntry, refused: set[str]) -> LedgerEntry:
        assert entry.asset is not None
        path = from_ledger(entry.asset["final_path"])
        if not isinstance(self._own_verdict(entry), Living):
            return _gone(entry)  # what stands there is the other one's
        moved = self._vault.move_aside(path, from_ledger(entry.event["original_name"]), refused)
        return placed_at(entry, to_ledger(moved))

    def found_again(self, session: Session, entry: LedgerEntry) -> LedgerEntry:
        """A journaled original where it stands now; without its row where it has gone from the vault since."""
        asset = entry.asset
        if asset is None:
            return entry
        name, path = from_ledger(entry.event["original_name"]), from_ledger(asset["final_path"])
        found = self._vault.find(path, name, asset["file_size"], asset["file_hash"])
        if found == path:
            return entry
        if found is None:  # a replay that was cut off may have moved it aside
            found = self._search_folder(os.path.dirname(path), asset["file_size"], asset["file_hash"])
        verdict = self._vault.verdict(path, asset["file_hash"], asset["file_size"])
        if found is not None:
            self._put_away_if_nobodys(session, path, verdict)
            return placed_at(entry, to_ledger(found))
        if isinstance(verdict, Living | Unknown):  # a refusal is no reason to keep its row from the ledger
            return entry
        if isinstance(verdict, Rotten) and not self._is_another(session, verdict):
            # The row tells what should stand there, for the next who brings it.
            logger.error("%s is damaged, and its row comes only now: %s", path, verdict.reason)
            return with_error(entry, f"damaged in the vault: {verdict.reason}")
        self._vault.check()  # unmounted under our hands?
        return _gone(entry)

    def _search_folder(self, folder: str, size: int, sha256: str) -> str | None:
        """The path of a content in a folder, whatever its name."""
        with os.scandir(self._vault.storage / folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        paths = [f"{folder}/{name}" for name in names]
        return next((path for path in paths if self._holds(path, size, sha256)), None)

    def _holds(self, path: str, size: int, sha256: str) -> bool:
        return self._vault.looks_kept(path, size) and isinstance(self._vault.verdict(path, sha256, size), Living)

    def _drop(self, session: Session, entry: LedgerEntry, kept_path: str) -> None:
        """Removes a second copy of a living original from the vault, never the kept file itself by another way."""
        assert entry.asset is not None
        own_path, verdict = from_ledger(entry.asset["final_path"]), self._own_verdict(entry)
        self._put_away_if_nobodys(session, own_path, verdict)
        if isinstance(verdict, Living):
            own, kept = self._vault.storage / own_path, self._vault.storage / kept_path
            with contextlib.suppress(FileNotFoundError):
                if not is_one_entry(str(own), str(kept)):
                    own.unlink()


def _certain(verdict: Verdict) -> Verdict:
    if isinstance(verdict, Unknown):
        raise VaultTrouble(f"cannot find out whether an original is whole: {verdict.reason}; let this user read it")
    return verdict


def _duplicate_of(entry: LedgerEntry, kept_path: str) -> LedgerEntry:
    return turned(entry, "duplicate", to_ledger(kept_path), f"duplicate of {to_ledger(kept_path)}")


def _gone(entry: LedgerEntry) -> LedgerEntry:
    message = "gone from the vault before its row could be written"
    return LedgerEntry(turned(entry, "failed", entry.event["final_path"], message).event)


def _is_gone(entry: LedgerEntry) -> bool:
    """What `_gone` makes; no other failure knows where its file was to stand."""
    event = entry.event
    return entry.asset is None and event["fate"] == "failed" and None not in (event["file_hash"], event["final_path"])


def following(entry: LedgerEntry, where: Mapping[str, str]) -> LedgerEntry:
    """A duplicate of an original that turned out to be elsewhere."""
    path = where.get(entry.event["file_hash"] or "")
    if entry.asset is not None or entry.event["fate"] != "duplicate" or path in (None, entry.event["final_path"]):
        return entry
    assert path is not None
    return turned(entry, "duplicate", path, f"duplicate of {path}")
