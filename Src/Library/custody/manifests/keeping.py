"""Brings the manifests up to date, and seals events, when a command ends."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from Src.Library.belonging import Belonging
from Src.Library.custody.manifests.store import BeingWritten
from Src.Library.custody.manifests.writing import Manifests
from Src.Library.vault import Vault
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.errors import FactoryError
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

_PATIENCE = 2.0  # seconds for another process, which writes them too; what must wait for one is left to the next


def manifests_now(
    settings: Settings,
    database: Database,
    *,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> None:
    """Brings them up to date, all of them; a warning says why they are not. What the command did is done in any case.

    A ledger that is away, or is none of this vault's, says so elsewhere. `stopped`: whether the rest can wait for the
    next one. `progress` gets how many days are done, of how many.
    """
    vault = Vault(settings.storage)
    try:
        if not vault.is_marked():  # nothing was ever filed, or the command has reported what is wrong with the vault
            return
        belonging = Belonging(settings, vault)
        if belonging.trouble(database) is not None:
            return
        belonging.establish(database)
        manifests = Manifests(vault, database, belonging, patience=_PATIENCE, vault_patience=_PATIENCE)
        done = 0
        while not stopped() and manifests.are_behind() and (written := manifests.write()).is_something:
            done += written.days
            progress(done, done + manifests.number_behind())
        trouble = manifests.trouble
    except BeingWritten as error:
        logger.debug("the signed lists of the photos are left to another: %s", error)
        return
    except LedgerUnavailable as error:
        logger.debug("the signed lists of the photos wait for the database: %s", error)
        return
    except (FactoryError, DBAPIError, OSError) as error:
        trouble = (str(error).splitlines() or [type(error).__name__])[0]
    if trouble is not None:
        logger.warning("the photos are safe, and their signed lists are not up to date: %s", trouble)
