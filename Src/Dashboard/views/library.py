"""Library: all photos by the day they were taken, with filters and a timeline to jump along; or as they came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeVar

import streamlit as st

from Src.Dashboard import addresses, look, words
from Src.Dashboard.components import photo_grid, timeline
from Src.Dashboard.data import library
from Src.Dashboard.data.library import Choices, Filters, Page, Position
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.photo_view import show_photo
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import settings
from Src.Media.kinds import KINDS
from Src.Shared.database import LedgerUnavailable

_One = TypeVar("_One", str, int)

_RAW = frozenset(kind.name for kind in KINDS.values() if kind.is_raw)
_VIDEOS = frozenset(kind.name for kind in KINDS.values() if kind.is_video)
_FAVOURITES, _HIDDEN = "Favourites", "Hidden"
_PLACE, _ERRORS, _GUESSED = "With a location", "With errors", "Guessed dates"
BY_DATE, ADDED = "By date taken", "Recently added"  # the orders; an address names them so, too
_AT = "at"  # in the address: the place in the order at which the page begins


def show() -> None:
    """The page."""
    st.title("Library")
    look.ledger_notice()
    with look.asking_ledger("The library"):
        choices = library.choices()
        if not choices.years:
            look.no_photos(_is_there)
            return
        st.caption(
            "The same photos as in the **Gallery**, page by page and with filters. Open one to give it stars, a title, "
            "tags, a date or a place. To look through, search or choose many, use the **Gallery**."
        )
        order = st.segmented_control(
            "Order", [BY_DATE, ADDED], default=None if "order" in st.session_state else BY_DATE,
            required=True, key="order",
            bind="query-params", label_visibility="collapsed", on_change=_go,
        )  # fmt: skip
        if order == ADDED:
            _added()
        else:
            _taken(choices)


def _is_there() -> bool:
    library.choices.clear()  # that there is nothing is not to be remembered
    return bool(library.choices().years)


def _taken(choices: Choices) -> None:
    filters = _filters(choices)
    try:
        _jump_along(filters)
        _photos(filters)
    except TooSlow:
        if not filters.name:
            raise
        st.info("There are too many photos to look for this name among all. Choose a year.", icon=":material/search:")


def _added() -> None:
    zone = settings().zone
    at = _at()
    photos, has_more = library.added(at)
    if not photos:
        st.info("Nothing was added before that.", icon=":material/search_off:")
    elif at is None:
        _announce(library.originals())
    chosen = photo_grid(photos, key="added_grid", day_of=lambda photo: photo.ingested_at.astimezone(zone).date())
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.button("Newest", icon=":material/first_page:", disabled=at is None, on_click=_go)
        st.button(
            "Added before", icon=":material/chevron_right:", icon_position="right", type="primary",
            disabled=not has_more, on_click=_go, args=(photos[-1].arrival if photos else None,),
        )  # fmt: skip
    if chosen is not None:
        show_photo(chosen, [photo.id for photo in photos])


def _choice(label: str, options: Sequence[_One], width: int) -> _One | None:
    """One of these, or all."""
    return st.selectbox(
        label,
        options=options,
        index=None,
        placeholder=f"All {label.lower()}s",
        width=width,
        label_visibility="collapsed",
        key=label.lower(),
        bind="query-params",
        on_change=_go,
    )


def _filters(choices: Choices) -> Filters:
    groups = _groups(choices)
    cameras = {plain(model) if model else "unknown": model for model, _ in choices.cameras}
    hidden: Literal["collapsed"] = "collapsed"
    # So wide that they stand in one row of a wide page, and in three of a phone's.
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        name = st.text_input(
            "Name",
            placeholder="Part of a name",
            icon=":material/search:",
            width=220,
            label_visibility=hidden,
            key="name",
            bind="query-params",
            on_change=_go,
        )
        kind = _choice("Kind", list(groups), 160)
        camera = _choice("Camera", list(cameras), 175)
        year = _choice("Year", choices.years, 125)
        only = st.pills(
            "Only",
            [_FAVOURITES, _PLACE, _ERRORS, _GUESSED, _HIDDEN],
            selection_mode="multi",
            width="content",
            label_visibility=hidden,
            key="only",
            bind="query-params",
            on_change=_go,
        )
    return Filters(
        kinds=groups[kind] if kind else (),
        camera=cameras[camera] if camera is not None else None,
        year=year,
        has_place=_PLACE in only,
        has_errors=_ERRORS in only,
        is_guessed=_GUESSED in only,
        is_favourite=_FAVOURITES in only,
        hidden=_HIDDEN in only,
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


def _go(at: Position | None = None) -> None:
    addresses.ask(_AT, None if at is None else str(at))


def _at() -> Position | None:
    return Position.parse(addresses.asked(_AT) or "")


def _jump_along(filters: Filters) -> None:
    months = library.months(replace(filters, name="", has_errors=False, is_guessed=False, is_favourite=False))
    if len(months) < 2:
        return
    place = st.container()
    page = library.page(filters, _at())
    here = page.photos[0].captured_at.date().replace(day=1) if page.photos else None
    with place:
        month = timeline(months, here=here, key="timeline")
    if month is not None:
        addresses.ask(_AT, f"{month:%Y-%m}")
        st.rerun()


def _photos(filters: Filters) -> None:
    page = library.page(filters, _at())
    if not page.photos:
        st.info("No photo fits. Take a filter away, or go to the newest.", icon=":material/search_off:")
        if _at() is not None:
            st.button("Newest", on_click=_go)
        return
    if _at() is None:
        _announce(page.originals)
    chosen = photo_grid(page.photos, key="library_grid")
    _turn(filters, page)
    if chosen is not None:
        show_photo(chosen, [photo.id for photo in page.photos])


@look.live
def _announce(known: int) -> None:
    """A button where more has come in since: what somebody looks at does not move by itself. It leads to these photos,
    wherever their dates lie."""
    with look.asking_ledger("What was added since"):
        new = library.originals() - known
        label = words.counted(new, "new photo")
        if new > 0 and st.button(label, key="library_new", icon=":material/arrow_upward:", on_click=_show_new):
            st.rerun()


def _show_new() -> None:
    library.look_again()
    st.session_state["order"] = ADDED
    _go()


def _turn(filters: Filters, page: Page) -> None:
    first, last = page.photos[0], page.photos[-1]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, width="content"):
            st.button("Newest", icon=":material/first_page:", disabled=not page.has_newer, on_click=_go)
            st.button(
                "Newer",
                icon=":material/chevron_left:",
                disabled=not page.has_newer,
                on_click=_go_newer,
                args=(filters, first.position),
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


def _go_newer(filters: Filters, first: Position) -> None:
    """To the page that ends before this photo. An address says where a page begins: so its first photo is looked up."""
    try:
        page = library.page(filters, first, newer=True)
    except (LedgerUnavailable, TooSlow):
        return  # the page says so already
    _go(page.photos[0].position.after() if page.photos and page.has_newer else None)
