"""Parts of pages that Streamlit has not: a grid of photos, a timeline, a map. Their scripts are in `assets/`."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import streamlit as st

from Src.Dashboard.data.library import Area, Photo
from Src.Dashboard.picture_route import picture_url
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import settings
from Src.Dashboard.routes import PLACES
from Src.Dashboard.thumbnails import Size
from Src.Shared.ledger_text import from_ledger

ASSETS = Path(__file__).parent / "assets"


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


_grid = st.components.v2.component(
    "photo_grid", html='<div class="grid"></div>', css=_asset("photo_grid.css"), js=_asset("photo_grid.js")
)
_timeline = st.components.v2.component(
    "timeline", html='<div class="timeline"></div>', css=_asset("timeline.css"), js=_asset("timeline.js")
)
_map = st.components.v2.component(
    "photo_map",
    html='<div class="map"></div>',
    css=_asset("vendor/leaflet.css") + _asset("photo_map.css"),
    js=_asset("photo_map.js"),
)


def photo_grid(photos: Sequence[Photo], *, key: str, by_day: bool = True) -> uuid.UUID | None:
    """Thumbnails, under their days if wanted; the id of the photo that was just clicked."""
    days = itertools.groupby(photos, key=lambda photo: photo.captured_at.date() if by_day else None)
    data = [{"title": day and long_day(day), "photos": [_cell(photo) for photo in those]} for day, those in days]
    chosen = _grid(key=key, data={"days": data}, on_photo_change=_nothing).photo
    return uuid.UUID(chosen) if chosen else None


def timeline(months: Sequence[tuple[date, int]], *, here: date | None, key: str) -> date | None:
    """The months with how many originals each has, one of them marked; the month that was just clicked."""
    data = [{"id": f"{month:%Y-%m}", "title": f"{month:%B %Y}: {count:,}", "count": count} for month, count in months]
    shown = {"months": data, "here": f"{here:%Y-%m}" if here else None}
    chosen = _timeline(key=key, data=shown, on_month_change=_nothing).month
    return date.fromisoformat(f"{chosen}-01") if chosen else None


def places_map(*, key: str, height: int = 520) -> Area | None:
    """The places of all photos, clustered; the area of the cluster that was just clicked."""
    chosen: dict[str, int] | None = _map(
        key=key, data={"height": height, "places": PLACES, **_tiles()}, on_area_change=_nothing
    ).area
    return Area(**chosen) if chosen else None


def point_map(lat: float, lon: float, *, key: str, height: int = 220) -> None:
    """One place."""
    _map(key=key, data={"height": height, "point": [lat, lon], **_tiles()}, on_area_change=_nothing)


def _tiles() -> dict[str, str | None]:
    return {"tiles": settings().map_tiles, "credit": settings().map_credit}


def long_day(day: date) -> str:
    return f"{day:%A}, {day.day} {day:%B %Y}"


def shown_name(name: str) -> str:
    """A name of the ledger as it is on disk, fit to be shown."""
    return plain(from_ledger(name))


def length(seconds: float) -> str:
    """Of a video: 0:07, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _cell(photo: Photo) -> dict[str, Any]:
    return {
        "id": str(photo.id),
        "name": shown_name(photo.original_name),
        "src": picture_url(photo.original, Size.SMALL),
        "badge": length(photo.duration_seconds) if photo.duration_seconds else "",
        "error": photo.has_errors,
    }


def _nothing() -> None:
    """What a component tells is read where it is called; but it tells only what has a callback."""
