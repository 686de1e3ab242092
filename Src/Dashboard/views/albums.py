"""Albums: all of them with their covers; one, with its photos in its order."""

from __future__ import annotations

import html
import uuid
from functools import partial

import streamlit as st

from Src.Dashboard import act_bar, addresses, look, words
from Src.Dashboard.components import strip
from Src.Dashboard.data import acts, decided
from Src.Dashboard.data.decided import AlbumShown
from Src.Dashboard.picture_route import picture_url
from Src.Dashboard.plain import markdown, plain
from Src.Library.overlay.albums import LONGEST_NAME
from Src.Library.pictures import Size
from Src.Library.selection.grammar import quoted

_ALBUM = "album"  # in the address: its id
_PAGE = "page"
_ORDER = "In the album's order"

# No data in it, ever.
_STYLE = """
<style>
  .pf-cover { height: 9rem; border-radius: 6px; overflow: hidden; display: grid; place-items: center;
              background: color-mix(in srgb, currentColor 8%, transparent); }
  .pf-cover img { width: 100%; height: 100%; object-fit: cover; }
</style>
"""


def show() -> None:
    """The page."""
    asked = _asked()
    if asked is None:
        st.title("Albums")
    look.ledger_notice()
    with look.asking_ledger("The albums"):
        albums = decided.albums()
        one = next((album for album in albums if album.id == asked), None)
        if one is not None:
            _one(one)
            return
        if asked is not None:
            st.title("Albums")
            st.info("There is no such album any more.", icon=":material/search_off:")
        _all(albums)


def _asked() -> uuid.UUID | None:
    try:
        return uuid.UUID(addresses.asked(_ALBUM) or "")
    except ValueError:
        return None


def _all(albums: tuple[AlbumShown, ...]) -> None:
    if act_bar.may_act():
        _new()
    if not albums:
        st.info("No albums yet. Make one here, or put photos into one in the gallery.", icon=":material/photo_album:")
    st.html(_STYLE)
    with look.grid("cards-albums"):
        for album in albums:
            _card(album)


def _card(album: AlbumShown) -> None:
    with st.container(border=True, gap="xsmall", key=f"tile-album-{album.id}"):
        _cover(album)
        addresses.link(f"**{markdown(album.name, 60)}**", "albums", album=str(album.id))
        st.caption(words.counted(album.originals, "photo"))


def _cover(album: AlbumShown) -> None:
    picture = ""
    if album.cover is not None:
        address = picture_url(album.cover.original, Size.SMALL, album.cover.rotation)
        picture = f'<img src="{html.escape(address)}" alt="" loading="lazy">'
    st.html(f'<div class="pf-cover">{picture}</div>')


def _new() -> None:
    with (
        st.form("new_album", border=False, clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        st.text_input("New album", placeholder="Its name", max_chars=LONGEST_NAME, key="new_album_name", width=320)
        st.form_submit_button("Make", icon=":material/add:", on_click=_make)


def _make() -> None:
    name = str(st.session_state.get("new_album_name") or "")
    act_bar.do(lambda: acts.make_album(name), f"Album {plain(name, 60)}")


def _one(album: AlbumShown) -> None:
    st.title(markdown(album.name))
    selection = f"in:{quoted(album.name)}"
    with st.container(horizontal=True):
        addresses.link("All albums", "albums", icon=":material/arrow_back:")
        if album.originals:
            addresses.link(
                "Look through it in the gallery", "gallery", icon=":material/gallery_thumbnail:", q=selection
            )
    may_act = act_bar.may_act()
    page = _page()
    photos, has_more = decided.in_album(album.id, page)
    st.caption(words.counted(album.originals, "photo"))
    if not photos:
        st.info(
            "Nothing is in this album yet. Choose photos in the gallery, and put them here." if page == 0
            else "There are no more photos in this album.", icon=":material/photo_album:",
        )  # fmt: skip
    else:
        strip(photos, q=selection)
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        if page or has_more:
            st.button("Earlier", icon=":material/chevron_left:", disabled=page == 0, on_click=_go, args=(page - 1,))
            st.button("More", icon=":material/chevron_right:", disabled=not has_more, on_click=_go, args=(page + 1,))
    if may_act:
        with st.expander("Change this album", icon=":material/edit:"):
            _rename(album)
            _choose_cover(album, [(photo.id, photo.original_name) for photo in photos])


def _page() -> int:
    asked = addresses.asked(_PAGE) or ""
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0


def _go(page: int) -> None:
    addresses.ask(_PAGE, str(page) if page else None)


def _rename(album: AlbumShown) -> None:
    key = f"album_name_{album.id}_{hash(album.name)}_{act_bar.count()}"

    def rename() -> None:
        act_bar.do(
            lambda: acts.rename_album(album.name, str(st.session_state.get(key) or "")), "The album's other name"
        )

    with st.form("rename_album", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Name", value=album.name, max_chars=LONGEST_NAME, key=key, width=320)
        st.form_submit_button("Rename", on_click=rename)


def _choose_cover(album: AlbumShown, photos: list[tuple[uuid.UUID, str]]) -> None:
    if not photos:
        return
    names = dict(photos)

    now = album.cover.id if album.cover is not None and album.cover.id in names else None
    key = f"album_cover_{album.id}_{now}_{act_bar.count()}"

    def put() -> None:
        chosen = st.session_state.get(key)
        if chosen is not None:
            act_bar.do(partial(acts.put_on_cover, album.name, chosen), "The album's cover")

    with st.form("album_cover", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Cover, of the photos above", options=list(names), index=None if now is None else list(names).index(now),
            format_func=lambda photo: plain(names[photo]), key=key, width=320,
        )  # fmt: skip
        st.form_submit_button("Use as cover", on_click=put)
