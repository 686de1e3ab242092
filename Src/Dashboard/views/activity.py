"""Activity: what happened to each file that came in, and where is my photo?"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from Src.Dashboard import look
from Src.Dashboard.data import activity, inbox
from Src.Dashboard.data.activity import Event
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import settings
from Src.Shared.models import FATES

NAME_LIMIT = 255  # characters, of what is looked for
WORDS = {
    "ingested": "filed",
    "duplicate": "duplicate, dropped",
    "restored": "restored",
    "not_media": "not media, left there",
    "failed": "failed, tried again",
    "dead_letter": "failed for good",
}
FILTERS = {
    "All": (),
    "Filed": ("ingested", "restored"),
    "Duplicates": ("duplicate",),
    "Not media": ("not_media",),
    "Failed": ("failed", "dead_letter"),
}


def show() -> None:
    """The page."""
    st.title("Activity")
    name = st.text_input(
        "Where is my photo?",
        placeholder="Part of its name, or IMG_*.jpg",
        type="search",
        key="activity_search",
    )
    look.ledger_notice()
    name = name.strip()[:NAME_LIMIT]
    if name:
        _found(name)
    else:
        _live()


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
        st.subheader("In the inbox now")
        for path in waiting:
            st.text(plain(path))


@st.fragment(run_every=look.REFRESH)
def _live() -> None:
    chosen = st.segmented_control(
        "Show", list(FILTERS), default="All", required=True, label_visibility="collapsed", key="activity_fates"
    )
    with look.asking_ledger("What happened"):
        fates = FILTERS[chosen or "All"]
        events = activity.latest_of(fates) if fates else activity.latest()
        if events:
            _table(events, key="live")
        else:
            st.info("Nothing of this kind has happened yet.", icon=":material/hourglass_empty:")


def _table(events: Sequence[Event], *, key: str) -> None:
    zone = settings().zone
    assert set(WORDS) == set(FATES)
    look.table(
        [
            {
                "File": plain(event.original_name),
                "What": WORDS[event.fate],
                "When": event.happened_at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S"),
                "Is kept at": plain(event.kept_at or ""),
                "Why": plain(event.message or ""),
                "Came as": plain(event.original_path),
                "By": event.source,
            }
            for event in events
        ],
        key=f"events_{key}",
        height="content" if len(events) <= 12 else 560,
        column_config={
            "File": st.column_config.TextColumn(width=190),
            "What": st.column_config.TextColumn(width=150),
            "When": st.column_config.TextColumn(width=150),
            "Is kept at": st.column_config.TextColumn(width=330),
            "Why": st.column_config.TextColumn(width=220),
            "Came as": st.column_config.TextColumn(width=220),
            "By": st.column_config.TextColumn(width=70),
        },
    )
