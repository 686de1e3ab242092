"""What originals are to each other, as their names in the vault say: a pair stands there under one stem and number."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from itertools import groupby
from typing import Any, cast

from sqlalchemy import Row, Select, Table, func, select
from sqlalchemy.orm import Session

from Src.Librarian.record import relations
from Src.Librarian.record.relations import Neighbour
from Src.Media.relations import Item
from Src.Shared.ledger_text import from_ledger
from Src.Shared.models import MediaAsset

_ASSETS = cast(Table, MediaAsset.__table__)
_AT_ONCE = 2000  # rows that are fetched
_DAY = func.substr(_ASSETS.c.final_path, 16, 10)  # as the index of the days' folders has it


_COLUMNS = (
    *(_ASSETS.c[name] for name in ("final_path", "file_hash", "media_kind", "captured_at", "camera_model")),
    _ASSETS.c.content_id,
)


def relate_days(session: Session, days: Collection[str] | None) -> None:
    """Records what the originals of each day's folder are to each other, known relations too.

    None: of all days, and Live Photos whose film stands in the next one's.
    """
    # (by bytes: in the order of a language, folders may come mixed)
    asked = select(*_COLUMNS).order_by(func.convert_to(_ASSETS.c.final_path, "UTF8"))
    if days is not None:
        asked = asked.where(_DAY.in_(days))
    _relate(session, asked, lambda row: str(row.final_path).rpartition("/")[0])
    if days is None:
        some = select(_ASSETS.c.content_id).group_by(_ASSETS.c.content_id).having(func.count() > 1)
        shared = select(*_COLUMNS).where(_ASSETS.c.content_id.in_(some)).order_by(_ASSETS.c.content_id)
        _relate(session, shared, lambda row: str(row.content_id))


def _relate(session: Session, asked: Select[Any], together: Callable[[Row[Any]], str]) -> None:
    """Of those that are together: they come one after the other."""
    rows = session.execute(asked, execution_options={"yield_per": _AT_ONCE})
    for _, some in groupby(rows, together):
        here = []
        for path, sha256, kind, captured_at, camera, content_id in some:
            folder, name = os.path.split(from_ledger(path))
            here.append(Neighbour("vault", folder, Item(sha256, name, kind, captured_at, camera, content_id), path))
        relations.add(session, relations.between(here, {}))
