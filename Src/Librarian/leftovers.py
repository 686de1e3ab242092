"""What a run that was killed had placed and not recorded, when another file of the same content comes first.

Mostly such a file is found in place when its incoming copy is read again, and gets its row. But where a file of the
same content is read before that, it gets the row, and the incoming copy is a duplicate: then nobody would ever ask
for what stands in the vault already. So what duplicates had left there is removed, or, while the ledger is away and
cannot tell whose it is, they are no duplicates yet: they get their row, and the journal's replay finds out.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from Src.Librarian.clear.clearing import remove_other_name
from Src.Librarian.passage import Duplicate, IncomingFile, Inspected, New, Passage, Twin, Undecided
from Src.Librarian.record.recorder import Recorder
from Src.Library.vault import Vault
from Src.Library.vault_folder import is_one_entry
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Living
from Src.Shared.disk.files import NotARegularFile
from Src.Shared.disk.top import regular_state_below
from Src.Shared.ledger_text import from_ledger

logger = logging.getLogger(__name__)


def not_duplicates_yet(batch: Sequence[Passage], vault: Vault) -> list[Passage]:
    """The batch while the ledger cannot tell whose the file is that stands where a duplicate would be placed."""
    return [replace(one, decision=New()) if _is_left(one, vault) else one for one in batch]


def drop_leftovers(batch: Sequence[Passage], vault: Vault, recorder: Recorder) -> list[Passage]:
    """Removes from the vault what the batch's duplicates had left there unrecorded.

    Under the vault's lock. The batch is recorded by now, so what cannot be removed stays, and holds up nothing.
    Returns the batch with the files that this has changed (the leftover was another name of the file itself). A
    leftover of which only the ledger could tell whether it has a row, and that went away just now, is left; its
    duplicate is to be read again.
    """
    leftovers = {path: one for one in batch if (path := _leftover_of(one, vault)) is not None}
    if not leftovers:
        return list(batch)
    after = {one.file.path: one for one in batch}
    unrecorded = recorder.unrecorded(list(leftovers))
    if unrecorded is None:
        after |= {one.file.path: _to_be_read_again(one) for one in leftovers.values()}
        return list(after.values())
    try:
        for path in unrecorded:
            one = leftovers[path]
            file = _remove(path, _kept_path(one), one.found, vault)
            after[one.file.path] = (
                _to_be_read_again(one) if file is None else replace(one, found=one.found._replace(file=file))
            )
    except (OSError, VaultTrouble, NotARegularFile) as error:
        logger.warning("what a killed run has left cannot be removed: %s", error)
    return list(after.values())


def _leftover_of(one: Passage, vault: Vault) -> str | None:
    """Where a recorded duplicate stands in the vault beside the living original."""
    if not isinstance(one.decision, Duplicate | Twin) or one.entry is None or one.refusal is not None:
        return None
    try:
        standing = _standing(one.found, vault)
    except (OSError, VaultTrouble) as error:
        logger.warning("cannot find out whether a killed run has left %s: %s", one.file.name, error)
        return None
    return None if standing == _kept_path(one) else standing


def _kept_path(one: Passage) -> str:
    """Of a recorded duplicate."""
    assert one.entry is not None and one.entry.event["final_path"] is not None
    return from_ledger(one.entry.event["final_path"])


def _to_be_read_again(one: Passage) -> Passage:
    return replace(one, decision=Undecided(None))


def _is_left(one: Passage, vault: Vault) -> bool:
    try:
        match one.decision:
            case Duplicate(kept_path):
                return _standing(one.found, vault) not in (None, kept_path)
            case Twin(first):
                return _standing(one.found, vault) not in (None, _standing(first, vault))
            case _:
                return False
    except OSError as error:
        raise VaultTrouble.from_os(error, f"look for {one.file.name} in the vault") from error


def _remove(path: str, kept_path: str, found: Inspected, vault: Vault) -> IncomingFile | None:
    def lives(at: str) -> bool:
        return isinstance(vault.verdict(at, found.sha256, found.file.state.size), Living)

    if not lives(kept_path):
        return None  # what was kept a moment ago is to be looked at anew
    leftover, file = vault.storage / path, found.file
    if is_one_entry(str(leftover), f"{vault.storage}/{kept_path}"):
        return file
    inode = os.lstat(leftover).st_ino
    if inode == file.state.inode and _is_the_incoming_file(leftover, file):
        file = remove_other_name(file, leftover)
    elif lives(path):
        leftover.unlink()
    else:
        return None
    vault.folder(os.path.dirname(path)).remove(leftover.name, inode)
    logger.info("%s was left by a run that was killed; its content is kept at %s", path, kept_path)
    return file


def _is_the_incoming_file(leftover: Path, file: IncomingFile) -> bool:
    incoming, status = regular_state_below(file.top, file.path), os.lstat(leftover)
    return incoming is not None and (incoming.inode, incoming.device) == (status.st_ino, status.st_dev)


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
