"""`camera:` finds by model, by make, or by both as people say them.

A library has few cameras and very many photos. So where the ledger can be asked first, the cameras are looked through,
and photos are found by an index of theirs; without it each photo's camera is compared. Both mean the same.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CTE, Boolean, ColumnElement, and_, false, func, join, literal_column, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from Src.Library.selection.fields import Asked, Meaning, like
from Src.Shared.models import LONG_CAMERA, MediaAsset

_MOST = 300  # cameras that are asked for by name; of more, nothing is gained

_Column = InstrumentedAttribute[str | None]


def camera(asked: Asked) -> Meaning:
    """The term. Raises SelectionError."""
    by_photo = like(asked, MediaAsset.camera_model, MediaAsset.camera_make, _said())
    found = None if asked.session is None else _by_camera(asked, asked.session)
    return Meaning(by_photo if found is None else found, f"taken with {asked.text}")


def _said() -> ColumnElement[Any]:
    return func.nullif(func.concat_ws(" ", MediaAsset.camera_make, MediaAsset.camera_model), "")


def _by_camera(asked: Asked, session: Session) -> ColumnElement[bool] | None:
    """The photos of the cameras that are meant; None where that would not help.

    An index has no room for a name without end: a file may have one, and then no index knows all cameras.
    """
    # Counted, for to look for one PostgreSQL would read the table: it thinks that there are many.
    if session.scalar(select(func.count(MediaAsset.id)).where(literal_column(f"({LONG_CAMERA})", Boolean))):
        return None
    models, makes = _values(MediaAsset.camera_model), _values(MediaAsset.camera_make)
    model, make = models.c.name, makes.c.name
    named = [list(session.scalars(select(one).where(like(asked, one)).limit(_MOST + 1))) for one in (model, make)]
    both = select(make, model).select_from(join(makes, models, true())).where(like(asked, make + " " + model))
    both = both.where(make.not_in(named[1]), model.not_in(named[0]))
    pairs = session.execute(both.limit(_MOST + 1)).all()
    if max(len(pairs), *map(len, named)) > _MOST:
        return None
    return or_(
        false(),
        *(_one_of(column, names) for column, names in zip(_COLUMNS, named, strict=True) if names),
        *(and_(_one_of(MediaAsset.camera_make, [of]), _one_of(MediaAsset.camera_model, [one])) for of, one in pairs),
    )


_COLUMNS = (MediaAsset.camera_model, MediaAsset.camera_make)


def _one_of(column: _Column, names: list[str]) -> ColumnElement[bool]:
    """The first condition is that of the index."""
    return and_(literal_column(f"(length({column.key}) <= 100)", Boolean), column.in_(names))


def _values(column: _Column) -> CTE:
    """Each value of a column that an index begins with, once: from one to the next, and not photo by photo."""
    has_room = literal_column(f"(length({column.key}) <= 100)", Boolean)
    values = select(func.min(column).label("name")).where(has_room).cte(recursive=True)
    following = select(func.min(column)).where(has_room, column > values.c.name).scalar_subquery()
    return values.union_all(select(following).where(values.c.name.is_not(None)))
