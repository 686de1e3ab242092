"""Map: where photos were taken. Nothing of it comes from another host."""

from __future__ import annotations

import streamlit as st

from Src.Dashboard import addresses, look, words
from Src.Dashboard.components import View, photo_grid, places_map
from Src.Dashboard.data import library
from Src.Dashboard.data.library import Area, Filters
from Src.Dashboard.photo_view import show_photo

_AT, _AREA = "at", "area"  # in the address: where the map is, and whose photos are below it


def show() -> None:
    """The page."""
    st.title("Map")
    look.ledger_notice()
    with look.asking_ledger("The map"):
        photos = library.placed()
        if not photos:
            look.empty(
                "No photos with a location yet. Phones add one when the camera app has location access.",
                ":material/photo_library:", "To the photos", "gallery",
            )  # fmt: skip
            look.wait_for(_is_there)
            return
        st.caption(
            f"{words.counted(photos, 'photo')} with a location. Click a circle to come nearer and to see what is there."
        )
        area, view = places_map(key="map", view=_view(addresses.asked(_AT)))
        if view is not None:
            addresses.ask(_AT, "_".join(f"{number:g}" for number in view))
        if area is not None:
            addresses.ask(_AREA, f"{area.south}_{area.west}_{area.north}_{area.east}")
        _photos(_area(addresses.asked(_AREA)))


def _is_there() -> bool:
    library.placed.clear()  # that there is nothing is not to be remembered
    library.places.clear()
    return library.placed() > 0


def _photos(area: Area | None) -> None:
    if area is None:
        return
    st.header("Taken there")
    page = library.page(Filters(area=area))
    if not page.photos:
        st.caption("No photo was taken there.")
    chosen = photo_grid(page.photos, key="map_grid")
    if page.has_older:
        st.caption(f"The newest {len(page.photos)}. Come nearer to see others.")
    if chosen is not None:
        show_photo(chosen, [photo.id for photo in page.photos])


def _view(text: str | None) -> View | None:
    try:
        lat, lon, zoom = (float(part) for part in (text or "").split("_"))
    except ValueError:
        return None
    return (lat, lon, zoom) if abs(lat) <= 90 and abs(lon) <= 180 and 0 <= zoom <= 19 else None


def _area(text: str | None) -> Area | None:
    try:
        south, west, north, east = (int(part) for part in (text or "").split("_"))
    except ValueError:
        return None
    return Area(south, west, north, east) if max(map(abs, (south, west, north, east))) <= 360_000 else None
