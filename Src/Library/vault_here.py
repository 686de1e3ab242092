"""Whether an open folder of originals is the vault's, and still is: not what lies below a mount point."""

from __future__ import annotations

import os
import uuid

from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.vault_marker import read_marker


def open_originals(vault: Vault) -> int:
    """The open folder of all originals, to be closed by the caller. Raises VaultTrouble."""
    try:
        return os.open(vault.originals, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise VaultTrouble.from_os(error, f"look into the vault {vault.originals}") from error


def check_here(vault: Vault, originals: int, vault_id: uuid.UUID | None) -> None:
    """It is the folder that has the marker with our id, which is still where it was. A vault that is not there has no
    missing originals. Raises VaultTrouble."""
    try:
        marker = read_marker(vault.originals)
        is_same = os.path.samestat(os.fstat(originals), os.stat(vault.originals))
    except OSError as error:
        raise VaultTrouble.from_os(error, f"look into the vault {vault.originals}") from error
    if marker is None or not is_same or marker.vault_id != vault_id:
        raise VaultTrouble(f"the vault is not at {vault.originals}")
