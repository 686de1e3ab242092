"""The mirror after an act, and after the loss of a ledger, for whoever has settings and a database."""

from __future__ import annotations

from Src.Library.belonging import Belonging, WrongLedger
from Src.Library.overlay.mirror import Mirror
from Src.Library.overlay.replay import Replayed, replay
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.settings import Settings


def may_decide(settings: Settings, database: Database) -> None:
    """Raises WrongLedger where this ledger is not the vault's, or is being made anew: nothing is decided then."""
    try:
        reason = Belonging(settings, Vault(settings.storage)).trouble(database)
    except VaultTrouble as trouble:
        if isinstance(trouble, WrongLedger):
            raise
        return  # a vault that is away keeps nobody from deciding; the mirror follows when it is back
    if reason is not None:
        raise WrongLedger(reason)


def mirror_now(settings: Settings, database: Database) -> str | None:
    """Brings the mirror up to date after an act; None, or why it is not: then the Librarian does it later."""
    vault = Vault(settings.storage)
    belonging = Belonging(settings, vault)
    try:
        vault.check()
        belonging.establish(database)
        Mirror(vault).bring_up(database, belonging)
    except (VaultTrouble, LedgerUnavailable) as trouble:
        return str(trouble)
    return None


def bring_back(database: Database, vault: Vault, belonging: Belonging) -> Replayed:
    """Decides again what only the mirror knows. Raises VaultTrouble, LedgerUnavailable."""
    mirror = Mirror(vault)
    mirror.bring_up(database, belonging)
    with database.session() as session:
        belonging.check(session)
        return replay(session, mirror)
