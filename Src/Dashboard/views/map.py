"""Map: where photos were taken. Nothing of it comes from another host."""

from __future__ import annotations

import math

import streamlit as st

from Src.Dashboard import addresses, look, words
from Src.Dashboard.components import View, places_map, strip
from Src.Dashboard.data import library
from Src.Dashboard.data.library import Area

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
    photos, has_more = library.taken_in(area)
    selection = _around(area)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.header("Taken there")
        addresses.link("See all", "gallery", icon=":material/arrow_forward:", q=selection)
    if not photos:
        st.caption("No photo was taken there.")
    strip(photos, q=selection)
    if has_more:
        st.caption(f"The newest {len(photos)}. Come nearer to see others.")


def _around(area: Area) -> str:
    """A selection that means all of an area, and a little around it: circles have no corners."""
    degree = 111.3  # km
    lat, lon = max(-90.0, min((area.south + area.north) / 2000, 90.0)), (area.west + area.east) / 2000
    edge = 0.001  # degrees: the area's numbers are rounded
    high = (area.north - area.south) / 2000 + edge
    wide = (area.east - area.west) / 2000 + edge
    at_most = math.cos(math.radians(max(0.0, abs(lat) - high)))  # where degrees of longitude are longest
    km = min(20_100, 1.01 * math.hypot(degree * high, degree * wide * at_most))
    return f"near:{lat:.4f},{(lon + 180) % 360 - 180:.4f},{km:.6g}"


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
