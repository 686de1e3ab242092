"""Of files that the vault does not have: where it has their picture, in a file with other bytes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from Src.Factory.operate import looking
from Src.Factory.progress import progress_shown
from Src.Librarian.passage import Account, IncomingFile
from Src.Library.belonging import Belonging
from Src.Library.same_picture import SamePictures
from Src.Library.vault import Vault
from Src.Media.pictures.alike import Picture
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState, NotARegularFile
from Src.Shared.disk.top import open_regular_below
from Src.Shared.settings import Settings


class Found(NamedTuple):
    """What was found of some files."""

    at: dict[int, str]  # by the number of a file: where the same picture stands, relative to the storage root
    not_compared: int = 0  # for want of time
    was_stopped: bool = False


def same_pictures(settings: Settings, files: Sequence[Account | None]) -> Found:
    """Asks of each file that is a photo, and stands by itself. Raises LedgerUnavailable, WrongLedger, VaultTrouble."""
    asked = [
        (number, one.file, one.picture)
        for number, one in enumerate(files)
        if one is not None and one.picture is not None and one.file is not None and not one.file.is_unpacked
    ]
    found: dict[int, str] = {}
    vault = Vault(settings.storage)
    if not asked or not vault.is_marked():
        return Found(found)
    database = Database(settings, service="factory")
    belonging = Belonging(settings, vault)
    pictures = SamePictures(settings.storage, lambda: _own_session(belonging, database))
    try:
        database.ensure_ready()
        belonging.establish(database)
        with progress_shown("Comparing pictures") as show, looking(show, lambda: None) as working:
            working.progress.plan(len(asked))
            for done, (number, file, picture) in enumerate(asked):
                if working.was_stopped or pictures.is_over:
                    return Found(found, len(asked) - done, working.was_stopped)
                working.progress.steps(done, at=file.path)
                at = _found(file, picture, pictures)
                if at is not None:
                    found[number] = at
    finally:
        pictures.close()
        database.close()
    return Found(found)


@contextlib.contextmanager
def _own_session(belonging: Belonging, database: Database) -> Iterator[Session]:
    with database.session() as session:
        belonging.check(session)
        yield session


def _found(file: IncomingFile, picture: Picture, pictures: SamePictures) -> str | None:
    try:
        fd = open_regular_below(file.top, file.path)
    except (OSError, NotARegularFile):
        return None
    try:
        return pictures.find(fd, picture) if FileState.of(os.fstat(fd)) == file.state else None
    finally:
        os.close(fd)
