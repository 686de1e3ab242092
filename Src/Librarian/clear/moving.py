"""Move: the source of an import goes, and nothing of ours stays beside it.

There is no grace here. So a source goes only where the kernel says that nobody writes to it; else it stays. It is
renamed first, to a hidden name in its own folder: then one look shows whether that is what was filed, and whether
somebody opened it meanwhile. After a kill between the two steps the next import finds that name, and goes on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from Src.Librarian.clear.clearing import Cleared, Filed, Originals, may_go, stands
from Src.Library.inbox import MOVING
from Src.Library.vault import Vault
from Src.Library.vault_folder import numbered_names
from Src.Shared.disk.beneath import rename_unless_taken_at
from Src.Shared.disk.files import FileState, NotARegularFile, open_regular
from Src.Shared.disk.leases import ReadLease
from Src.Shared.disk.top import parent_below
from Src.Shared.models import new_id

logger = logging.getLogger(__name__)

_LONGEST_NAME = 255  # bytes


def remove_sources(batch: Sequence[Filed], vault: Vault) -> list[Cleared]:
    """Removes source files whose content is safe in the vault and was read there."""
    try:
        with Originals(vault) as originals:
            return [_remove(one, originals) for one in batch]
    except OSError:  # the vault has gone
        return ["not_now"] * len(batch)


def _remove(one: Filed, originals: Originals) -> Cleared:
    file = one.file
    try:
        with parent_below(file.top, file.path) as (folder, name):
            try:
                return _remove_name(one, folder, name, originals)
            except FileNotFoundError:
                return "not_now" if stands(folder, name) else "gone"
    except FileNotFoundError:  # its folder is not there any more
        return "gone"
    except (NotARegularFile, BlockingIOError):
        return "not_now"
    except OSError as error:
        logger.warning("%s is filed, but cannot be removed: %s", file.original_path, error.strerror)
        return "stays"


def _remove_name(one: Filed, folder: int, name: str, originals: Originals) -> Cleared:
    fd = open_regular(name, folder)
    try:
        with ReadLease(fd) as lease:
            kept = may_go(one, folder, name, originals, lease)
            if not isinstance(kept, os.stat_result):
                return kept
            if not lease.given:
                return "unsure"
            before = os.fstat(fd)
            hidden = _hidden_name(name)
            rename_unless_taken_at(folder, name, folder, hidden)
            after = os.lstat(hidden, dir_fd=folder)
            same = os.path.samestat(before, after) and FileState.of(after).same_content(one.file.state)
            if same and not lease.somebody_waits():
                os.unlink(hidden, dir_fd=folder)
                return "gone"
            _bring_back(folder, hidden, name)
            logger.info("%s was changed meanwhile; it stays", one.file.original_path)
            return "not_now"
    finally:
        os.close(fd)


def _hidden_name(name: str) -> str:
    """A name that nobody else has, and that says which it was, if there is room."""
    hidden = f"{MOVING}{new_id().hex[-8:]}-"
    return hidden + name if len(os.fsencode(hidden + name)) <= _LONGEST_NAME else hidden.rstrip("-")


def _bring_back(folder: int, hidden: str, name: str) -> None:
    for candidate in numbered_names(name):
        try:
            rename_unless_taken_at(folder, hidden, folder, candidate)
        except FileExistsError:
            continue
        return
