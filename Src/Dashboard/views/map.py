"""Map: where photos were taken. Nothing of it comes from another host."""

from __future__ import annotations

import streamlit as st

from Src.Dashboard import look, words
from Src.Dashboard.components import photo_grid, places_map
from Src.Dashboard.data import library
from Src.Dashboard.data.library import Area, Filters
from Src.Dashboard.photo_view import show_photo


def show() -> None:
    """The page."""
    st.title("Map")
    look.ledger_notice()
    with look.asking_ledger("The map"):
        photos = library.placed()
        if not photos:
            st.info(
                "No photo with a place yet. Phones add one where they may know theirs.", icon=":material/location_off:"
            )
            look.wait_for(_is_there)
            return
        st.caption(
            f"{words.counted(photos, 'photo')} with a place. Click a circle to come nearer and to see what is there."
        )
        area = places_map(key="map")
        if area is not None:
            st.session_state["map_area"] = area
        _photos(st.session_state.get("map_area"))


def _is_there() -> bool:
    library.placed.clear()  # that there is nothing is not to be remembered
    library.places.clear()
    return library.placed() > 0


def _photos(area: Area | None) -> None:
    if area is None:
        return
    st.subheader("Taken there")
    page = library.page(Filters(area=area))
    chosen = photo_grid(page.photos, key="map_grid")
    if page.has_older:
        st.caption(f"The newest {len(page.photos)}. Come nearer to see others.")
    if chosen is not None:
        show_photo(chosen, [photo.id for photo in page.photos])
