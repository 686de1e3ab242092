"""Putting a rebuild in place, and taking it back: each one transaction, under the vault's lock.

What differs is written; all other rows are right as they stand. So nobody who reads or writes the ledger meanwhile is
kept waiting but for single rows, and until the commit the ledger is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import text

from Src.Library.belonging import Belonging
from Src.Library.overlay.current import lock_albums
from Src.Library.rebuilding.belongings import Belongings
from Src.Library.rebuilding.beside import Beside
from Src.Library.rebuilding.differences import UNDONE, Differences
from Src.Library.rebuilding.kept import Kept
from Src.Library.rebuilding.listed import not_found
from Src.Library.rebuilding.originals import Originals, doubtful
from Src.Library.rebuilding.taking_back import TakingBack
from Src.Library.vault import Vault
from Src.Shared.database import Database

_READING = 4  # threads


class Placing:
    """For one factory. `is_noted`: of these hashes, those that wait in the journal."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        belonging: Belonging,
        beside: Beside,
        is_noted: Callable[[Sequence[str]], Collection[str]],
    ) -> None:
        self._database = database
        self._vault = vault
        self._belonging = belonging
        self._beside = beside
        self._is_noted = is_noted

    def put(self, found: Differences, *, place: bool) -> None:
        """Compares, and with `place` makes the ledger what the rebuild says. Raises VaultTrouble, LedgerUnavailable."""
        with self._database.session() as session:
            asked = doubtful(session, self._beside)
        verdicts = dict(zip(asked, self._vault.verdicts(asked, _READING), strict=True))  # (may take long: not locked)
        with self._vault.lock():
            self._vault.check()
            with self._database.session() as session, found.written(self._vault):
                self._belonging.check(session)
                if place:  # (before any original is locked, as by all who decide: else each would wait for the other)
                    lock_albums(session)
                kept = Kept(session, self._beside.name)
                for part in (
                    Originals(session, self._beside, self._vault, kept, self._is_noted, verdicts),
                    Belongings(session, self._beside, self._vault, kept),
                ):
                    for one in part.compare(place=place):
                        found.add(one)
                for one in not_found(session, self._vault, f"{self._beside.name}."):
                    found.add(one)
                if place:
                    done = f"UPDATE {self._beside.name}.state SET begun_at = NULL"
                    last = "(SELECT coalesce(max(seq), 0) FROM overlay_events)"
                    session.execute(text(f"{done}, placed_at = now(), placed_seq = {last}" if kept.count else done))

    def take_back(self, found: Differences) -> None:
        """Puts back what the last rebuild has replaced, where nobody has changed it since.

        Raises RebuildProblem where nothing is kept, VaultTrouble, LedgerUnavailable.
        """
        with self._vault.lock():
            self._vault.check()
            with self._database.session() as session, found.written(self._vault, UNDONE):
                self._belonging.check(session)
                lock_albums(session)
                TakingBack(session, self._beside, found).run()
