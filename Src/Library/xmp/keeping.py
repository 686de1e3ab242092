"""The XMP files after an act, for whoever has settings and a database."""

from __future__ import annotations

import logging

from sqlalchemy.exc import DBAPIError

from Src.Library.belonging import Belonging
from Src.Library.file_acts import FileActs
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.xmp.writing import XmpFiles
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.errors import FactoryError
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

_PATIENCE = 2.0  # seconds for another process that has the vault's lock: that writes them, too


def xmp_files(settings: Settings, database: Database, vault: Vault) -> tuple[XmpFiles, FileActs]:
    """The XMP files of a vault, and who carries out what other programs have decided there.

    Raises VaultTrouble, which may be a WrongLedger, and LedgerUnavailable.
    """
    vault.check()
    belonging = Belonging(settings, vault)
    belonging.establish(database)
    file_acts = FileActs(vault, database, settings.zone, belonging)
    return XmpFiles(vault, file_acts, writes=settings.xmp_files), file_acts


def write_some(settings: Settings, database: Database) -> None:
    """Writes the first decisions that wait, for as long as a person does not notice; the Librarian writes the rest.

    Raises nothing: the decision has been made, and the command ends well.
    """
    if not settings.xmp_files:
        return
    vault = Vault(settings.storage)
    vault.patience = _PATIENCE
    try:
        files, _ = xmp_files(settings, database, vault)
        if files.are_waiting():
            files.write()
    except (VaultTrouble, LedgerUnavailable) as trouble:
        logger.debug("XMP files are not written yet: %s", trouble)
    except (FactoryError, DBAPIError, OSError) as trouble:
        logger.warning(
            "it is decided, and the XMP files beside the photos are not written yet: %s", _first_line(trouble)
        )


def _first_line(trouble: Exception) -> str:
    lines = str(trouble).splitlines()
    return lines[0] if lines else type(trouble).__name__
