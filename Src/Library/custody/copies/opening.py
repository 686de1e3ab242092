"""Opening a copy: by its target's form, and only where its marker says that it is this one, of this vault."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from Src.Library.custody.copies.credentials import credentials_of
from Src.Library.custody.copies.folder import FolderTarget
from Src.Library.custody.copies.marker import LONGEST, MARKER, CopyMarker, marker_of
from Src.Library.custody.copies.place import has_own_disk
from Src.Library.custody.copies.rows import CopyRow, CopyRows
from Src.Library.custody.copies.target import Spent, Target, content_at
from Src.Library.custody.copies.trouble import CopyTrouble, FileRefused, NotThere
from Src.Library.custody.rows import Sessions
from Src.Library.own_folders import OwnFolders
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import new_id
from Src.Shared.settings import Settings

if TYPE_CHECKING:  # only who has an encrypted copy loads what it needs
    from Src.Library.custody.copies.sealed import SealedTarget

FOLDERS = ("Originals", "Manifests", "Overlay", "Database")  # what a copy has
_SCHEME = re.compile("([a-z][a-z0-9+.-]*)://")


def kind_of(given: str) -> str:
    """`folder`, `sftp` or `s3`, by the form of a target. Raises CopyTrouble."""
    scheme = _SCHEME.match(given)
    if scheme is None:
        return "folder"
    if scheme[1] not in ("sftp", "s3"):
        raise CopyTrouble(f"{to_ledger(given)}: is no target; give a folder, sftp://USER@HOST/FOLDER or s3://BUCKET")
    return scheme[1]


def open_raw(settings: Settings, name: str, kind: str, target: str, spent: Spent = lambda _: None) -> Target:
    """Whatever is there, and whosever, as it is. `name`: of the copy. `target`: as on disk. Raises CopyTrouble."""
    if kind == "folder":
        return FolderTarget(Path(target), spent)
    given = credentials_of(settings.copies_credentials, name)
    if kind == "sftp":
        from Src.Library.custody.copies.sftp import SftpTarget  # only who has such a copy loads what it needs

        return SftpTarget(target, given, spent)
    from Src.Library.custody.copies.s3 import S3Target

    return S3Target(target, given, settings.state, spent)


@contextmanager
def open_copy(settings: Settings, sessions: Sessions, row: CopyRow, spent: Spent = lambda _: None) -> Iterator[Target]:
    """The copy itself, for as long. Raises CopyTrouble where it is not plugged in, or another one stands there."""
    target = open_raw(settings, row.name, row.kind, from_ledger(row.target), spent)
    try:
        check_marker(target, row, vault_of(sessions))
        if not row.is_encrypted:
            yield target
            return
        sealed = _unsealed(settings, row.name, target)
        sealed.check_key()
        yield sealed
    finally:
        target.close()


def _unsealed(settings: Settings, name: str, target: Target) -> SealedTarget:
    from Src.Library.custody.copies.sealed import SealedTarget

    return SealedTarget(target, credentials_of(settings.copies_credentials, name), settings.state)


def check_marker(target: Target, row: CopyRow, vault_id: uuid.UUID) -> None:
    """Raises CopyTrouble where this is not the copy, of this vault, and where it was."""
    target.check_here()
    marker = _marker_at(target)
    if marker is None:
        raise CopyTrouble(f"{target.name}: the copy {row.name} is not there (no {MARKER}); is the disk plugged in?")
    if marker.vault_id != vault_id:
        raise CopyTrouble(f"{target.name}: is the copy of another vault; nothing was written or noted")
    if marker.copy_id != row.id:
        raise CopyTrouble(f"{target.name}: is another copy than {row.name}; plug in the right disk")


def vault_of(sessions: Sessions) -> uuid.UUID:
    """The vault that the ledger belongs to. Raises CopyTrouble."""
    with sessions() as session:
        found = session.execute(text("SELECT vault_id FROM vault")).scalar()
    if not isinstance(found, uuid.UUID):
        raise CopyTrouble("there is no vault yet; bring photos in first")
    return found


def add_copy(
    settings: Settings, sessions: Sessions, name: str, given: str, *, encrypted: bool = False
) -> tuple[CopyRow, bool]:
    """Takes a target as a new copy, or as one of this vault that was known before; whether it was one already.

    Makes the folder where only that is missing. `encrypted`: where it is new. Raises CopyTrouble.
    """
    rows, vault_id, kind = CopyRows(sessions), vault_of(sessions), kind_of(given)
    if rows.named(name) is not None:
        raise CopyTrouble(f"there is a copy {name} already; ./factory copies remove {name} forgets it")
    place = _made_folder(settings, given) if kind == "folder" else given
    target = open_raw(settings, name, kind, place)
    try:
        sealed = _unsealed(settings, name, target) if encrypted else None  # before anything is written
        marker = _marker_at(target)
        was_one = marker is not None
        if marker is None:
            for folder in FOLDERS:
                if next(iter(target.files(folder)), None) is not None:
                    raise CopyTrouble(
                        f"{target.name}: has a folder {folder}, and is no copy of ours; give an empty folder"
                    )
            marker = CopyMarker(vault_id, new_id(), encrypted)
            if sealed is not None:
                sealed.note_key()
            target.put(MARKER, [marker.content])
            target.settle()
            if _marker_at(target) != marker:
                raise CopyTrouble(f"{target.name}: what was written there reads back as something else; check the disk")
        if marker.vault_id != vault_id:
            raise CopyTrouble(f"{target.name}: is the copy of another vault; give another folder")
        if encrypted and not marker.is_encrypted:
            raise CopyTrouble(f"{target.name}: is a copy that is not encrypted; give another folder")
    except FileRefused as error:
        raise CopyTrouble(f"{target.name}/{MARKER}: {error}") from error
    except NotThere:
        raise CopyTrouble(f"{target.name}: there is no such folder or bucket; make it first") from None
    finally:
        target.close()
    known = next((one for one in rows.all() if one.id == marker.copy_id), None)
    if known is not None:
        raise CopyTrouble(f"{target.name}: is the copy {known.name} already")
    if not rows.add(marker.copy_id, name, kind, to_ledger(place), is_encrypted=marker.is_encrypted):
        raise CopyTrouble(f"there is a copy {name} already")
    row = rows.named(name)
    assert row is not None
    rows.has_own_disk(row.id, is_apart := has_own_disk(settings, row))
    return row._replace(has_own_disk=is_apart), was_one


def _made_folder(settings: Settings, given: str) -> str:
    folder = Path(os.path.abspath(given))
    try:
        resolved = folder.resolve()
        if not resolved.parent.is_dir() or (resolved.exists() and not resolved.is_dir()):
            raise CopyTrouble(f"{to_ledger(given)}: there is no such folder; plug the disk in, or make the folder")
        own = OwnFolders(settings)
        one = own.around(resolved if resolved.exists() else resolved.parent, or_data=True)
        if one is None and resolved.exists():
            one = own.inside(resolved)
        if one is not None:
            raise CopyTrouble(f"{to_ledger(given)}: is in, or around, {one.name}; a copy must stand elsewhere")
        if not resolved.exists():
            resolved.mkdir(0o750)
    except (OSError, RuntimeError, ValueError) as error:
        raise CopyTrouble(f"{to_ledger(given)}: cannot be used: {error}") from error
    return str(folder)


def _marker_at(target: Target) -> CopyMarker | None:
    try:
        content = content_at(target, MARKER, LONGEST)
    except FileRefused as error:
        raise CopyTrouble(f"{target.name}/{MARKER}: {error}") from error
    return None if content is None else marker_of(content)
