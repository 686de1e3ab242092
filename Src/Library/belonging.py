"""One vault, one ledger: which belong together, and what is refused where they do not.

An empty or foreign ledger beside a full vault would be taken for a new factory's: every photo would be filed a second
time. So vault and ledger carry the same random id. The ledger gets it first, the vault's marker second: a kill in
between leaves an id that the next start hands on. docs/ARCHITECTURE.md has the table of all cases.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from typing import cast

from sqlalchemy import Table, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from Src.Library.belonging_verdict import (
    LedgerSide,
    Refused,
    Why,
    WrongLedger,
    ledger_side,
    looking_into,
    marker_of,
    stands,
    trouble_of,
    verdict_on,
)
from Src.Library.vault import Vault
from Src.Shared.database import Database, asking
from Src.Shared.disk.making import SHARED, make_folder
from Src.Shared.disk.syncing import fsync_folder
from Src.Shared.ledger_kind import ledger_kind
from Src.Shared.models import VaultRow
from Src.Shared.postgres import place
from Src.Shared.postgres.place import ledger_folder
from Src.Shared.settings import Settings
from Src.Shared.vault_marker import (
    Marker,
    change_marker,
    drop_half_written,
    holds_originals,
    read_ledger_note,
    read_marker,
    same_kind,
    second_ledger,
    write_ledger_note,
)

__all__ = ["Belonging", "WrongLedger"]

logger = logging.getLogger(__name__)

_ROW = cast(Table, VaultRow.__table__)


class Belonging:
    """Whether the ledger at hand is the vault's. Sees to it that both know of each other."""

    def __init__(self, settings: Settings, vault: Vault, *, rebuilding: bool = False) -> None:
        """`rebuilding`: for the rebuild itself, which may write into a ledger that is not whole yet."""
        self._settings = settings
        self._vault = vault
        self._kind = ledger_kind(settings)
        self._rebuilding = rebuilding
        self._recorded = False
        self._marker_refused = False
        self.vault_id: uuid.UUID | None = None  # once it is known that they belong together

    def before_contact(self) -> None:
        """While the ledger is away. Raises WrongLedger where the vault's is of another kind, which nobody asked."""
        marker = self._marker()
        if marker is not None and marker.ledger is not None and not same_kind(marker.ledger, self._kind):
            raise WrongLedger(second_ledger(self._vault.originals, marker.ledger, self._kind))

    def establish(self, database: Database) -> None:
        """Finds out whether they belong together, and completes what either does not know yet.

        Does nothing where the vault is not there. Raises WrongLedger, VaultTrouble, LedgerUnavailable.
        """
        if self._rebuilding and self.vault_id is not None:  # taken already
            with database.session() as session:
                self.check(session)
            return
        self.vault_id = None
        marker = self._marker()
        if marker is not None:
            verdict, ledger = self._verdict(database, marker)
            self._bind(database, self._accepted(verdict), recorded=ledger.has_originals)

    def found(self, database: Database) -> None:
        """Makes the vault of a new factory; its ledger, which knows no original, gets the id first.

        Raises WrongLedger where there are originals already.
        """
        verdict, _ = self._verdict(database, None)
        self._bind(database, self._accepted(verdict), recorded=False)

    def trouble(self, database: Database) -> str | None:
        """The sentence where they do not belong together. Changes nothing. Raises LedgerUnavailable, VaultTrouble."""
        marker = self._marker()
        verdict, ledger = self._verdict(database, marker)
        return trouble_of(marker, ledger, verdict)

    def take(self, database: Database, *, changes: bool = True) -> bool:
        """A person says that they belong together (`rebuild --missing`); whether the whole ledger is to be made anew.

        Raises WrongLedger where that would make a second ledger, or take one that is another vault's. Without
        `changes` it is only asked.
        """
        marker = self._marker()
        ledger = self._read(database)
        if marker is None and ledger.has_originals:
            self._vault.check()
        verdict, _ = self._verdict(database, marker)
        if isinstance(verdict, Refused) and not self._may_take(verdict.why, marker or Marker(), ledger, database):
            raise WrongLedger(verdict.reason)
        anew = ledger.is_rebuilding or not ledger.has_originals
        if changes:
            ours = marker.vault_id if marker is not None else None
            vault_id = ours or ledger.vault_id or self._new_id()
            self._bind(database, vault_id, recorded=ledger.has_originals, take=True, anew=anew)
        return anew

    def restored(self, database: Database) -> str | None:
        """Notes in the vault where its ledger is now, after a person has put a backup in the ledger's place.

        Returns the sentence where the backup is not this vault's. Raises LedgerUnavailable, VaultTrouble.
        """
        marker = self._marker()
        if marker is None:  # the next filing reports a vault that is not there
            return None
        verdict, ledger = self._verdict(database, marker)
        if isinstance(verdict, Refused):
            if verdict.why != "second" or not self._may_take(verdict.why, marker, ledger, database):
                return verdict.reason
            verdict = marker.vault_id or ledger.vault_id
        self._bind(database, verdict or self._new_id(), recorded=ledger.has_originals)
        return None

    def _may_take(self, why: Why, marker: Marker, ledger: LedgerSide, database: Database) -> bool:
        match why:
            case "foreign":  # it may know the originals of the other vault
                return not ledger.has_originals
            case "second":  # an empty one: the vault's own would come back beside it
                is_same = marker.vault_id is not None and marker.vault_id == ledger.vault_id
                return ledger.has_originals and (is_same or self._stands(database))
            case "unrelated":
                with looking_into(self._vault):
                    return not holds_originals(self._vault.originals)
            case _:
                return True

    def rebuilt(self, database: Database) -> None:
        """The rebuild has come to its end: from now on the ledger counts. Raises LedgerUnavailable."""
        with database.session() as session:
            session.execute(update(_ROW).values(rebuilding_since=None))
        self.note_recorded()

    def check(self, session: Session) -> None:
        """In each transaction that decides or writes: it is still the ledger that was found to be the vault's.

        Raises WrongLedger; then `establish` must ask anew.
        """
        ledger = ledger_side(asking(session))
        if self.vault_id is None or ledger.vault_id != self.vault_id:
            raise WrongLedger("the database was exchanged meanwhile; it is looked at anew")
        if self._rebuilding:
            return
        if ledger.is_rebuilding or (self._recorded and not ledger.has_originals):
            raise WrongLedger("the database was emptied meanwhile; it is looked at anew")

    def note_recorded(self) -> None:
        """The ledger has rows of originals: from now on an empty one is not it. Cheap where that is noted."""
        if self._recorded or self._marker_refused or self.vault_id is None:
            return
        try:
            change_marker(self._vault.originals, lambda marker: replace(marker, recorded=True))
            self._recorded = True
        except OSError as error:
            self._marker_refused = True
            logger.warning("cannot note in the vault that its database has originals: %s", error.strerror)

    # Parts

    def _accepted(self, verdict: uuid.UUID | Refused | None) -> uuid.UUID:
        if isinstance(verdict, Refused):
            raise WrongLedger(verdict.reason)
        return verdict or self._new_id()

    def _new_id(self) -> uuid.UUID:
        """The one by which the ledger's folder is named, where that is so; else a new one."""
        folder = ledger_folder(self._settings) if self._kind == "embedded" else None
        noted = read_ledger_note(folder) if folder is not None and folder.parent == place.ROOTS_PLACE else None
        return noted or uuid.uuid4()

    def _verdict(self, database: Database, marker: Marker | None) -> tuple[uuid.UUID | Refused | None, LedgerSide]:
        ledger = self._read(database)
        if self._rebuilding:
            ledger = replace(ledger, is_rebuilding=False)
        verdict = verdict_on(self._vault, marker, ledger, self._kind, lambda: self._stands(database))
        return verdict, ledger

    def _read(self, database: Database) -> LedgerSide:
        with database.session() as session:
            return ledger_side(asking(session))

    def _stands(self, database: Database) -> bool:
        """Whether one of the ledger's oldest and newest originals is in the vault, byte for byte."""
        with database.session() as session:
            return stands(asking(session), self._vault)

    def _bind(
        self, database: Database, vault_id: uuid.UUID, *, recorded: bool, take: bool = False, anew: bool = False
    ) -> None:
        """The ledger first, then the marker. `take`: also where the ledger has another id, which counts no more."""
        with database.session() as session:
            session.execute(insert(_ROW).values(vault_id=vault_id, ledger_kind=self._kind).on_conflict_do_nothing())
            if take:
                session.execute(update(_ROW).where(_ROW.c.vault_id != vault_id).values(vault_id=vault_id))
            session.execute(update(_ROW).where(_ROW.c.ledger_kind != self._kind).values(ledger_kind=self._kind))
            if anew:
                since = func.coalesce(_ROW.c.rebuilding_since, func.now())
                session.execute(update(_ROW).values(rebuilding_since=since))
            vault_id = session.execute(select(_ROW.c.vault_id)).scalar_one()  # another process may have been first
        originals = self._vault.originals
        with looking_into(self._vault, f"write the marker of the vault {originals}"):
            is_new = read_marker(originals) is None
            if is_new:
                make_folder(originals, SHARED, self._settings.group)
            drop_half_written(originals)
            marker = change_marker(originals, lambda old: Marker(vault_id, self._kind, old.recorded or recorded))
            if is_new:
                for folder in (originals, self._vault.storage, self._vault.storage.parent):
                    fsync_folder(folder)
                logger.info("created the vault %s", originals)
        self.vault_id, self._recorded = marker.vault_id, marker.recorded
        if self._kind == "embedded":
            try:
                write_ledger_note(ledger_folder(self._settings) or self._settings.db_data, vault_id)
            except OSError as error:  # who reads it can do without
                logger.warning("cannot note beside the database whose it is: %s", error)

    def _marker(self) -> Marker | None:
        return marker_of(self._vault)
