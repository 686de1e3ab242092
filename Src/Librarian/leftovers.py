"""What a run that was killed had placed and not recorded, when another file of the same content comes first.

Mostly such a file is found in place when its incoming copy is read again, and gets its row. But where a file of the
same content is read before that, it gets the row, and the incoming copy is a duplicate: then nobody would ever ask
for what stands in the vault already. So what duplicates had left there is removed, or, while the ledger is away and
cannot tell whose it is, they are no duplicates yet: they get their row, and the journal's replay settles it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from Src.Librarian.clearing import is_one_entry, remove_other_name
from Src.Librarian.collision_handler import Decision, Duplicate, New, Twin
from Src.Librarian.fingerprint import NotARegularFile
from Src.Librarian.incoming import IncomingFile
from Src.Librarian.inspection import Inspected
from Src.Librarian.recorder import Recorder
from Src.Librarian.vault import Vault
from Src.Librarian.vault_trouble import VaultTrouble

logger = logging.getLogger(__name__)


def not_duplicates_yet(decisions: Sequence[Decision], vault: Vault) -> list[Decision]:
    """The decisions while the ledger cannot tell whose the file is that stands where a duplicate would be placed."""
    return [New(one.found) if _is_left(one, vault) else one for one in decisions]


def drop_leftovers(
    duplicates: Sequence[tuple[Inspected, str]], vault: Vault, recorder: Recorder
) -> dict[str, IncomingFile | None]:
    """Removes from the vault what duplicates had left there unrecorded; each comes with its living kept path.

    Under the vault's lock. The batch is recorded by now, so what cannot be removed stays, and holds up nothing.
    Returns, under their incoming paths, the files that this has changed (the leftover was another name of the file
    itself), and None for those whose leftover may have no row, which only the ledger could tell: it went away just now.
    """
    kept_of: dict[str, str] = {}
    incoming: dict[str, IncomingFile] = {}  # by what they have left
    for found, kept_path in duplicates:
        try:
            leftover = _standing(found, vault)
        except (OSError, VaultTrouble) as error:
            logger.warning("cannot tell whether a killed run has left %s: %s", found.file.name, error)
            continue
        if leftover is not None and leftover != kept_path:
            kept_of[leftover] = kept_path
            incoming[leftover] = found.file
    if not kept_of:
        return {}
    unrecorded = recorder.unrecorded(list(kept_of))
    if unrecorded is None:
        return dict.fromkeys(file.path for file in incoming.values())
    touched: dict[str, IncomingFile | None] = {}
    try:
        for path in unrecorded:
            file = incoming[path]
            touched[file.path] = _remove(path, kept_of[path], file, vault)
    except (OSError, VaultTrouble, NotARegularFile) as error:
        logger.warning("what a killed run has left cannot be removed: %s", error)
    return touched


def _is_left(decision: Decision, vault: Vault) -> bool:
    try:
        match decision:
            case Duplicate():
                return _standing(decision.found, vault) not in (None, decision.kept.final_path)
            case Twin():
                return _standing(decision.found, vault) not in (None, _standing(decision.first, vault))
            case _:
                return False
    except OSError as error:
        raise VaultTrouble.from_os(error, f"look for {decision.found.file.name} in the vault") from error


def _remove(path: str, kept_path: str, file: IncomingFile, vault: Vault) -> IncomingFile:
    leftover = vault.storage / path
    if is_one_entry(str(leftover), f"{vault.storage}/{kept_path}"):
        return file
    inode = os.lstat(leftover).st_ino
    if inode == file.state.inode and leftover.samefile(file.path):
        file = remove_other_name(file, leftover)
    else:
        leftover.unlink()
    vault.folder(os.path.dirname(path)).remove(leftover.name, inode)
    logger.info("%s was left by a run that was killed; its content is kept at %s", path, kept_path)
    return file


def _standing(found: Inspected, vault: Vault) -> str | None:
    """Where this very file would have been placed, if its content stands there."""
    relative = vault.day_folder(found.metadata.captured_at.date())
    if not Path(vault.storage, relative).is_dir():
        return None
    folder, state = vault.folder(relative), found.file.state
    name = folder.name_of(state.inode)
    if name is not None:
        status = os.lstat(folder.at(name))
        if (status.st_ino, status.st_dev) == (state.inode, state.device):
            return f"{relative}/{name}"
    standing = folder.standing(found.file.name, state.size, found.sha256)
    return None if standing is None else f"{relative}/{standing[0]}"
