"""What stands beside originals in the vault and belongs to them: it goes where they go, under their name."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from sqlalchemy import Table, Text, any_, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from Src.Library.open_places import OpenPlaces
from Src.Library.original_path import is_path
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import Companion

_COMPANIONS = cast(Table, Companion.__table__)
_PATH = "final_path"  # where the ledger knows companions in the vault


class Beside(NamedTuple):
    """A companion: its row, where it stands (as on disk), and its size there, which may change."""

    id: uuid.UUID
    path: str
    size: int


def standing_beside(session: Session, places: OpenPlaces, hashes: Sequence[str]) -> dict[str, list[Beside]]:
    """The companions of originals that stand in the vault, by the original's hash. What has gone is left out."""
    if _PATH not in _COMPANIONS.c or not hashes:
        return {}
    path = _COMPANIONS.c[_PATH]
    asked = select(_COMPANIONS.c.id, _COMPANIONS.c.original_hash, path).where(
        _COMPANIONS.c.original_hash == any_(literal(list(hashes), ARRAY(Text))), path.is_not(None)
    )
    found: dict[str, list[Beside]] = {}
    for id_, sha256, text in session.execute(asked.order_by(_COMPANIONS.c.id)):
        where = from_ledger(text)
        try:
            size = places.lstat(where).st_size if is_path(where) else None
        except OSError:
            size = None
        if size is not None:
            found.setdefault(sha256, []).append(Beside(id_, where, size))
    return found


def note_paths(session: Session, paths: Mapping[uuid.UUID, str | None]) -> None:
    """Writes where companions stand now; None: not in the vault any more."""
    for id_, path in paths.items():
        values = {_PATH: None if path is None else to_ledger(path)}
        session.execute(update(_COMPANIONS).where(_COMPANIONS.c.id == id_).values(**values))


def is_named_after(name: str, photo: str) -> bool:
    """Whether a companion has its photo's name or stem."""
    return name.startswith((f"{photo}.", f"{photo.rpartition('.')[0] or photo}."))


def renamed(name: str, photo: str, new_photo: str) -> str:
    """The name of a companion whose photo has got another one; as it is where it was not named after the photo."""
    stem, new_stem = (one.rpartition(".")[0] or one for one in (photo, new_photo))
    for old, new in ((photo, new_photo), (stem, new_stem)):
        if name.startswith(f"{old}."):
            return new + name[len(old) :]
    return name
