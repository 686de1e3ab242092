"""Parts of pages that Streamlit has not: a gallery, a strip of photos, a map. Their scripts are in `assets/`."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlencode

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


# No data in it, ever.
_STRIP_STYLE = """
<style>
  .pf-strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(9.5rem, 30%), 1fr)); gap: 4px; }
  .pf-strip a { position: relative; aspect-ratio: 1; overflow: hidden; border-radius: 4px;
                background: color-mix(in srgb, currentColor 8%, transparent); }
  .pf-strip img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; }
  .pf-strip span { position: absolute; top: 5px; padding: 0 .35rem; border-radius: 3px; font-size: .72rem;
                   font-weight: 600; line-height: 1.4; color: #fff; background: rgb(0 0 0 / 68%); }
  .pf-strip .length { right: 5px; }
  .pf-strip .wrong { left: 5px; background: #b3261e; }
  .pf-strip .star { right: 5px; top: auto; bottom: 5px; color: #ffd54a; }
</style>
"""


def strip(photos: Sequence[Photo], **among: str) -> None:
    """Some photos, each a link to where the gallery shows it, among those for which `among` asks there."""
    st.html(f'{_STRIP_STYLE}<div class="pf-strip">{"".join(_linked(photo, among) for photo in photos)}</div>')


def _linked(photo: Photo, among: Mapping[str, str]) -> str:
    asked = {"order": "hidden"} if photo.is_hidden else among
    href = f"gallery?{urlencode({**asked, 'photo': str(photo.id)})}"
    name, picture = shown_name(photo.original_name), picture_url(photo.original, Size.SMALL, photo.rotation)
    label = f"{name}, {words.day(photo.captured_at)}"
    marks = ""
    if photo.duration_seconds:
        marks += f'<span class="length">{length(photo.duration_seconds)}</span>'
    if photo.is_favourite:
        label, marks = f"{label}, a favourite", f'{marks}<span class="star">★</span>'
    if photo.has_errors:
        label, marks = f"{label}, with errors", f'{marks}<span class="wrong">!</span>'
    said = f'title="{html.escape(name)}" aria-label="{html.escape(label)}"'
    return f'<a href="{html.escape(href)}" {said}><img src="{html.escape(picture)}" alt="" loading="lazy">{marks}</a>'


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
    """The places of all photos, clustered, begun at a view (or around all); when somebody has just done something
    there, the area of the cluster that was clicked last, and the view that was moved to."""
    data = {"height": height, "places": PLACES, "view": view, **_tiles()}
    place = _map(key=key, data=data, on_place_change=_nothing).place or {}
    area: dict[str, int] | None = place.get("area")
    moved: list[float] | None = place.get("view")
    return Area(**area) if area else None, (moved[0], moved[1], moved[2]) if moved else None


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


def _nothing() -> None:
    """What a component tells is read where it is called; but it tells only what has a callback."""
