"""One photo, large, with all that is known of it."""

from __future__ import annotations

import html
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import streamlit as st

from Src.Dashboard import words
from Src.Dashboard.components import length, long_day, point_map, shown_name
from Src.Dashboard.data import library
from Src.Dashboard.look import asking_ledger
from Src.Dashboard.picture_route import picture_url
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import settings
from Src.Dashboard.thumbnails import Original, Size

_SOURCES = {
    "mtime": "the file's own time on disk, because nothing else tells",
    "filename": "the file's name",
}

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

Facts = Iterator[tuple[str, str]]


def show_photo(photo: uuid.UUID, among: Sequence[uuid.UUID] = ()) -> None:
    """Opens a dialog with a photo, and with buttons to those before and after it."""
    st.session_state["photo_shown"] = photo
    _dialog(tuple(among))


@st.dialog("Photo", width="large")
def _dialog(among: tuple[uuid.UUID, ...]) -> None:
    photo: uuid.UUID = st.session_state["photo_shown"]
    with asking_ledger("This photo"):
        found = library.details(photo)
        if found is None:
            st.info("This photo is not in the library any more.")
            return
        _show(*found, among)


def _show(row: Mapping[str, Any], events: Sequence[Mapping[str, Any]], among: tuple[uuid.UUID, ...]) -> None:
    original = Original(row["file_hash"], row["final_path"], row["media_kind"])
    st.html(f'{_STYLE}<div class="pf-photo"><img src="{picture_url(original, Size.LARGE)}" alt=""></div>')
    if row["has_errors"]:
        st.warning("Something is wrong with this file. It is kept as it came.", icon=":material/error:")
        st.text(plain(row["error_message"] or "No reason is known."))
    _neighbours(row["id"], among)
    location = row["location"]
    if location:
        facts, place = st.columns([3, 2], gap="medium")
        with place:
            point_map(location["lat"], location["lon"], key=f"place-{row['id']}")
    else:
        facts = st.container()
    facts.html(_listed(_facts(row)))
    st.markdown("**What happened to it**")
    st.html(_listed(_story(events)))


def _neighbours(photo: uuid.UUID, among: tuple[uuid.UUID, ...]) -> None:
    if photo not in among:
        return
    at = among.index(photo)

    def go(to: int) -> None:
        st.session_state["photo_shown"] = among[to]

    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.button("Newer", icon=":material/arrow_back:", disabled=at == 0, on_click=go, args=(at - 1,))
        last = at == len(among) - 1
        st.button("Older", icon=":material/arrow_forward:", disabled=last, on_click=go, args=(at + 1,))


def _facts(row: Mapping[str, Any]) -> Facts:
    zone = settings().zone
    yield "Name", shown_name(row["original_name"])
    yield "Taken", _taken(row["captured_at"], row["captured_at_offset"])
    yield "Known from", _SOURCES.get(row["date_source"], row["date_source"])
    yield "Camera", _camera(row["camera_make"] or "", row["camera_model"] or "")
    location = row["location"]
    yield "Place", f"{location['lat']:.5f}, {location['lon']:.5f}" if location else "not known"
    kind = row["media_kind"]
    yield "Kind", f"{kind}, {length(row['duration_seconds'])}" if row["duration_seconds"] else kind
    if row["width"] and row["height"]:
        yield "Size", f"{row['width']:,} × {row['height']:,} pixels, {words.size(row['file_size'])}"
    else:
        yield "Size", words.size(row["file_size"])
    if row["rating"] is not None:
        yield "Rating", words.counted(row["rating"], "star")
    yield "Kept at", shown_name(row["final_path"])
    yield "Came as", shown_name(row["original_path"])
    yield "Filed", f"{row['ingested_at'].astimezone(zone):%Y-%m-%d %H:%M:%S}"
    verified = row["verified_at"]
    yield "Verified", f"{verified.astimezone(zone):%Y-%m-%d %H:%M:%S}" if verified else "not since it came"
    yield "SHA-256", row["file_hash"]


def _story(events: Sequence[Mapping[str, Any]]) -> Facts:
    zone = settings().zone
    for event in events:
        message = f": {event['message']}" if event["message"] else ""
        came = f"{event['fate'].replace('_', ' ')}, came as {shown_name(event['original_path'])}{message}"
        yield f"{event['happened_at'].astimezone(zone):%Y-%m-%d %H:%M:%S}", came
    if not events:
        yield "", "No event of it is recorded."


def _camera(make: str, model: str) -> str:
    """Many models begin with their maker's name."""
    return (model if model.lower().startswith(make.lower()) else f"{make} {model}").strip() or "not known"


def _taken(moment: datetime, offset: int | None) -> str:
    zone = f" ({timezone(timedelta(minutes=offset))})" if offset is not None else ""
    return f"{long_day(moment.date())}, {moment:%H:%M:%S}{zone}"


def _listed(facts: Facts) -> str:
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(plain(value))}</dd>" for name, value in facts)
    return f'<dl class="pf-facts">{rows}</dl>'
