"""Parts of pages that Streamlit has not: a gallery, a grid of photos, a map. Their scripts are in `assets/`."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import streamlit as st

from Src.Dashboard import words
from Src.Dashboard.act_bar import Outcome
from Src.Dashboard.data.library import Area, Photo
from Src.Dashboard.gallery_acts import Answered
from Src.Dashboard.picture_route import picture_url
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import settings
from Src.Dashboard.secret_addresses import GALLERY, PLACES
from Src.Dashboard.viewer_style import viewer
from Src.Library.pictures import Size
from Src.Shared.ledger_text import from_ledger

View = tuple[float, float, float]  # of a map: latitude and longitude of its middle, zoom

ASSETS = Path(__file__).parent / "assets"


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


# One module: Streamlit takes no more of a component.
GALLERY_SCRIPT = "".join(
    _asset(f"gallery/{name}.js")
    for name in (
        "words",
        "layout",
        "feed",
        "grid",
        "scrubber",
        "choice",
        "drag",
        "search",
        "viewer_deeds",
        "viewer_edit",
        "viewer_facts",
        "viewer",
        "asked",
        "gallery",
    )
)
MAP_SCRIPT = _asset("photo_ground.js") + _asset("photo_map.js")

_grid = st.components.v2.component(
    "photo_grid", html='<div class="grid"></div>', css=_asset("photo_grid.css"), js=_asset("photo_grid.js")
)
_timeline = st.components.v2.component(
    "timeline", html='<div class="timeline"></div>', css=_asset("timeline.css"), js=_asset("timeline.js")
)
_gallery = st.components.v2.component(
    "gallery", html=_asset("gallery/gallery.html"), css=_asset("gallery/gallery.css"), js=GALLERY_SCRIPT
)
# Over the page, and so not a part of the component.
_VIEWER_STYLE = _asset("vendor/photoswipe.css") + _asset("gallery/viewer.css")
_map = st.components.v2.component(
    "photo_map",
    html='<div class="map"></div>',
    css=_asset("vendor/leaflet.css") + _asset("photo_map.css"),
    js=MAP_SCRIPT,
)


def photo_grid(
    photos: Sequence[Photo], *, key: str, by_day: bool = True, day_of: Callable[[Photo], date] | None = None
) -> uuid.UUID | None:
    """Thumbnails, under their days if wanted (of `day_of`, or when they were taken); the id of the one just clicked."""
    of = day_of or (lambda photo: photo.captured_at.date())
    days = itertools.groupby(photos, key=lambda photo: of(photo) if by_day else None)
    data = [{"title": day and words.weekday(day), "photos": [_cell(photo) for photo in those]} for day, those in days]
    chosen = _grid(key=key, data={"days": data}, on_photo_change=_nothing).photo
    return uuid.UUID(chosen) if chosen else None


def timeline(months: Sequence[tuple[date, int]], *, here: date | None, key: str) -> date | None:
    """The months with how many originals each has, one of them marked; the month that was just clicked."""
    data = [
        {"id": f"{month:%Y-%m}", "title": f"{month:%B %Y}: {words.number(count)}", "count": count}
        for month, count in months
    ]
    shown = {"months": data, "here": f"{here:%Y-%m}" if here else None}
    chosen = _timeline(key=key, data=shown, on_month_change=_nothing).month
    return date.fromisoformat(f"{chosen}-01") if chosen else None


def gallery(
    *, key: str, most: int, acts: bool, outcome: Outcome | None, answered: Answered, on_acts: Callable[[], None]
) -> None:
    """All photos, to be looked through; what of them is shown is in the address.

    `most`: that are taken out at once; `acts`: whether people may change something; `outcome`: of the last act;
    `answered`: which acts the script need not send again; `on_acts`: called when it has sent some.
    """
    style = {"month_first": viewer().month_first, "thousands": viewer().thousands}
    refresh = settings().dashboard_refresh
    _gallery(
        key=key,
        on_act_change=on_acts,
        data={
            "feed": GALLERY, "most": most, "refresh": refresh, "style": style, "viewer_style": _VIEWER_STYLE,
            "acts": acts, "outcome": outcome and asdict(outcome), "ground": _tiles(), **asdict(answered),
        },
    )  # fmt: skip


def places_map(*, key: str, view: View | None = None, height: int = 520) -> tuple[Area | None, View | None]:
    """The places of all photos, clustered, begun at a view (or around all); the area of the cluster that was just
    clicked, and the view that somebody has just moved to."""
    data = {"height": height, "places": PLACES, "view": view, **_tiles()}
    found = _map(key=key, data=data, on_area_change=_nothing, on_view_change=_nothing)
    area: dict[str, int] | None = found.area
    moved: list[float] | None = found.view
    return Area(**area) if area else None, (moved[0], moved[1], moved[2]) if moved else None


def point_map(lat: float, lon: float, *, key: str, height: int = 220) -> None:
    """One place."""
    data = {"height": height, "point": [lat, lon], **_tiles()}
    _map(key=key, data=data, on_area_change=_nothing, on_view_change=_nothing)


def _tiles() -> dict[str, str | None]:
    return {"tiles": settings().map_tiles, "credit": settings().map_credit}


def shown_name(name: str) -> str:
    """A name of the ledger as it is on disk, fit to be shown."""
    return plain(from_ledger(name))


def length(seconds: float) -> str:
    """Of a video: 0:07, 1:02:03. One that is shorter than a second has one: nothing is 0:00 long."""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _cell(photo: Photo) -> dict[str, Any]:
    return {
        "id": str(photo.id),
        "name": shown_name(photo.original_name),
        "label": f"{shown_name(photo.original_name)}, {words.day(photo.captured_at)}",
        "src": picture_url(photo.original, Size.SMALL, photo.rotation),
        "badge": length(photo.duration_seconds) if photo.duration_seconds else "",
        "error": photo.has_errors,
        "favourite": photo.is_favourite,
    }


def _nothing() -> None:
    """What a component tells is read where it is called; but it tells only what has a callback."""
