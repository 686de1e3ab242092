"""Gallery: all photos, by the day they were taken or as they came in, to be looked through, searched and taken out.

The page is the gallery, a component of ours; what it shows it asks for by itself (`gallery_route.py`).
"""

from __future__ import annotations

import streamlit as st

from Src.Dashboard import act_bar, gallery_acts, look
from Src.Dashboard.components import gallery
from Src.Dashboard.data import library
from Src.Dashboard.gallery_route import MOST_TAKEN

_KEY = "gallery"

# The gallery takes all the height that there is. No data in it, ever.
_STYLE = """
<style>
  [data-testid="stMainBlockContainer"] { padding-bottom: 0; padding-top: 3.75rem; max-width: none; }
  [data-testid="stMainBlockContainer"] h1 { padding: 0 0 .25rem; font-size: 1.6rem; }
</style>
"""


def show() -> None:
    """The page."""
    st.title("Gallery")
    look.ledger_notice()
    with look.asking_ledger("The gallery"):
        if not library.originals():
            look.no_photos(_is_there)
            return
        st.html(_STYLE)
        gallery(
            key=_KEY, most=MOST_TAKEN, acts=act_bar.may_act(), outcome=act_bar.outcome(),
            answered=gallery_acts.answered(), on_acts=_acts,
        )  # fmt: skip


def _acts() -> None:
    """Before the page runs: a click elsewhere ends a run, and what was asked for would be forgotten with it."""
    gallery_acts.do_all(st.session_state[_KEY].act)


def _is_there() -> bool:
    library.originals.clear()  # that there is nothing is not to be remembered
    return library.originals() > 0
