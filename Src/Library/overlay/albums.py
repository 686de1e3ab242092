"""Albums: collections in an order, with a cover. One comes into being with its first original."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from Src.Library.overlay import acts
from Src.Library.overlay.changes import Decision, DecisionRefused, Original
from Src.Library.overlay.current import album_value, albums_of, lock_albums, write
from Src.Library.overlay.events import Change, record
from Src.Shared.ledger_text import plain_text
from Src.Shared.models import Act, Album, AlbumItem, MediaAsset, new_id

LONGEST_NAME = 200  # characters
_APART = 1024  # from one position to the next, so that something fits between
_MOST_MOVED = 1_000_000  # originals that go to the beginning at once


class AlbumFound(NamedTuple):
    """An album, and how many originals it has."""

    name: str
    originals: int


def albums(session: Session) -> list[AlbumFound]:
    """All of them, by name."""
    items = (
        select(AlbumItem.album_id, func.count().label("originals"))
        .join(MediaAsset, MediaAsset.id == AlbumItem.asset_id)
        .group_by(AlbumItem.album_id)
        .subquery()
    )
    asked = select(Album.name, func.coalesce(items.c.originals, 0)).outerjoin(items, items.c.album_id == Album.id)
    return [AlbumFound(name, number) for name, number in session.execute(asked.order_by(func.lower(Album.name)))]


def album_named(session: Session, name: str) -> Album | None:
    """The album of that name, whatever the capitals."""
    return session.scalars(select(Album).where(func.lower(Album.name) == func.lower(_named(name)))).one_or_none()


def in_album(album: Album) -> Any:
    """The condition that an original is in an album."""
    return MediaAsset.id.in_(select(AlbumItem.asset_id).where(AlbumItem.album_id == album.id))


def make(session: Session, name: str, who: str) -> Act:
    """An album with nothing in it yet. Raises DecisionRefused where there is one of that name."""
    wanted = _named(name)
    lock_albums(session)
    if album_named(session, wanted) is not None:
        raise DecisionRefused("there is an album of that name already")
    made = {"id": str(new_id()), "name": wanted, "cover": None, "made_at": datetime.now(UTC).isoformat()}
    return _written(session, Change(None, "album", None, made), who, {"album": wanted, "do": "make"})


def rename(session: Session, album: Album, name: str, who: str) -> Act | None:
    """Another name; None: it has that. Raises DecisionRefused where another album has it."""
    wanted = _named(name)
    lock_albums(session)
    session.refresh(album)
    other = album_named(session, wanted)
    if other is not None and other.id != album.id:
        raise DecisionRefused("there is an album of that name already")
    before = album_value(album)
    if before["name"] == wanted:
        return None
    said = {"album": before["name"], "do": "rename", "name": wanted}
    return _written(session, Change(None, "album", before, {**before, "name": wanted}), who, said)


def put_on_cover(session: Session, album: Album, original: str | None, who: str) -> Act | None:
    """The original that stands for it, by its hash; null: its first one. None: it is so already."""
    lock_albums(session)
    session.refresh(album)
    before = album_value(album)
    if before["cover"] == original:
        return None
    said = {"album": before["name"], "do": "cover", "cover": original}
    return _written(session, Change(None, "album", before, {**before, "cover": original}), who, said)


def add(name: str) -> Decision:
    """Into an album, behind what is there, in the order in which they were taken."""
    wanted = _named(name)
    there: dict[str, Any] = {}
    last = 0

    def changes(session: Session, originals: Sequence[Original]) -> Iterator[Change]:
        nonlocal last
        if not there:
            album = album_named(session, wanted)
            if album is None:
                made_at = datetime.now(UTC).isoformat()
                there.update({"id": str(new_id()), "name": wanted, "cover": None, "made_at": made_at})
                yield Change(None, "album", None, dict(there))
            else:
                there.update(album_value(album))
                highest = select(func.max(AlbumItem.position)).where(AlbumItem.album_id == album.id)
                last = session.execute(highest).scalar() or 0
        has = albums_of(session, [one.id for one in originals])
        for one in originals:
            if all(album["id"] != there["id"] for album in has.get(one.id, ())):
                last += _APART
                item = {"id": there["id"], "name": there["name"], "position": last}
                yield Change(one.file_hash, "album", None, item)

    return Decision("album", {"album": wanted, "do": "add"}, changes, lock_albums, in_order=True)


def remove(album: Album) -> Decision:
    """Out of an album. One without originals stays; one without its cover shows its first original."""
    id_, there = album.id, dict[str, Any]()

    def changes(session: Session, originals: Sequence[Original]) -> Iterator[Change]:
        if not there:
            there.update(_as_it_is(session, id_))
        has = albums_of(session, [one.id for one in originals])
        for one in originals:
            for item in has.get(one.id, ()):
                if item["id"] == there["id"]:
                    yield Change(one.file_hash, "album", item, None)
                    if one.file_hash == there["cover"]:
                        before = dict(there)
                        there["cover"] = None
                        yield Change(None, "album", before, dict(there))

    return Decision("album", {"album": album.name, "do": "remove"}, changes, lock_albums)


def cover(album: Album) -> Decision:
    """What an album shows of itself: one original of it."""
    id_ = album.id

    def changes(session: Session, originals: Sequence[Original]) -> Iterator[Change]:
        before = _as_it_is(session, id_)
        has = albums_of(session, [one.id for one in originals])
        inside = [one for one in originals if any(item["id"] == before["id"] for item in has.get(one.id, ()))]
        if len(inside) != 1:
            raise DecisionRefused(f"the cover of an album is one original in it, and this means {len(inside)} of them")
        yield Change(None, "album", before, {**before, "cover": inside[0].file_hash})

    return Decision("album", {"album": album.name, "do": "cover"}, changes, lock_albums)


def move(album: Album, where: Literal["first", "last"]) -> Decision:
    """To the beginning or the end of an album, in the order in which they were taken."""
    last: int | None = None

    def changes(session: Session, originals: Sequence[Original]) -> Iterator[Change]:
        nonlocal last
        has = albums_of(session, [one.id for one in originals])
        items = [(one, item) for one in originals for item in has.get(one.id, ()) if item["id"] == str(album.id)]
        ends = select(func.min(AlbumItem.position), func.max(AlbumItem.position))
        if where == "last" or last is None:
            least, most = session.execute(ends.where(AlbumItem.album_id == album.id)).one()
            last = (most or 0) if where == "last" else (least or 0) - _APART * (_MOST_MOVED + 1)
        for one, item in items:
            last += _APART
            yield Change(one.file_hash, "album", item, {**item, "position": last})

    return Decision("album", {"album": album.name, "do": where}, changes, lock_albums, in_order=True)


def _written(session: Session, change: Change, who: str, said: dict[str, Any]) -> Act:
    """About the album itself."""
    act = acts.begin(session, "album", who, parameters=said)
    write(session, [change])
    record(session, act, [change])
    return act


def _as_it_is(session: Session, id_: uuid.UUID) -> dict[str, Any]:
    """An album as it is by now, under the lock: it may have been renamed since somebody looked it up."""
    album = session.get(Album, id_, populate_existing=True)
    if album is None:
        raise DecisionRefused("the album has just gone")
    return album_value(album)


def _named(name: str) -> str:
    cleaned = plain_text(" ".join(name.split()))
    if not cleaned or len(cleaned) > LONGEST_NAME:
        raise DecisionRefused(f"an album has a name of 1 to {LONGEST_NAME} characters")
    return cleaned
