"""Where the embedded server's files are.

In FACTORY_DATA, or where FACTORY_DB_DATA says. PostgreSQL does not run as root: for root it runs as another account,
which may not pass through folders that are their owner's alone. So root's is `/var/lib/photo-factory/VAULT_ID`, unless
there is one at the other place already. Which factory it belongs to is noted in it: a vault whose disk is not mounted
cannot say its id, and must not get a second ledger.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from Src.Shared.disk.locks import locked
from Src.Shared.disk.making import make_folder
from Src.Shared.disk.syncing import fsync_folder
from Src.Shared.settings import Settings
from Src.Shared.vault_marker import Marker, read_ledger_note, read_marker, write_ledger_note

ROOTS_PLACE = Path("/var/lib/photo-factory")

_FACTORY_NOTE = "factory-data"  # in the folder: the FACTORY_DATA to which it belongs
_NEW = ".making-"
_LOCK_LIMIT = 60.0  # seconds


def ledger_folder(settings: Settings) -> Path | None:
    """The folder of the embedded server; None: root's, which is not made yet."""
    if settings.db_data_is_given or os.geteuid() != 0 or _has_cluster(settings.db_data):
        return settings.db_data
    return _found(settings, _vault_id(settings))


def shown_ledger_folder(settings: Settings) -> str:
    """For people: where it is, or will be."""
    return str(ledger_folder(settings) or ROOTS_PLACE / str(_vault_id(settings) or "ID-OF-THE-VAULT"))


def made_ledger_folder(settings: Settings) -> Path:
    """`ledger_folder`, made where it is root's and missing. Raises OSError, LockHeld."""
    folder = ledger_folder(settings)
    if folder is not None:
        return folder
    make_folder(ROOTS_PLACE, 0o755)
    with locked(ROOTS_PLACE / ".lock", time.monotonic() + _LOCK_LIMIT):
        vault_id = _vault_id(settings)
        folder = _found(settings, vault_id)
        if folder is not None:  # another process was first
            return folder
        for left in ROOTS_PLACE.glob(f"{_NEW}*"):  # of one that was killed
            shutil.rmtree(left, ignore_errors=True)
        vault_id = vault_id or uuid.uuid4()
        new = ROOTS_PLACE / f"{_NEW}{vault_id}"
        new.mkdir(mode=0o700)
        write_ledger_note(new, vault_id)  # the vault takes the id from here, where it has none
        with open(new / _FACTORY_NOTE, "wb") as note:
            note.write(_factory(settings))
            note.flush()
            os.fsync(note.fileno())
        fsync_folder(new)
        folder = ROOTS_PLACE / str(vault_id)
        new.rename(folder)
        fsync_folder(ROOTS_PLACE)
        return folder


def _found(settings: Settings, vault_id: uuid.UUID | None) -> Path | None:
    try:
        folders = sorted(path for path in ROOTS_PLACE.iterdir() if not path.name.startswith("."))
    except OSError:
        return None

    def first(wanted: Callable[[Path], bool]) -> Path | None:
        return next(filter(wanted, folders), None)

    if vault_id is not None:
        return first(lambda folder: read_ledger_note(folder) == vault_id)
    return first(lambda folder: _noted_factory(folder) == _factory(settings))


def _noted_factory(folder: Path) -> bytes | None:
    try:
        return (folder / _FACTORY_NOTE).read_bytes()
    except OSError:
        return None


def _factory(settings: Settings) -> bytes:
    return os.fsencode(os.path.realpath(settings.data))


def _vault_id(settings: Settings) -> uuid.UUID | None:
    try:
        return (read_marker(settings.originals) or Marker()).vault_id
    except OSError:
        return None


def _has_cluster(data: Path) -> bool:
    """Of any version: what is not ours to read is refused by name where it is started."""
    return any((path / "PG_VERSION").exists() for path in (data, *data.glob("[0-9][0-9]")))
