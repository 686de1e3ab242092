"""One photo, large, with all that is known of it."""

from __future__ import annotations

import html
import uuid
from collections.abc import Sequence

import streamlit as st

from Src.Dashboard import act_bar, addresses, photo_edit, words
from Src.Dashboard.components import point_map, shown_name
from Src.Dashboard.data import known
from Src.Dashboard.data.known import Known
from Src.Dashboard.look import asking_ledger
from Src.Dashboard.photo_facts import Facts, facts_of, story_of
from Src.Dashboard.picture_route import picture_url
from Src.Dashboard.plain import plain
from Src.Library.original import Original
from Src.Library.pictures import Size

# No data in it, ever.
_STYLE = """
<style>
  .pf-photo img { display: block; max-width: 100%; max-height: 68vh; margin: 0 auto; border-radius: 6px; }
  .pf-facts { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: 0 !important;
              padding: 0 !important; font-size: .9rem; }
  .pf-facts dt { opacity: .65; }
  .pf-facts dd { margin: 0 !important; overflow-wrap: anywhere; unicode-bidi: plaintext;
                 font-variant-numeric: tabular-nums; }
</style>
"""


def show_photo(photo: uuid.UUID, among: Sequence[uuid.UUID] = ()) -> None:
    """Opens a photo, with buttons to those before and after it. It is in the address, so it can be sent and kept."""
    st.session_state["photo_among"] = tuple(among)
    addresses.ask("photo", str(photo))
    st.rerun()


def show_asked() -> None:
    """Shows the photo that the address names, over the page; to be called at the end of each."""
    if addresses.asked("photo") is not None:
        _dialog()


def _close() -> None:
    addresses.ask("photo", None)


@st.dialog("Photo", width="large", on_dismiss=_close)
def _dialog() -> None:
    with asking_ledger("This photo"):
        found = known.of(photo) if (photo := _asked()) is not None else None
        if found is None:
            act_bar.show("photo")
            _is_not_here(photo)
            return
        _show(found, st.session_state.get("photo_among", ()))


def _asked() -> uuid.UUID | None:
    try:
        return uuid.UUID(addresses.asked("photo") or "")
    except ValueError:
        return None


def _is_not_here(photo: uuid.UUID | None) -> None:
    if photo is not None and known.is_in_trash(photo):
        st.info("This photo is in the trash.", icon=":material/delete:")
        addresses.link("Open the trash", "trash", icon=":material/arrow_forward:")
    else:
        st.info("There is no such photo in the library.", icon=":material/search_off:")


def _show(found: Known, among: tuple[uuid.UUID, ...]) -> None:
    row = found.row
    original = Original(row["file_hash"], row["final_path"], row["media_kind"])
    alt = html.escape(f"{shown_name(row['original_name'])}, {words.day(row['captured_at'])}")
    address = picture_url(original, Size.LARGE, row["rotation"])
    st.html(f'{_STYLE}<div class="pf-photo"><img src="{address}" alt="{alt}"></div>')
    if row["has_errors"]:
        st.warning("Something is wrong with this file. It is kept as it came.", icon=":material/error:")
        st.text(plain(row["error_message"] or "No reason is known."))
    _neighbours(row["id"], among)
    photo_edit.show(row)
    location = row["location"]
    if location:
        facts, place = st.columns([3, 2], gap="medium")
        with place:
            point_map(location["lat"], location["lon"], key=f"place-{row['id']}")
    else:
        facts = st.container()
    facts.html(_listed(facts_of(found)))
    st.markdown("**What happened to it**")
    st.html(_listed(story_of(found)))


def _neighbours(photo: uuid.UUID, among: tuple[uuid.UUID, ...]) -> None:
    if photo not in among:
        return
    at = among.index(photo)

    def go(to: int) -> None:
        addresses.ask("photo", str(among[to]))

    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.button("Newer", icon=":material/arrow_back:", disabled=at == 0, on_click=go, args=(at - 1,))
        last = at == len(among) - 1
        st.button("Older", icon=":material/arrow_forward:", disabled=last, on_click=go, args=(at + 1,))


def _listed(facts: Facts) -> str:
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(plain(value))}</dd>" for name, value in facts)
    return f'<dl class="pf-facts">{rows}</dl>'
