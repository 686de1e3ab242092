"""What the gallery's routes ask: days, pieces, what to suggest; as `Src/Library/gallery` answers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import streamlit as st
from sqlalchemy import func, select

from Src.Dashboard.data.acts import forget_with
from Src.Dashboard.resources import ledger, settings
from Src.Library.gallery import feed
from Src.Library.gallery.feed import Item, Place, Position
from Src.Library.gallery.handing_out import Wanted
from Src.Library.gallery.order import Looked, Order
from Src.Library.original import Original
from Src.Library.overlay.albums import AlbumFound, albums
from Src.Shared.models import AssetTag, MediaAsset

MOST_TAGS = 300


@dataclass(frozen=True, slots=True)
class Words:
    """What people have named: tags, the commonest first, and albums."""

    tags: tuple[str, ...]
    albums: tuple[AlbumFound, ...]


@forget_with
@st.cache_data(ttl=5, max_entries=50, show_spinner=False)
def days(order: Order, selection: str) -> str:
    """The days of an order, each with how many originals it has, as a JSON array. Raises SelectionError.

    A text, for twenty years have 7,300 days: to keep and to hand out so many dates takes longer than to ask for them.
    """
    with ledger().session() as session:
        found = feed.days(session, _looked(order, selection))
    return json.dumps([[day.isoformat(), number] for day, number in found], separators=(",", ":"))


def piece(
    order: Order,
    selection: str,
    first: date,
    last: date,
    *,
    limit: int,
    after: Position | None = None,
    skip: int = 0,
    within: Sequence[date] = (),
) -> list[Item]:
    """Originals of some days. Raises SelectionError."""
    looked = _looked(order, selection)
    with ledger().session() as session:
        return feed.piece(session, looked, first, last, limit=limit, after=after, skip=skip, within=within)


def place(order: Order, selection: str, photo: uuid.UUID) -> Place | None:
    """Where an original is in an order. Raises SelectionError."""
    with ledger().session() as session:
        return feed.place(session, _looked(order, selection), photo)


@forget_with
@st.cache_data(ttl=60, show_spinner=False)
def named() -> Words:
    """Tags and albums."""
    tags = (
        select(func.min(AssetTag.tag))
        .group_by(func.lower(AssetTag.tag))
        .order_by(func.count().desc(), func.lower(AssetTag.tag))
        .limit(MOST_TAGS)
    )
    with ledger().session() as session:
        return Words(tuple(session.scalars(tags)), tuple(albums(session)))


def wanted(photos: Sequence[uuid.UUID]) -> list[Wanted]:
    """These originals, in the order in which they were taken; those that are gone meanwhile are left out."""
    columns = (MediaAsset.file_hash, MediaAsset.final_path, MediaAsset.media_kind, MediaAsset.captured_at)
    asked = select(*columns).where(MediaAsset.id.in_(photos)).order_by(MediaAsset.captured_at, MediaAsset.id)
    with ledger().session() as session:
        return [Wanted(Original(*of), taken) for *of, taken in session.execute(asked)]


def _looked(order: Order, selection: str) -> Looked:
    zone = settings().zone
    return Looked(order, selection, zone, datetime.now(zone))
