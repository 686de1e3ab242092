"""What an import would do: decided as it would be, and nothing changed, neither vault, ledger, nor source."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from Src.Librarian import whose
from Src.Librarian.passage import (
    Changing,
    Companion,
    Gone,
    IncomingFile,
    Inspected,
    Inspection,
    Kept,
    NotMedia,
    Outcome,
    Sidecar,
    Unreadable,
)
from Src.Librarian.record import ledger_entry, statements
from Src.Librarian.record.journal import Journal
from Src.Librarian.sidecars import as_companion
from Src.Library.belonging import Belonging, WrongLedger
from Src.Library.trash import Removed, removed, removed_words
from Src.Library.vault import Vault
from Src.Library.vault_folder import name_key, numbered_names
from Src.Media.companion_names import group, rank
from Src.Shared.database import Database
from Src.Shared.settings import Settings


class DryRun:
    """Settles inspections in thought."""

    def __init__(self, settings: Settings, database: Database, vault: Vault) -> None:
        self._settings = settings
        self._database = database
        self._vault = vault
        self._journal = Journal(vault.state / "journal")
        self._is_new = False
        self._seen: dict[str, str] = {}  # by hash: where it would be
        self._taken: dict[str, set[str]] = {}  # by day: keys of names
        self._removed: dict[str, Removed] = {}
        self._used: set[str] = set()  # sidecars
        self._photos: defaultdict[tuple[str, str], set[str]] = defaultdict(set)  # that would be there, by folder

    def prepare(self) -> None:
        """Sees whose ledger this is; a new factory has none yet.

        Raises WrongLedger, LedgerUnavailable, VaultTrouble.
        """
        self._is_new = not self._vault.is_marked()
        if not self._is_new:
            wrong = Belonging(self._settings, self._vault).trouble(self._database)
            if wrong is not None:
                raise WrongLedger(wrong)

    @property
    def knows_ledger(self) -> bool:
        """Whether there is a ledger to ask what earlier imports did."""
        return not self._is_new

    def settle(self, inspections: Sequence[Inspection]) -> list[Outcome]:
        """What would become of a batch. Raises LedgerUnavailable, VaultTrouble."""
        return [
            replace(one, companion_sha256=found.sha256) if isinstance(found, Companion | Sidecar) else one
            for found, one in zip(inspections, self._outcomes(inspections), strict=True)
        ]

    def _outcomes(self, inspections: Sequence[Inspection]) -> list[Outcome]:
        hashes = [found.sha256 for found in inspections if isinstance(found, Inspected)]
        known = self._known(hashes)
        if hashes and not self._is_new:
            with self._database.session() as session:
                self._removed |= removed(session, hashes)
        return [self._settled(found, known) for found in inspections]

    def _settled(self, found: Inspection, known: dict[str, Kept]) -> Outcome:
        match found:
            case Inspected():
                beside = as_companion(found)
                if beside is not None and self._has_photo(beside):
                    reason = "of a film beside it"
                    return Outcome(found.file, "companion", reason=reason, companion_sha256=found.sha256)
                self._photos[_group_of(found.file)].add(found.file.name)
                return self._decided(found, known.get(found.sha256))
            case Companion(file=file, kind=kind):
                if self._has_photo(found):
                    return Outcome(file, "companion", reason="of a photo beside it")
                reason = f"{whose.what(kind)}; joined to its photo, if that was added before"
                return Outcome(file, "not_media" if kind == "audio" else "sidecar", reason=reason)
            case Sidecar(file=file):
                if file.original_path in self._used:
                    return Outcome(file, "companion", reason="of a photo beside it")
                return Outcome(file, "sidecar", reason="an XMP file; joined to its photo, if that was added before")
            case NotMedia(file):
                return Outcome(file, "not_media")
            case Changing(file):
                return Outcome(file, "changing")
            case Gone(file):
                return Outcome(file, "gone")
            case Unreadable(file, reason):
                return Outcome(file, "failed", reason=reason)

    def _has_photo(self, one: Companion) -> bool:
        names = self._photos.get(_group_of(one.file), ())
        return any(rank(one.kind, one.file.name, name) is not None for name in names)

    def _decided(self, found: Inspected, kept: Kept | None) -> Outcome:
        file, used = found.file, found.metadata.sidecar
        if used is not None:
            self._used.add(ledger_entry.sidecar_path(file, used.name))
        if found.sha256 in self._seen:
            return Outcome(file, "duplicate", self._seen[found.sha256], found=found)
        if (gone := self._removed.get(found.sha256)) is not None:
            return Outcome(file, "unwanted", gone.trash_path, removed_words(gone), found=found)
        if kept is not None and kept.final_path is not None:
            # A look is enough to foretell; before anything is removed, an import reads its bytes.
            stands = self._vault.looks_kept(kept.final_path, kept.size)
            self._seen[found.sha256] = kept.final_path
            return Outcome(file, "duplicate" if stands else "restored", kept.final_path, found=found)
        where = self._free(self._vault.day_folder(found.metadata.captured_at.date()), file.name)
        self._seen[found.sha256] = where
        return Outcome(file, "new", where, found=found)

    def _known(self, hashes: Sequence[str]) -> dict[str, Kept]:
        if self._is_new or not hashes:
            return {}
        with self._database.session() as session:
            recorded = statements.kept(session, hashes)
        return self._journal.kept(hashes) | recorded

    def _free(self, folder: str, name: str) -> str:
        """The first free name in a day's folder, as it is and as it would be by now."""
        if folder not in self._taken:
            try:
                with self._vault.opened(folder) as fd:
                    self._taken[folder] = {name_key(standing) for standing in os.listdir(fd)}
            except OSError:  # it is not there yet
                self._taken[folder] = set()
        taken = self._taken[folder]
        free = next(one for one in numbered_names(name) if name_key(one) not in taken)
        taken.add(name_key(free))
        return f"{folder}/{free}"


def _group_of(file: IncomingFile) -> tuple[str, str]:
    return os.path.dirname(file.original_path), group(file.name)
