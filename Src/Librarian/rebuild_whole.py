"""The whole ledger anew: first beside the one that is there, then compared with it and put in place.

Phase one is the rebuild of `rebuild.py`, into another schema of the same database; what a kill leaves there, the next
run goes on with. Phase two is one transaction (`Src/Library/rebuilding/`). A ledger that has no originals, or was lost
and is being made anew already, is filled where it is: there is nothing to compare with, and nothing to lose.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from sqlalchemy import text

from Src.Librarian.rebuild import Rebuild
from Src.Librarian.rebuilt import Rebuilt
from Src.Librarian.record.journal import Journal
from Src.Library.belonging import Belonging
from Src.Library.belonging_verdict import ledger_side
from Src.Library.hash_cache import CachedFile, HashCache
from Src.Library.operation import Progress
from Src.Library.overlay.keeping import bring_back
from Src.Library.overlay.replay import settle_albums
from Src.Library.rebuilding.beside import Beside
from Src.Library.rebuilding.differences import Differences
from Src.Library.rebuilding.listed import not_found
from Src.Library.rebuilding.placing import Placing
from Src.Library.vault import Vault
from Src.Shared.database import Database, asking
from Src.Shared.disk.files import FileState
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.settings import Settings


@dataclass(slots=True)
class RebuiltWhole:
    """What came of it."""

    rebuilt: Rebuilt
    differences: Differences = field(default_factory=Differences)
    resumed: bool = False
    placed: bool = False  # the ledger is what the rebuild says
    in_place: bool = False  # there was no ledger to compare with


class WholeRebuild:
    """One run. `database`: the ledger, with patience for statements that go over all rows (`ANSWER_LIMIT`)."""

    def __init__(
        self, settings: Settings, database: Database, *, dry_run: bool = False, trust_cache: bool = False
    ) -> None:
        self._settings = settings
        self._database = database
        self._dry_run = dry_run
        self._trust_cache = trust_cache
        self._vault = Vault(settings.storage)
        self._journal = Journal(self._vault.state / "journal")
        self._cache = HashCache(database, only_look=True)
        self._beside = Beside(settings, database)
        self._reading: Rebuild | None = None
        self._is_stopped = False
        self.progress: Progress | None = None

    def stop(self) -> None:
        """Ends `run` soon; what is read by then need not be read again. Signal-safe."""
        self._is_stopped = True
        if self._reading is not None:
            self._reading.stop()

    def run(self) -> RebuiltWhole:
        """Raises WrongLedger, VaultTrouble, LedgerUnavailable, RebuildProblem; it can be run again."""
        self._database.ensure_ready()
        with self._database.session() as session:
            ledger = ledger_side(asking(session))
        if ledger.is_rebuilding or not ledger.has_originals:
            done = self._read(self._database, dry_run=self._dry_run)
            whole = RebuiltWhole(done, placed=done.complete and not self._dry_run, in_place=True)
            if whole.placed:
                with whole.differences.written(self._vault), self._database.session() as session:
                    for one in not_found(session, self._vault):
                        whole.differences.add(one)
            return whole
        belonging = Belonging(self._settings, self._vault)
        self._vault.check()
        belonging.establish(self._database)
        self._beside.open()
        # What people decided and only the mirror knows comes first: so the rows that are noted next have it.
        replayed = None if self._dry_run else bring_back(self._database, self._vault, belonging)
        resumed = self._beside.begin(trusting=self._trust_cache)
        with closing(self._beside.database()) as database:
            with database.session() as session:
                settle_albums(session)
            whole = RebuiltWhole(self._read(database, beside=True), resumed=resumed)
        whole.rebuilt.from_nothing, whole.rebuilt.dry_run = False, self._dry_run  # (beside it is otherwise)
        whole.rebuilt.decided = 0 if replayed is None else replayed.events
        if not whole.rebuilt.complete or self._is_stopped:
            whole.rebuilt.complete = False
            return whole
        placing = Placing(self._database, self._vault, belonging, self._beside, self._noted)
        placing.put(whole.differences, place=not self._dry_run)
        if not self._dry_run:
            whole.placed = True
            self._beside.clean_up()
        else:
            self._beside.give_up()
        return whole

    def _read(self, database: Database, *, dry_run: bool = False, beside: bool = False) -> Rebuilt:
        believed = self._believed if beside and self._trust_cache else None
        self._reading = Rebuild(
            self._settings, database, dry_run=dry_run, beside=self._beside if beside else None, believed=believed
        )
        self._reading.progress = self.progress
        if self._is_stopped:
            self._reading.stop()
        return self._reading.run()

    def _noted(self, hashes: Sequence[str]) -> Collection[str]:
        return self._journal.known(hashes).keys()

    def _believed(self, files: Mapping[str, FileState]) -> Collection[str]:
        """Originals that are as they were when they were last known to be right, by all that a file's entry says.

        Their rows are taken over. Raises LedgerUnavailable.
        """
        asked = (
            f"SELECT a.final_path, a.file_hash, a.file_size, l.mtime_ns FROM {self._beside.live}.media_assets AS a "
            f"JOIN {self._beside.name}.was AS w ON w.kind = 'original' AND w.key = a.file_hash "
            f"LEFT JOIN {self._beside.live}.original_looks AS l ON l.asset_id = a.id AND l.ingested_at = a.ingested_at "
            "WHERE a.final_path = ANY (CAST(:paths AS text[])) AND NOT EXISTS "
            f"(SELECT FROM {self._beside.live}.original_findings AS f WHERE f.asset_id = a.id)"
        )
        with self._database.session() as session:
            rows = session.execute(text(asked), {"paths": [to_ledger(path) for path in files]}).all()
        names = {path: f"{self._settings.storage}/{path}" for path in files}
        known = self._cache.hashes([CachedFile(names[path], state) for path, state in files.items()], to_verify=True)
        believed: dict[str, FileState] = {}
        for path, sha256, size, mtime_ns in rows:
            name = from_ledger(path)
            state = files[name]
            if known.get(names[name]) == sha256 or (state.size, state.mtime_ns) == (size, mtime_ns):
                believed[name] = state
        self._beside.believe(believed)
        return believed


class UndoneRebuild:
    """`rebuild --undo`: what the last rebuild has replaced comes back."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def run(self) -> Differences:
        """Raises RebuildProblem where there is nothing to undo, WrongLedger, VaultTrouble, LedgerUnavailable."""
        vault = Vault(self._settings.storage)
        belonging = Belonging(self._settings, vault)
        self._database.ensure_ready()
        vault.check()
        belonging.establish(self._database)
        beside = Beside(self._settings, self._database)
        beside.open()
        found = Differences()
        Placing(self._database, vault, belonging, beside, lambda _: ()).take_back(found)
        return found
