"""Library: all originals by day, newest first, with filters and a timeline to jump along."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Literal

import streamlit as st

from Src.Dashboard import look, words
from Src.Dashboard.components import photo_grid, timeline
from Src.Dashboard.data import library
from Src.Dashboard.data.library import Choices, Filters, Page, Position
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.photo_view import show_photo
from Src.Dashboard.plain import plain

_RAW = ("DNG", "CR2", "CR3", "NEF", "ARW", "RAF", "ORF", "RW2", "PEF", "SRW")
_VIDEOS = ("MP4", "MOV", "M4V", "3GP", "AVI", "M2TS", "MKV", "WEBM")
_PLACE, _ERRORS = "With a place", "With errors"
_AT, _NEWER = "library_at", "library_newer"  # session state: where the page begins, and to which side it goes


def show() -> None:
    """The page."""
    st.title("Library")
    look.ledger_notice()
    with look.asking_ledger("The library"):
        choices = library.choices()
        if not choices.years:
            st.info("No photos yet. What is put into the inbox shows up here within seconds.", icon=":material/photo:")
            look.wait_for(_is_there)
            return
        filters = _filters(choices)
        if _changed(filters):
            _go(None)
        try:
            _jump_along(filters)
            _photos(filters)
        except TooSlow:
            if not filters.name:
                raise
            st.info(
                "There are too many photos to look for this name among all. Choose a year.", icon=":material/search:"
            )


def _is_there() -> bool:
    library.choices.clear()  # that there is nothing is not to be remembered
    return bool(library.choices().years)


def _filters(choices: Choices) -> Filters:
    groups = _groups(choices)
    cameras = {plain(model) if model else "unknown": model for model, _ in choices.cameras}
    hidden: Literal["collapsed"] = "collapsed"
    # So wide that they stand in one row of a wide page, and in three of a phone's.
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        name = st.text_input(
            "Name", placeholder="Part of a name", icon=":material/search:", width=220, label_visibility=hidden
        )
        kind = st.selectbox(
            "Kind", list(groups), index=None, placeholder="All kinds", width=160, label_visibility=hidden
        )
        camera = st.selectbox(
            "Camera", list(cameras), index=None, placeholder="All cameras", width=175, label_visibility=hidden
        )
        year = st.selectbox(
            "Year", choices.years, index=None, placeholder="All years", width=125, label_visibility=hidden
        )
        only = st.pills("Only", [_PLACE, _ERRORS], selection_mode="multi", width="content", label_visibility=hidden)
    return Filters(
        kinds=groups[kind] if kind else (),
        camera=cameras[camera] if camera is not None else None,
        year=year,
        has_place=_PLACE in only,
        has_errors=_ERRORS in only,
        name=name.strip(),
    )


def _groups(choices: Choices) -> dict[str, tuple[str, ...]]:
    """What can be chosen as a kind: what there is of it, several kinds as one first."""
    there = [kind for kind, _ in choices.kinds]
    photos = tuple(kind for kind in there if kind not in _VIDEOS)
    raws, videos = (tuple(kind for kind in there if kind in group) for group in (_RAW, _VIDEOS))
    groups = {"Photos": photos, "Raw photos": raws, "Videos": videos}
    groups = {name: kinds for name, kinds in groups.items() if kinds}
    return groups | {kind: (kind,) for kind in there}


def _changed(filters: Filters) -> bool:
    before = st.session_state.get("library_filters")
    st.session_state["library_filters"] = filters
    return before is not None and before != filters


def _go(at: Position | None, *, newer: bool = False) -> None:
    st.session_state[_AT], st.session_state[_NEWER] = at, newer


def _jump_along(filters: Filters) -> None:
    months = library.months(replace(filters, name="", has_errors=False))
    if len(months) < 2:
        return
    place = st.container()
    page = _page(filters)
    here = page.photos[0].captured_at.date().replace(day=1) if page.photos else None
    with place:
        month = timeline(months, here=here, key="timeline")
    if month is not None:
        _go(Position.before(datetime.combine(_next(month), datetime.min.time())))
        st.rerun()


def _photos(filters: Filters) -> None:
    page = _page(filters)
    if not page.photos:
        st.info("No photo fits. Take a filter away, or go to the newest.", icon=":material/search_off:")
        if st.session_state.get(_AT) is not None:
            st.button("Newest", on_click=_go, args=(None,))
        return
    if st.session_state.get(_AT) is None:
        _tell_of_new(page.originals)
    chosen = photo_grid(page.photos, key="library_grid")
    _turn(page)
    if chosen is not None:
        show_photo(chosen, [photo.id for photo in page.photos])


@st.fragment(run_every=look.REFRESH)
def _tell_of_new(known: int) -> None:
    """A button where more has come in since: what somebody looks at does not move by itself."""
    with look.asking_ledger("What has come in since"):
        new = library.originals() - known
        label = words.counted(new, "new photo")
        if new > 0 and st.button(label, key="library_new", icon=":material/arrow_upward:", on_click=library.look_again):
            st.rerun()


def _turn(page: Page) -> None:
    first, last = page.photos[0], page.photos[-1]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, width="content"):
            st.button("Newest", icon=":material/first_page:", disabled=not page.has_newer, on_click=_go, args=(None,))
            st.button(
                "Newer",
                icon=":material/chevron_left:",
                disabled=not page.has_newer,
                on_click=_go,
                args=(first.position,),
                kwargs={"newer": True},
            )
        st.caption(f"{words.counted(len(page.photos), 'photo')} on this page", width="content")
        st.button(
            "Older",
            icon=":material/chevron_right:",
            icon_position="right",
            type="primary",
            disabled=not page.has_older,
            on_click=_go,
            args=(last.position,),
        )


def _page(filters: Filters) -> Page:
    return library.page(filters, st.session_state.get(_AT), newer=st.session_state.get(_NEWER, False))


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)
