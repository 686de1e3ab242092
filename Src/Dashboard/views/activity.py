"""Activity: what happened to each file that came in, and where is my photo?"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import streamlit as st

from Src.Dashboard import addresses, look, words
from Src.Dashboard.components import strip
from Src.Dashboard.data import activity, inbox, library
from Src.Dashboard.data.activity import Event
from Src.Dashboard.photo_facts import FATES
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import settings

NAME_LIMIT = 255  # characters, of what is looked for
WAITING = "Waiting"
FILTERS = {
    "All": (),
    "Added": ("ingested", "restored", "rebuilt"),
    "Duplicates": ("duplicate",),
    "Removed before": ("unwanted",),
    "Files beside photos": ("companion",),
    "Not photos": ("not_media",),
    "Failed": ("failed", "dead_letter"),
    WAITING: (),
}


def show() -> None:
    """The page."""
    st.title("Activity")
    name = st.text_input(
        "Where is my photo?", placeholder="Part of its name, or IMG_*.jpg", type="search", key="find",
        bind="query-params",
    )  # fmt: skip
    look.ledger_notice()
    _one()
    name = name.strip()[:NAME_LIMIT]
    if name:
        _found(name)
    else:
        _live()


def _one() -> None:
    """The event that the address names, with all that is known of it and its photo."""
    try:
        asked = uuid.UUID(addresses.asked("event") or "")
    except ValueError:
        return
    with look.asking_ledger("This file"), st.container(border=True):
        event = activity.event(asked)
        if event is None:
            st.info("Nothing is known of this any more.", icon=":material/search_off:")
        else:
            look.name(event.original_name)
            row = _row(event)
            st.text("\n".join(f"{name}: {value}" for name, value in row.items() if name != "File" and value))
            photo = library.one(event.photo) if event.photo is not None else None
            if photo is not None:
                strip([photo])
        st.button("Close", icon=":material/close:", on_click=addresses.ask, args=("event", None))


def _found(name: str) -> None:
    with look.asking_ledger("What became of it"):
        findings = activity.search(name)
        if not findings.events:
            st.info("Nothing is known of a file of that name.", icon=":material/search_off:")
        else:
            _table(findings.events, key="found")
            if len(findings.events) >= activity.MOST:
                st.caption(f"The last {activity.MOST} are shown; a longer part of the name finds fewer.")
        if not findings.everywhere:
            st.caption("There are too many files to look for this within names; those that begin with it were found.")
    waiting = inbox.named(name)
    if waiting:
        st.header("In the inbox now")
        for path in waiting:
            st.text(plain(path))


@look.live
def _live() -> None:
    chosen = st.segmented_control(
        "Show", list(FILTERS), default="All", required=True, label_visibility="collapsed", key="show",
        bind="query-params",
    )  # fmt: skip
    if chosen == WAITING:
        _waiting()
        return
    with look.asking_ledger("What happened"):
        fates = FILTERS[chosen or "All"]
        events = activity.latest_of(fates) if fates else activity.latest()
        if events:
            _table(events, key="live")
        elif fates:
            st.info("No file of this kind has come in yet.", icon=":material/hourglass_empty:")
        else:
            look.empty(
                "No file has come in yet. Each that does is listed here, with what became of it.",
                ":material/add_photo_alternate:", "Add the first photos", "overview",
            )  # fmt: skip


def _waiting() -> None:
    paths = inbox.named("", activity.MOST)
    if not paths:
        st.info("The inbox is empty.", icon=":material/inbox:")
        return
    st.caption(
        f"{words.counted(len(paths), 'file')} in the inbox now. Files are taken in when they are complete; "
        "those that stay are listed under Problems."
    )
    look.table([{"File in the inbox": plain(path)} for path in paths], key="waiting")


def _table(events: Sequence[Event], *, key: str) -> None:
    st.caption("Select a row to see all of it, and its photo.")
    look.table_of_links(
        [_row(event) for event in events],
        [str(event.id) for event in events],
        key=f"events_{key}",
        into="event",
        height="content" if len(events) <= 12 else 560,
        column_config={
            "File": st.column_config.TextColumn(width=190),
            "What": st.column_config.TextColumn(width=150),
            "When": st.column_config.TextColumn(width=160),
            "Kept at": st.column_config.TextColumn(width=330),
            "Why": st.column_config.TextColumn(width=220),
            "Came as": st.column_config.TextColumn(width=220),
            "By": st.column_config.TextColumn(width=70),
        },
    )


def _row(event: Event) -> dict[str, str]:
    return {
        "File": plain(event.original_name),
        "What": FATES[event.fate],
        "When": words.moment(event.happened_at.astimezone(settings().zone), seconds=True),
        "Kept at": plain(event.kept_at or ""),
        "Why": plain(event.message or ""),
        "Came as": plain(event.original_path),
        "By": event.source,
    }
